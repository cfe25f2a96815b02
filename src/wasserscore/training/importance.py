r"""Noise levels where the loss, as measured, is large and varies: the same objective, less noise.

A weighting turns uniform numbers u into levels and weights. Drawing u with a density q, and
dividing the weights by it, leaves the expected loss as it is; its variance is least for

.. math:: q(u) \propto \sqrt{E[\ell^2 \mid u]},

measured here once, with a score trained so far (or untrained), in equal parts of [0, 1).
"""

from dataclasses import dataclass
from typing import Any

import torch

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import Streams, as_seed, normal_like
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import PerPoint
from wasserscore.process.base import Process
from wasserscore.score import NetworkScore
from wasserscore.training.denoising import denoising_losses
from wasserscore.training.levels import Levels, Weighting
from wasserscore.training.weighting import stratified, weighting_named


@dataclass(frozen=True)
class Importance:
    """A weighting whose parts are drawn more or less often than it does, without bias.

    Args:
        base: The weighting.
        shares: Of the draws, for every equal part of its uniform numbers; they add up to one.
    """

    base: Weighting
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        good = all(share > 0 for share in self.shares) and abs(sum(self.shares) - 1) < 1e-9
        require(good, "shares must be positive and add up to 1", got=self.shares)

    @classmethod
    def measured(
        cls,
        score: NetworkScore,
        points: Any,
        *,
        weighting: str | Weighting = "edm",
        parts: int = 16,
        draws: int = 256,
        least: float = 0.1,
        seed: int = 0,
    ) -> "Importance":
        """Shares from the losses of a score as it is.

        Args:
            score: A pilot, for example of a short training.
            points: Points ``(n, *shape)``, model units; those of the training will do.
            weighting: Name or object of the weighting.
            parts: Equal parts of its uniform numbers.
            draws: Noised points per part.
            least: Share that a part has at least, of what it had with all alike, in (0, 1].
            seed: Of the points, levels and noise.
        """
        base, parts = weighting_named(weighting), as_integer(parts, "parts")
        draws = as_integer(draws, "draws")
        require(0 < least <= 1, "least must lie in (0, 1]", got=least)
        known, streams = as_points(points, "points"), Streams(as_seed(seed)).child("importance")
        sizes = []
        for part in range(parts):
            generator = streams.generator("part", part)
            rows = torch.randint(len(known), (draws,), generator=generator)
            x0 = known[rows.to(known.device)]
            uniform = (part + stratified(draws, generator)) / parts
            with torch.no_grad():
                noise = normal_like(x0, generator)
                losses = denoising_losses(score, base, x0, uniform, noise)
            sizes.append(losses.double().square().mean().sqrt())
        size = torch.stack(sizes)
        require(bool(size.isfinite().all()) and bool(size.sum() > 0),
                "losses of the pilot must be finite, and not all zero", got=size.tolist(),
                do="give a score that is trained or untrained, not a broken one")  # fmt: skip
        share = size / size.sum()
        share = least / parts + (1 - least) * share
        return cls(base, tuple((share / share.sum()).tolist()))

    def __call__(self, process: Process, data_std: float, uniform: PerPoint) -> Levels:
        """Levels of the base at uniform numbers that are drawn by the shares."""
        share = torch.tensor(self.shares, dtype=torch.float64)
        ends, parts = share.cumsum(0), len(share)
        part = torch.searchsorted(ends, uniform, right=True).clamp_max(parts - 1)
        inside = ((uniform - (ends - share)[part]) / share[part]).clamp(0, 1 - 1e-12)
        r, weight = self.base(process, data_std, (part + inside) / parts)
        return Levels(r, weight / (parts * share[part]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return self.base.to_dict() | {"importance": list(self.shares)}
