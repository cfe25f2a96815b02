"""Values of a column of numbers that come far too often, and such that stand for none."""

import numpy as np

from wasserscore.core.typing import Array
from wasserscore.data.tables.storage import as_python

MANY = 50
"""Fewer rows say nothing of identifiers, tails or such values."""
TAIL = 6.0
"""A hundredth of the values so many quartile deviations from the median is heavy (normal: 2.6),
and so is a standard deviation of so many (1); a value so far from all others stands for none."""
ATOM_SHARE, ATOM_RATIO, ATOM_LEVELS = 0.2, 5.0, 20
"""A value with this share of the rows, so many times the next one's, among so many others."""
OFTEN = 10
"""Rows of each value, on average, in a column of few values (at most as many as above), and of a
value that stands for none."""
MOST_NONE = 4
"""Values of one column that may stand for none (not asked, does not know, refuses, other)."""


def find_atoms(seen: Array, kind: str | None) -> tuple[float | int, ...]:
    """The values that are far too frequent, in order; the most frequent one of a column without
    such, where a user calls it inflated.

    Args:
        seen: The present cells.
        kind: What the user calls the column, if anything.
    """
    if kind not in (None, "inflated", "datetime"):
        return ()
    values, counts = np.unique(seen, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found: float | int = as_python(values[order[0]])
    if len(seen) >= MANY and len(values) > 2:
        first, second = counts[order[0]], counts[order[1]]
        frequent = first >= ATOM_SHARE * len(seen) and first >= ATOM_RATIO * second
        if frequent and len(values) > ATOM_LEVELS and not is_far(found, seen[seen != found]):
            return (found,)
        nones = _nones(values, counts)
        if nones:
            return nones
    return (found,) if kind == "inflated" else ()


def is_far(atom: float | int, body: Array) -> bool:
    """Whether a value lies so far from all others that it stands for none (-999, 1900-01-01)."""
    values = body.astype(float)
    low, high = float(values.min()), float(values.max())
    away = max(low - atom, atom - high)
    # Of few values (answers 1 to 5, and 99) most may be one, whose quartiles say nothing.
    few = len(np.unique(values)) < ATOM_LEVELS
    return away > max(TAIL * quartile_deviation(values), high - low if few else 0.0)


def quartile_deviation(body: Array) -> float:
    """The standard deviation of a normal law with these quartiles; never zero."""
    low, high = np.quantile(body.astype(float), (0.25, 0.75))
    spread = float(high - low) / 1.349 or float(body.astype(float).std())
    return spread or 1.0


def _nones(values: Array, counts: Array) -> tuple[float | int, ...]:
    """The values at the ends that stand for none: as many as can, those of more rows."""
    for many in range(min(MOST_NONE, len(values) - 2), 0, -1):
        found = []
        for above in range(many + 1):
            ends = np.r_[: many - above, len(values) - above : len(values)]
            if counts[ends].min() >= OFTEN and _stand_apart(values, counts, many - above, above):
                found.append((counts[ends].sum(), above, values[ends]))
        if found:
            return tuple(as_python(value) for value in max(found, key=lambda one: one[:2])[2])
    return ()


def _stand_apart(values: Array, counts: Array, below: int, above: int) -> bool:
    """Whether so many of the smallest and of the largest values are far from all others.

    Several at one end are closer to each other than to the others, and farther from zero or
    negative beside others that are not: 98 and 99 beside answers of 1 and 2, not the answers.
    """
    rest = slice(below, len(values) - above)
    low, high = (float(end) for end in values[rest][[0, -1]])
    ends = [end for end in (values[:below], values[len(values) - above :]) if len(end)]
    for end in ends:
        first, last = float(end[0]), float(end[-1])
        gap = max(low - last, first - high)
        outside = min(abs(first), abs(last)) > max(abs(low), abs(high)) or last < 0 <= low
        if len(end) > 1 and not (last - first < gap and outside):
            return False
    body = np.repeat(values[rest], counts[rest])
    return all(is_far(as_python(value), body) for end in ends for value in end)
