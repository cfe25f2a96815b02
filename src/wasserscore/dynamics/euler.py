"""Euler-Maruyama."""

from dataclasses import dataclass

from torch import Tensor

from wasserscore.dynamics.sde import SDE


@dataclass(frozen=True)
class EulerMaruyama:
    r"""Drift and diffusion frozen at the start of the step.

    .. math:: x_s = x_t + h\,\text{drift}(x_t, t) + \sqrt h\,\text{diffusion}(t)\,z,\quad h = t - s

    Weak order 1; with additive noise also strong order 1. Without noise it is Euler's method.
    """

    sde: SDE

    def __call__(self, x: Tensor, t: float, s: float, noise: Tensor | None, /) -> Tensor:
        """The points at ``s``."""
        h = t - s
        moved = x + h * self.sde.drift(x, t)
        return moved if noise is None else moved + h**0.5 * self.sde.diffusion(t) * noise
