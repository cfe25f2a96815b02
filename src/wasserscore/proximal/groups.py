"""A proximal fit per group: the rows of every group by themselves, weighted by their share."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Points
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.proximal.choose import FEW_ROWS
from wasserscore.proximal.correlated import fit_correlated
from wasserscore.proximal.fit import fit_proximal
from wasserscore.score.grouped import GroupedScore

LEAST = FEW_ROWS
"""Groups of fewer rows are fitted together: they are too small for covariances of their own."""
FIT = 3
"""Different rows that a fit needs."""


def fit_groups(
    points: Points,
    groups: Int[Tensor, " n"],
    process: Process,
    *,
    method: str = "auto",
    latent: int | float | None = None,
    seed: int = 0,
    scaling: Scaling | None = None,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> GroupedScore:
    """A proximal law per group of the points, and their mixture.

    A joint fit borrows neighbours from other groups, so what tells groups apart is smoothed over;
    fits of their own keep it, at the price of fewer rows in each, and by default each keeps its
    correlations (:func:`fit_correlated`). Groups of fewer than :data:`LEAST` rows become one; if
    that has fewer than three, they join the largest.

    Args:
        points: ``(n, *shape)``.
        groups: The number of each point's group, from 0 on.
        process: The forward process of the score.
        method: See :func:`fit_proximal`.
        latent: See :func:`fit_proximal`.
        seed: Of all fits.
        scaling: Stored with the score.
        told: Told how many fits are done, of how many.

    Raises:
        InputError: On what :func:`parts_of` and :func:`fit_proximal` refuse.
    """
    parts = parts_of(points, groups)
    fit: Callable[..., Any] = fit_correlated
    if method != "auto" or latent is not None:
        fit = partial(fit_proximal, method=method, latent=latent)
    streams, laws = Streams(seed).child("groups"), []
    for done, rows in enumerate(parts):
        told(done, len(parts))
        key = streams.key(str(done)) % 2**31
        laws.append(fit(points[rows], process, seed=key, scaling=scaling))
    told(len(parts), len(parts))
    weights = torch.tensor([len(rows) for rows in parts], dtype=torch.float64)
    return GroupedScore(tuple(laws), weights, process, laws[0].shape, scaling)


def differ(points: Points) -> bool:
    """Whether there are as many different points as a fit needs, :data:`FIT`."""
    for _ in range(FIT - 1):
        points = points[(points != points[:1]).flatten(1).any(1)]
    return len(points) > 0


def parts_of(points: Points, groups: Int[Tensor, " n"]) -> list[Int[Tensor, " k"]]:
    """Rows of every group that is large and varied enough, then of all others together.

    Args:
        points: ``(n, *shape)``.
        groups: The number of each point's group, from 0 on.

    Raises:
        InputError: If all rows would be fitted together.
    """
    sizes = groups.bincount()
    large = [(groups == g).nonzero().squeeze(1) for g in (sizes >= LEAST).nonzero().squeeze(1)]
    parts = [rows for rows in large if differ(points[rows])]
    others = torch.ones_like(groups, dtype=torch.bool)
    for rows in parts:
        others[rows] = False
    rest = others.nonzero().squeeze(1)
    if differ(points[rest]):
        parts.append(rest)
    elif parts:
        largest = max(range(len(parts)), key=lambda g: len(parts[g]))
        parts[largest] = torch.cat([parts[largest], rest]).sort().values
    require(len(parts) > 1, f"fits per group need a group of {LEAST} rows and others beside it",
            got=f"{len(groups.unique())} groups in {len(groups)} rows, the largest with "
            f"{int(sizes.max())}", do="name another column, or fit all rows at once")  # fmt: skip
    return parts
