"""Columns that follow from another: a level of one fixes the value of the other.

A school's name and the years it takes, a city and its country: independent noise in both columns
makes rows that no real table has. Such a rule is found in the cells and kept by generated rows; it
is no part of the metric.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.typing import Array

LEVELS = 1000
"""Most values of a column that others follow from."""
EACH = 20
"""Rows of each of its values, on average."""
LOOK = 4096
"""Rows that are looked at first: most pairs of columns are told apart by them."""
MISSING = "\0"
"""Stands for a missing cell; no cell of a table has this text."""


@dataclass(frozen=True)
class Rule:
    """One column as a function of another.

    Args:
        column: The one that follows.
        of: The one it follows from.
        cells: The values of that, as texts.
        points: What each of them makes of the first, as coordinates of the codec.
    """

    column: str
    of: str
    cells: tuple[str, ...]
    points: tuple[tuple[float, ...], ...]

    def points_of(self, cells: pd.Series, before: Array) -> Array:
        """The coordinates ``(n, k)`` that follow from cells, ``before`` of an unknown one."""
        codes, values = factorized(cells)
        known = dict(zip(self.cells, self.points, strict=True))
        out = before.copy()
        for code, text in enumerate(texts(values)):
            if text in known:
                out[codes == code] = known[text]
        return out


def find_rules(
    frame: pd.DataFrame, parts: dict[str, Array], fixed: Collection[str]
) -> tuple[Rule, ...]:
    """The rules that a table obeys without exception.

    A column follows from the one with the most values that fixes it. Values that one row alone has
    are no evidence. Of two columns that fix each other the later one follows.

    Args:
        frame: The table.
        parts: The coordinates of its rows by column, of columns that may take part.
        fixed: Columns that the user has spoken of, which follow from no other.
    """
    found = {name: factorized(frame[name]) for name in parts}
    few = min(LEVELS, len(frame) // EACH)
    order = [name for name in found if 2 <= len(found[name][1]) <= few]
    order.sort(key=lambda name: -len(found[name][1]))  # stable: earlier columns first
    rules: dict[str, Rule] = {}
    for of in order:
        if of in rules:
            continue
        codes, values = found[of]
        first = np.unique(codes, return_index=True)[1]
        for name in order:
            if name in (of, *rules, *fixed) or not _follows(codes, found[name][0]):
                continue
            points = tuple(map(tuple, parts[name][first].tolist()))
            rules[name] = Rule(name, of, texts(values), points)
    return tuple(rules.values())


def _follows(codes: Array, others: Array) -> bool:
    """Whether every code comes with one other, and not all with the same."""
    for rows in (slice(LOOK), slice(None)):
        a, b = codes[rows], others[rows]
        partner = np.zeros(int(a.max()) + 1, dtype=b.dtype)
        partner[a] = b
        if not bool((partner[a] == b).all()):
            return False
    often = np.bincount(codes)[codes] > 1
    return len(np.unique(others[often])) > 1


def factorized(cells: pd.Series) -> tuple[Array, Any]:
    """The number of each cell's value, and the values; missing is one."""
    codes, values = pd.factorize(cells, use_na_sentinel=False)
    return np.asarray(codes), values


def texts(values: Any) -> tuple[str, ...]:
    """Values as a file names them."""
    return tuple(MISSING if pd.isna(value) else str(value) for value in values)
