"""Adams-Bashforth with steps of any size."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from wasserscore.dynamics.weighted import weighted_sum

Weights = Callable[[list[float], float], list[float]]
_nodes, _lengths = np.polynomial.legendre.leggauss(32)
NODES, LENGTHS = (_nodes + 1) / 2, _lengths / 2
"""A quadrature on [0, 1], exact to rounding for steps that divide the time by up to 1e9."""


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


def log_adams_weights(times: list[float], s: float) -> list[float]:
    r"""The same with polynomials in the logarithm of time, for positive times.

    .. math:: \int_t^s \log^m(u/t)\,du = t\,\ell^{m+1} \int_0^1 v^m e^{\ell v}\,dv,
              \qquad \ell = \log(s/t)

    For fields that change with the ratio of times, as noise does over a sampler's wide range of
    levels. A step to zero, infinitely long in the logarithm, takes polynomials in time.
    Source: :cite:p:`zhang2023deis`, section 3 (the log-rho form of the method).
    """
    if s <= 0:
        return adams_weights(times, s)
    t, length = times[-1], math.log(s / times[-1])
    powers = np.arange(len(times))
    moments = (LENGTHS * NODES ** powers[:, None] * np.exp(length * NODES)).sum(1) * t * length
    u = np.log(np.array(times) / t) / length
    return [float(w) for w in np.linalg.solve(u[None, :] ** powers[:, None], moments)]


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
        weights: Of the values at these times in the integral from the last of them to ``s``:
            :func:`adams_weights` of a polynomial in time, :func:`log_adams_weights` of one in its
            logarithm.
    """

    velocity: Callable[[Tensor, float], Tensor]
    order: int
    weights: Weights = adams_weights
    _past: list[tuple[float, Tensor]] = field(default_factory=list, init=False, repr=False)

    def __call__(self, y: Tensor, t: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at ``s``; ``noise`` is not used."""
        self._past = [*self._past, (t, self.velocity(y, t))][-self.order :]
        weights = self.weights([at for at, _ in self._past], s)
        values = (value for _, value in self._past)
        return weighted_sum((1.0, y), *zip(weights, values, strict=True))
