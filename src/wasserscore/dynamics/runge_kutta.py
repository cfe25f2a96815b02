"""The classical Runge-Kutta method."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class RungeKutta4:
    r"""Four evaluations per step, order 4.

    .. math:: y_s = y_t + \tfrac h6 (k_1 + 2 k_2 + 2 k_3 + k_4), \qquad h = s - t

    Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, table II.1.2.

    Args:
        velocity: ``v(y, t)``, the derivative of ``y`` with respect to ``t``.
    """

    velocity: Callable[[Tensor, float], Tensor]

    def __call__(self, y: Tensor, t: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at ``s``; ``noise`` is not used."""
        h, middle = s - t, (s + t) / 2
        k1 = self.velocity(y, t)
        k2 = self.velocity(y + h / 2 * k1, middle)
        k3 = self.velocity(y + h / 2 * k2, middle)
        k4 = self.velocity(y + h * k3, s)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
