"""Rows as a fit sees them: double precision, each different row once, with its floor."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Cloud, Vector
from wasserscore.data.lattice import lattice_step

RELATIVE_FLOOR = 1e-6
"""No variance below this share of a column's own: likelihood is unbounded without a floor."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Different rows and how often each one came.

    A row that came twice would be its own nearest neighbour, and its own best explanation when
    one copy is held out; so copies are counted, not kept.

    Args:
        points: Different rows, ``(n, d)``, float64.
        counts: How often each came, ``(n,)``.
    """

    points: Cloud
    counts: Float[Tensor, " n"]

    @property
    def repeated(self) -> bool:
        """Whether any row came more than once."""
        return bool((self.counts > 1).any())

    def at(self, index: Int[Tensor, " m"]) -> "Rows":
        """Some of the rows."""
        return Rows(self.points[index], self.counts[index])

    def subset(self, size: int, streams: Streams) -> "Rows":
        """At most ``size`` rows, drawn without replacement."""
        n = len(self.points)
        if n <= size:
            return self
        return self.at(torch.randperm(n, generator=streams.generator("subset"))[:size])

    def folds(self, count: int, streams: Streams) -> list[tuple["Rows", "Rows"]]:
        """Pairs (training rows, held-out rows); copies of a row never part."""
        n = len(self.points)
        order = torch.randperm(n, generator=streams.generator("folds"))
        parts = [order[i::count] for i in range(min(count, n))]
        keep = torch.ones(n, dtype=torch.bool)
        pairs = []
        for part in parts:
            keep[part] = False
            pairs.append((self.at(keep.nonzero().squeeze(1)), self.at(part)))
            keep[part] = True
        return pairs


def distinct(points: Any) -> tuple[Rows, tuple[int, ...]]:
    """The rows of ``points`` flattened, and the shape of one point.

    Raises:
        InputError: On a cell that is not finite, or fewer than three different rows.
    """
    x = as_points(points, minimum=2)
    shape = tuple(x.shape[1:])
    different, counts = torch.unique(
        x.reshape(len(x), -1).double().cpu(), dim=0, return_counts=True
    )
    require(len(different) > 2, "points need at least three different rows", got=len(different),
            do="check that the table was read as intended")  # fmt: skip
    return Rows(different, counts.double()), shape


def least_variance(rows: Rows) -> Vector:
    r"""The variance below which no kernel may go in each column, ``(d,)``.

    .. math:: \max(10^{-6} \mathrm{Var}_j,\ \Delta_j^2 / 12)

    with :math:`\Delta_j` the step of a column that lies on a lattice (the variance that rounding
    to it hides). A constant column takes the median of the others.
    """
    share = (rows.counts / rows.counts.sum())[:, None]
    mean = (share * rows.points).sum(0)
    variance = (share * (rows.points - mean).square()).sum(0)
    least = RELATIVE_FLOOR * variance
    steps = [lattice_step(column) for column in rows.points.T]
    least = torch.maximum(least, torch.tensor(steps, dtype=least.dtype).square() / 12)
    # Rounding leaves a constant column with a variance of the order of eps^2 mean^2.
    moving = variance > (torch.finfo(least.dtype).eps * mean.abs() * 8).square()
    require(bool(moving.any()), "points must differ by more than rounding",
            got="columns that never change, to 15 digits",
            do="subtract what is common to all points")  # fmt: skip
    return torch.where(moving, least, least[moving].median())
