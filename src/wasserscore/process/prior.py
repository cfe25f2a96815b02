"""Where sampling starts: the noise law at the horizon."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint, Points


@dataclass(frozen=True)
class Prior:
    r"""The Gaussian :math:`N(0, \sigma_T^2 I)` that replaces the noised data law at the horizon.

    Its variance is that of the noise actually added, not that of the stationary law
    (for VP it is :math:`1 - e^{-B_T}`, not 1).

    Source: :cite:p:`gao2025`, eq. (2.2).

    Args:
        std: Standard deviation per coordinate, in the units of the points.
        shape: Shape of one point.
    """

    std: float
    shape: tuple[int, ...]

    def from_noise(self, z: Points) -> Points:
        """``std * z``: a start from noise that was drawn elsewhere (shared by a coupling)."""
        return self.std * z

    def sample(self, n: int, *, generator: torch.Generator) -> Points:
        """``n`` starts, float64, on the generator's device."""
        require(n >= 1, "the number of samples must be at least 1", got=n)
        z = torch.randn(
            (n, *self.shape), generator=generator, dtype=torch.float64, device=generator.device
        )
        return self.from_noise(z)

    def log_prob(self, x: Points) -> PerPoint:
        """Log density of each row, in nats."""
        require(tuple(x.shape[1:]) == tuple(self.shape), "points must match the prior's shape",
                got=tuple(x.shape[1:]), do=f"pass rows of shape {tuple(self.shape)}")  # fmt: skip
        flat: Tensor = x.flatten(1) / self.std
        constant = flat.shape[1] * math.log(self.std * math.sqrt(2 * math.pi))
        out: Tensor = -(flat**2).sum(1) / 2 - constant
        return out
