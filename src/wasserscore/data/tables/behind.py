"""Dates close behind another one, which a smooth law of both does not keep there.

An admission and a discharge, hours apart in a table of years: noise that fits the years puts many
of the discharges before their admissions.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from wasserscore.core.typing import Array
from wasserscore.data.tables.number import Number, duration

LEAST = 50
"""Fewer rows say nothing."""
CLOSE = 0.1
"""Nine of ten differences, in standard deviations of the first date."""
ROUNDED = 1e-6
"""Seconds that counting nanoseconds since 1970 in doubles may be off."""


class Behind(NamedTuple):
    """A date that is never before another one, and close to it.

    Args:
        column: The later one.
        of: The earlier one.
        within: How far nine of ten are behind, as text.
    """

    column: str
    of: str
    within: str

    @property
    def note(self) -> str:
        """What to know of it, and what to do."""
        return (
            f"column {self.column!r} is never before {self.of!r}, and mostly within {self.within} "
            "of it: new rows will not keep that; give the difference as a column of numbers in "
            "its place"
        )


def find_behind(columns: Sequence[Number], points: Sequence[Array]) -> tuple[Behind, ...]:
    """Such pairs of dates; the nearest one before, where there are several.

    Args:
        columns: Columns of moments.
        points: The coordinates of each, ``(n, width)``.
    """
    seconds = [_seconds(column, x) for column, x in zip(columns, points, strict=True)]
    found: dict[str, tuple[float, Behind]] = {}
    for (a, first), (b, second) in permutations(zip(columns, seconds, strict=True), 2):
        gaps = second - first
        gaps = gaps[np.isfinite(gaps)]
        told = a.name in found and found[a.name][1].of == b.name  # they are the same
        if told or len(gaps) < LEAST or gaps.min() < -ROUNDED:
            continue
        within = float(np.quantile(gaps, 0.9))
        if within < min(CLOSE * float(np.nanstd(first)), found.get(b.name, (np.inf,))[0]):
            found[b.name] = within, Behind(b.name, a.name, duration(within))
    return tuple(pair for _, pair in found.values())


def _seconds(column: Number, x: Array) -> Array:
    """Moments, NaN where a cell is missing or stands for none."""
    return np.where(column.placed(x), column.seconds(x[:, 0]), np.nan)
