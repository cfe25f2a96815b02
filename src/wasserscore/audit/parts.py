"""The yardstick of training rows that stay on disk: every row is searched, a part at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.audit.neighbours import COPY_QUANTILE, FEW, Closest
from wasserscore.audit.tables import distinct, exact_matches, keys
from wasserscore.core.errors import require
from wasserscore.core.numbers import spelled
from wasserscore.core.random import Streams
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud
from wasserscore.data import Mapped
from wasserscore.distance.clouds import require_squares
from wasserscore.kernel import nearest

PART_NUMBERS = 2**23
"""Numbers of a part, 64 MiB in float64; the search holds it several times."""
SPACING_ROWS = 10_000
"""Rows whose spacing is asked for the copy distance; each is compared with all others."""


@dataclass(frozen=True)
class TrainingInParts:
    """As :class:`~wasserscore.audit.neighbours.Training`, of rows on disk.

    Args:
        rows: All training rows.
        count: How many of them are distinct.
        copy_distance: The ``COPY_QUANTILE`` quantile of the spacing of distinct rows, of at most
            :data:`SPACING_ROWS` drawn ones where there are more.
    """

    rows: Mapped
    count: int
    copy_distance: float

    def closest(self, x: Cloud) -> Closest:
        """Neighbours of ``x (m, d)`` among the distinct training rows."""
        distances, places = two_nearest(x.double(), self.rows)
        near, back = places[:, 0].unique(return_inverse=True)
        return Closest(distances[:, 0], distances[:, 1], places[:, 0],
                       _spacing(self.rows, near)[back])  # fmt: skip

    def copies(self, closest: Closest) -> Tensor:
        """Which rows are copies, exact or nearly so."""
        return closest.nearer(self.copy_distance)


def training_in_parts(rows: Mapped, *, seed: int = 0) -> TrainingInParts:
    """The yardstick of rows on disk.

    Args:
        rows: All training rows.
        seed: Of the rows whose spacing is asked, where there are more than some.

    Raises:
        InputError: With fewer than three distinct rows, or numbers whose squares are none.
    """
    seen, sizes = [], []
    for _, points in _parts(rows):
        seen.append(torch.tensor([hash(key) for key in keys(points)]))  # eight bytes a row
        sizes.append(points.abs().max())
    require_squares(torch.stack(sizes))
    count = len(torch.cat(seen).unique())
    require(count >= 3, "train needs at least 3 distinct rows", got=count, do=FEW)
    drawn = Streams(seed).subset("spacing", len(rows), SPACING_ROWS)
    distances, places = two_nearest(spelled(rows[drawn].flatten(1)), rows)
    spacing = distances[places[:, 0] == drawn, 1]  # of repeated rows, the first only
    return TrainingInParts(rows, count, float(torch.quantile(spacing, COPY_QUANTILE)))


def exact_in_parts(x: Tensor, rows: Mapped) -> Tensor:
    """Which of ``x`` are training rows, number for number."""
    found = torch.zeros(len(x), dtype=torch.bool)
    for _, points in _parts(rows):
        found |= exact_matches(spelled(x), points)
    return found


def two_nearest(
    x: Float[Tensor, "m d"], rows: Mapped
) -> tuple[Float[Tensor, "m 2"], Int[Tensor, "m 2"]]:
    """Distances and places of the two nearest *distinct* rows, each at its first place.

    A pair of two parts' nearest rows holds the nearest of both, when a row of the second that
    the first has found already is left out. Nearest first, ties by place; a missing second row
    is at infinity.
    """
    distances = torch.full((len(x), 2), math.inf, dtype=torch.float64)
    places = torch.zeros(len(x), 2, dtype=torch.long)
    for start, part in _parts(rows):
        points, first = distinct(part)
        near, which = nearest(x, points, min(2, len(points)))
        found = start + first[which]
        for old in range(2):
            for new in range(found.shape[1]):
                twin = torch.isclose(near[:, new], distances[:, old], rtol=1e-9, atol=0)
                same = twin.nonzero()[:, 0]
                for some in tiles(len(same), max(1, PART_NUMBERS // x.shape[1])):
                    at = same[some]
                    equal = rows[found[at, new]] == rows[places[at, old]]
                    near[at[equal.flatten(1).all(1)], new] = math.inf
        order = torch.cat([distances, near], 1).sort(stable=True, dim=1)
        distances = order.values[:, :2]
        places = torch.cat([places, found], 1).gather(1, order.indices[:, :2])
    return distances, places


def _spacing(rows: Mapped, places: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Distances of rows to the nearest other one: each finds itself first, at zero."""
    return two_nearest(spelled(rows[places].flatten(1)), rows)[0][:, 1]


def _parts(rows: Mapped) -> Iterator[tuple[int, Cloud]]:
    """The first place of every part, and its rows ``(k, d)`` in float64."""
    for part in tiles(len(rows), max(1, PART_NUMBERS // math.prod(rows.shape[1:]))):
        points = spelled(rows[part].flatten(1))
        require(bool(torch.isfinite(points).all()), "training rows must be finite in every cell",
                got=f"NaN or infinity in rows {part.start} to {part.stop - 1}",
                do="drop or fill these cells")  # fmt: skip
        yield part.start, points
