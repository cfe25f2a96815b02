"""Adams-Bashforth with steps of any size."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from wasserscore.dynamics.weighted import weighted_sum


@dataclass
class AdamsBashforth:
    r"""Integrate the polynomial through the last values of a field.

    .. math:: y_s = y_t + \int_t^s P(u)\,du,\qquad P(t_j) = v(y_{t_j}, t_j),\ j = k, k-1, \dots

    One evaluation per step. The first steps go through the values that are there, so their order
    is lower; the whole is of order ``order`` where these steps are small or the field hardly
    changes over them (a sampler's first steps, at high noise). Times may run in either direction
    and stand at any distance. Keeps its memory: make a new one for every trajectory.
    Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, section III.5.

    Args:
        velocity: ``v(y, t)``, the derivative of ``y`` with respect to ``t``.
        order: How many values the polynomial goes through.
    """

    velocity: Callable[[Tensor, float], Tensor]
    order: int
    _past: list[tuple[float, Tensor]] = field(default_factory=list, init=False, repr=False)

    def __call__(self, y: Tensor, t: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at ``s``; ``noise`` is not used."""
        self._past = [*self._past, (t, self.velocity(y, t))][-self.order :]
        weights = adams_weights([at for at, _ in self._past], s)
        values = (value for _, value in self._past)
        return weighted_sum((1.0, y), *zip(weights, values, strict=True))


def adams_weights(times: list[float], s: float) -> list[float]:
    r"""Weights of the values at ``times`` in the integral from ``times[-1]`` to ``s``.

    They integrate every polynomial of degree below ``len(times)`` exactly:
    :math:`\sum_j w_j u_j^m = 1/(m+1)` with :math:`u_j = (t_j - t)/(s - t)`, times ``s - t``.
    """
    t, h = times[-1], s - times[-1]
    powers = np.arange(len(times))
    u = (np.array(times) - t) / h
    weights = np.linalg.solve(u[None, :] ** powers[:, None], 1 / (powers + 1.0))
    return [float(w) for w in h * weights]
