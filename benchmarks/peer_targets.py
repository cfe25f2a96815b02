"""Targets whose distance to a sampler's law can be computed: exactly, or along quantiles."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.peer_libraries import Denoiser, Run

MEAN = torch.full((3,), 0.3, dtype=torch.float64)
SPECTRUM = torch.tensor([0.05, 0.25, 1.5], dtype=torch.float64)
WIDTH = 0.15
"""Standard deviation of each mode, at -1 and 1."""


def by_row(sigma: Tensor) -> Tensor:
    """One sigma, or one per row, so that it broadcasts over the rows of points."""
    return sigma[:, None] if sigma.ndim else sigma


@dataclass(frozen=True)
class GaussianTarget:
    """N(.3, diag(.05, .25, 1.5)). Every sampler is affine there: two runs and the noises tell all.

    Row 0 starts from 0 and row 1 from 1, without noise; row 2 + k has a 1 as the noise of step k.
    """

    name: str = "Gaussian"

    @staticmethod
    def denoiser(y: Tensor, sigma: Tensor) -> Tensor:
        """``E[x0 | y]``."""
        variance = by_row(sigma) ** 2
        return (SPECTRUM * y + variance * MEAN) / (SPECTRUM + variance)

    @staticmethod
    def rows(sigmas: Tensor) -> int:
        """How many points are carried."""
        return 2 + len(sigmas) - 1

    def w2(self, run: Run, denoiser: Denoiser, sigmas: Tensor) -> float:
        """Distance from the sampler's law to the target."""
        x = torch.zeros(self.rows(sigmas), 3, dtype=torch.float64)
        x[1] = 1

        def noise(k: int) -> Tensor:
            z = torch.zeros_like(x)
            z[2 + k] = 1
            return z

        y = run(denoiser, x, sigmas, noise)
        mean, gain, answers = y[0], (y[1] - y[0]) * sigmas[0], y[2:] - y[0]
        std = (gain**2 + (answers**2).sum(0)).sqrt()
        return float(((mean - MEAN) ** 2 + (std - SPECTRUM.sqrt()) ** 2).sum().sqrt())


def _modes_quantiles(u: Tensor) -> Tensor:
    """Quantiles of the two modes by bisection."""
    low, high = torch.full_like(u, -4), torch.full_like(u, 4)
    for _ in range(60):
        middle = (low + high) / 2
        left, right = ((middle - mode) / WIDTH for mode in (-1, 1))
        below = (torch.special.ndtr(left) + torch.special.ndtr(right)) / 2 < u
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


@dataclass(frozen=True)
class ModesTarget:
    """.5 N(-1, .15^2) + .5 N(1, .15^2), with ``share`` of a fixed random network in the score.

    A sampler without noise maps quantiles of the prior to its own quantiles (n = 4096); noise is
    the same for everybody, mirrored with the points.
    """

    name: str
    share: float = 0.0
    weights: tuple[Tensor, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        drawn = [torch.randn(shape, generator=generator, dtype=torch.float64)
                 for shape in ((2, 32), (32, 1))]  # fmt: skip
        object.__setattr__(self, "weights", tuple(drawn))

    def denoiser(self, y: Tensor, sigma: Tensor) -> Tensor:
        """The exact one, moved by ``share sigma / sqrt(1 + sigma^2) tanh(. W) V``."""
        sigma = by_row(sigma) * torch.ones_like(y[:, :1])
        total = WIDTH**2 + sigma**2
        data = (WIDTH**2 * y + sigma**2 * torch.tanh(y / total)) / total
        if not self.share:
            return data
        scale = (1 + sigma**2).rsqrt()
        seen = torch.cat([y * scale, sigma.log() / 4], dim=1)
        first, second = self.weights
        return data + self.share * sigma * scale * torch.tanh(seen @ first) @ second / 32**0.5

    @staticmethod
    def rows(sigmas: Tensor) -> int:
        """How many points are carried."""
        return 16 * 256

    def w2(self, run: Run, denoiser: Denoiser, sigmas: Tensor) -> float:
        """Distance from the sampler's quantiles to the target's."""
        rows = self.rows(sigmas)
        u = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows

        def noise(k: int) -> Tensor:
            generator = torch.Generator().manual_seed(k)
            z = torch.randn(rows, 1, generator=generator, dtype=torch.float64)
            return (z - z.flip(0)) / 2**0.5

        start = sigmas[0] * torch.special.ndtri(u)[:, None]
        y = run(denoiser, start, sigmas, noise)[:, 0].sort().values
        return float((y - _modes_quantiles(u)).square().mean().sqrt())


Target = GaussianTarget | ModesTarget
