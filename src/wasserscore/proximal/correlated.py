"""A fit that keeps the correlations of the points.

Among many columns that have nothing to do with the others (the levels of a column of noise),
neighbours are neighbours by chance, and the kernel that explains held-out points best is as wide
as the data: columns that follow each other no longer do. Seen along their principal axes, each
in its own deviation, they are widened alike, and stay correlated however wide that is.
"""

from typing import Any

import torch

from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Cloud, Matrix
from wasserscore.data.scaling import Scaling
from wasserscore.process.base import Process
from wasserscore.proximal.fit import fit_proximal
from wasserscore.proximal.sample_rows import distinct
from wasserscore.score.proximal import ProximalScore

LOST = 0.2
"""A correlation may be off by this much; columns of half as much are part of the trouble."""
SURE = 4.0
"""Standard errors of a correlation that is more than luck of the points."""
ENOUGH = 4
"""Points per column that is turned: of d columns the thinnest of n points' axes has about
(1 - (d / n)^(1/2))^2 of its variance, here a quarter, and none from d = n on."""
DRAWN = 2**13
"""Points drawn to measure correlations, to about .01."""


def fit_correlated(
    points: Any, process: Process, *, seed: int = 0, scaling: Scaling | None = None
) -> ProximalScore:
    """:func:`fit_proximal`, once more along principal axes where it loses correlations.

    Of the two fits the one that is less far off is kept. Of fewer than four points per column that
    would be turned, axes are luck of the points, and the first fit stays.

    Args:
        points: ``(n, *shape)``, at least three different rows.
        process: The forward process of the score.
        seed: Decides the folds, the rows for tuning, and what is drawn to measure correlations.
        scaling: Stored with the score.
    """
    score = fit_proximal(points, process, seed=seed, scaling=scaling)
    off = _off(score, points, seed)
    lost = (off.amax(1) > LOST / 2).nonzero()[:, 0].tolist()
    if float(off.max()) <= LOST or len(lost) < 2:
        return score
    if len(distinct(points)[0].points) < ENOUGH * len(lost):
        return score
    turned = fit_proximal(points, process, seed=seed, scaling=scaling, turn=lost)
    return turned if float(_off(turned, points, seed).max()) < float(off.max()) else score


def _off(score: ProximalScore, points: Any, seed: int) -> Matrix:
    """How far a law is from the correlations that the points have for sure, ``(d, d)``."""
    streams = Streams(seed).child("fit_correlated")
    drawn = score.sample_marginal(DRAWN, generator=streams.generator("drawn"))
    found, wanted = (_correlation(x.flatten(1).double()) for x in (drawn, as_points(points)))
    off: Matrix = (found - wanted).abs() * (wanted.abs() > SURE / len(points) ** 0.5)
    return off


def _correlation(x: Cloud) -> Matrix:
    """Of the columns; zero for one that never changes."""
    return torch.nan_to_num(torch.atleast_2d(torch.corrcoef(x.T)))
