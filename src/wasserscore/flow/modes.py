"""How well particles cover modes that are known: the measure of every planar benchmark."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.results import Record

WITHIN = 3.0
"""A particle within this many standard deviations of a centre has high quality."""
HIT = 0.2
"""A mode is hit by at least this share of an even share of the high-quality particles."""


@dataclass(frozen=True)
class ModeQuality(Record):
    """Particles against equal round modes.

    Args:
        hit: Modes with at least a fifth of an even share of the high-quality particles.
        modes: How many there are.
        high_quality: Share of particles within three standard deviations of a centre; a perfect
            sampler in the plane has 98.9 %.
        kl: Of the histogram over nearest modes from the uniform one, nats.
        spread: Mean standard deviation within modes, of high-quality particles only (a perfect
            planar sampler has .974 of the true one), data units.
    """

    hit: int
    modes: int
    high_quality: float
    kl: float
    spread: float


def mode_quality(x: Tensor, centres: Tensor, std: float) -> ModeQuality:
    """Modes hit, quality, evenness and spread.

    Args:
        x: Particles ``(n, d)``.
        centres: ``(k, d)``.
        std: Of every mode.

    Raises:
        InputError: For a standard deviation that is not positive.
    """
    require(0 < std < math.inf, "std must be positive", got=std)
    k = len(centres)
    apart = torch.cdist(x, centres.to(x), compute_mode="donot_use_mm_for_euclid_dist")
    distance, nearest = apart.min(1)
    good = distance <= WITHIN * std
    counts = torch.bincount(nearest[good], minlength=k)
    share = torch.bincount(nearest, minlength=k).double() / len(x)
    kl = float(torch.special.xlogy(share, share * k).sum())
    groups = [x[good & (nearest == i)] for i in range(k) if int(counts[i]) > 2]
    spread = sum(float(g.std(0).mean()) for g in groups) / len(groups) if groups else math.nan
    hit = int(((counts >= HIT * counts.sum() / k) & (counts > 0)).sum())
    return ModeQuality(hit, k, float(good.double().mean()), kl, spread)
