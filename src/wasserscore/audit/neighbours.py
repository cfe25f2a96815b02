"""Nearest training rows, and how far they are from each other."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.audit.tables import distinct
from wasserscore.core.errors import require
from wasserscore.distance.prdc import TIE
from wasserscore.kernel import nearest

COPY_QUANTILE = 0.01
"""A copy lies nearer to a training row than all but this share of training rows to another."""
FEW = "give more of them, and float64 where float32, far from zero, makes them equal"
RATIO = 1 / 3
"""A sample this much nearer to one training row than to any other is said to repeat it."""


class Closest(NamedTuple):
    """Per row: distances to the nearest and second nearest distinct training row, and which.

    ``spacing`` is the distance of that nearest training row to its own nearest neighbour. What
    is compared is equal up to :data:`~wasserscore.distance.prdc.TIE`.
    """

    first: Tensor
    second: Tensor
    row: Tensor
    spacing: Tensor

    @property
    def ratio(self) -> Tensor:
        """First / second, in [0, 1]."""
        return self.first / self.second

    @property
    def repeats(self) -> Tensor:
        """Ratio below one third. Source: Gu et al., On memorization in diffusion models, 2023."""
        return self.ratio < RATIO * (1 - TIE)

    @property
    def authentic(self) -> Tensor:
        """Farther from its nearest training row than that row is from any other, strictly.

        Source: Alaa et al., How faithful is your synthetic data?, 2022, section 3.
        """
        return self.first > self.spacing * (1 + TIE)

    def nearer(self, than: float) -> Tensor:
        """Which rows are nearer to a training row than this, and no tie."""
        return self.first < than * (1 - TIE)


def levelled(*sets: Tensor) -> tuple[Tensor, ...]:
    """The numbers of some sets, equal where they are up to :data:`~wasserscore.distance.prdc.TIE`.

    Ranks of distances between rows on a lattice are then those of the lattice: rounding would
    order its many ties otherwise in every unit.
    """
    values, order = torch.cat(sets).sort()
    apart = values.diff() > TIE * values[:-1]
    level = torch.cat([apart.new_zeros(1), apart]).cumsum(0)
    first = torch.searchsorted(level, level)
    together = torch.empty_like(values)
    together[order] = values[first]
    parts: tuple[Tensor, ...] = together.split([len(one) for one in sets])
    return parts


@dataclass(frozen=True)
class Training:
    """The training rows as the yardstick: distinct rows, their places, their spacing.

    Args:
        points: Distinct rows (n, d), float64.
        places: Row numbers of those rows in the set as given.
        spacing: Distance of each to its nearest other one.
        copy_distance: The ``COPY_QUANTILE`` quantile of the spacing.
    """

    points: Tensor
    places: Tensor
    spacing: Tensor
    copy_distance: float

    def closest(self, rows: Tensor) -> Closest:
        """Neighbours of ``rows (m, d)`` among the distinct training rows."""
        distances, which = nearest(rows.double(), self.points, 2)
        row = which[:, 0]
        return Closest(distances[:, 0], distances[:, 1], self.places[row], self.spacing[row])

    @property
    def count(self) -> int:
        """How many distinct rows there are."""
        return len(self.points)

    def copies(self, closest: Closest) -> Tensor:
        """Which rows are copies, exact or nearly so."""
        return closest.nearer(self.copy_distance)


def training(rows: Tensor) -> Training:
    """The yardstick of a training set ``(n, d)``.

    Raises:
        InputError: With fewer than three distinct rows.
    """
    points, places = distinct(rows.double())
    require(len(points) >= 3, "train needs at least 3 distinct rows", got=len(points), do=FEW)
    spacing = nearest(points, points, 1, exclude_self=True)[0][:, 0]
    return Training(points, places, spacing, float(torch.quantile(spacing, COPY_QUANTILE)))
