"""Columns that are missing where another one says so: the questions that an answer skips.

Who has no car is not asked for its fuel. Independent noise in both columns answers that now and
then, and leaves it open for others. Such a gap is found in the cells and kept by generated rows;
it is no part of the metric.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wasserscore.core.typing import Array
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.number import Number
from wasserscore.data.tables.rules import EACH, LEVELS, factorized, texts

OTHERS = 0.5
"""The largest share of the other rows that may be alike: twenty rows are not so by chance then."""


@dataclass(frozen=True)
class Gap:
    """Whether the cells of one column are missing, as far as an earlier one says.

    Args:
        column: The one with gaps.
        of: The one that says so.
        empty: The values of that, as texts, with which a cell is always missing.
        full: Those with which it never is.
    """

    column: str
    of: str
    empty: tuple[str, ...]
    full: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it says."""
        if self.empty and self.full:
            return f"whether {self.column} is missing follows from {self.of}"
        how = "always" if self.empty else "never"
        return f"{self.column} is {how} missing with some values of {self.of}"

    def points_of(
        self, column: Number | Category, points: Array, drawn: Array, cells: pd.Series
    ) -> Array:
        """Coordinates ``(n, k)`` of a column that is missing where it has to be.

        Args:
            column: The one with gaps.
            points: Its coordinates, of rows.
            drawn: The same before they became cells: where the nearest other cell is looked for.
            cells: Of the column that says so.
        """
        codes, values = factorized(cells)
        gone, there = (np.array([text in some for text in texts(values)], dtype=bool)[codes]
                       for some in (self.empty, self.full))  # fmt: skip
        now = np.asarray(column.decode(points).isna())
        wrong = gone & ~now | there & now
        out = points.copy()
        out[wrong] = column.as_missing(drawn[wrong], gone[wrong])
        return out


def find_gaps(
    frame: pd.DataFrame, columns: Mapping[str, Number | Category], left: Collection[str]
) -> tuple[Gap, ...]:
    """The gaps of a table, in the order of its columns.

    A value says so that twenty rows have, all alike, while at most half of the others are; of
    numbers also the smallest or the largest ones together (pensions of people below sixty). Where
    several columns say something of one, it is the one that does of most rows, the first of these.

    Args:
        frame: The table.
        columns: Those that may take part, in the order of the table.
        left: Columns that have no gaps of this kind: they follow, or the user has spoken of them.
    """
    found: list[Gap] = []
    earlier: dict[str, tuple[Array, tuple[str, ...], Array]] = {}
    for name, column in columns.items():
        missing = np.asarray(frame[name].isna())
        if column.missing and name not in left and missing.any():
            tried = [_gap(name, missing, of, *gate) for of, gate in earlier.items()]
            rows, best = max(tried, key=lambda one: one[0], default=(0, None))
            found += [best] if best is not None and rows > 0 else []
        codes, values = factorized(frame[name])
        number = isinstance(column, Number) and not column.storage.moments
        if 2 <= len(values) <= (LEVELS if number else min(LEVELS, len(frame) // EACH)):
            rising = pd.Series(values).dropna().sort_values().index if number else ()
            earlier[name] = codes, texts(values), np.array(rising, dtype=np.int64)
    return tuple(found)


def _gap(
    name: str, missing: Array, of: str, codes: Array, values: tuple[str, ...], rising: Array
) -> tuple[int, Gap]:
    """What a column says of another, and of how many rows; numbers are ``rising``."""
    every, gone = np.bincount(codes), np.bincount(codes, missing)
    sides, rows = [], 0
    for alike in (gone, every - gone):
        same = (alike == every) & (every >= EACH)
        for end in (rising, rising[::-1]):
            run = end[: int((alike == every)[end].cumprod().sum())]
            same[run] |= every[run].sum() >= EACH
        others = every[~same].sum()
        some = others > 0 and alike[~same].sum() <= OTHERS * others
        sides.append(tuple(np.array(values, dtype=object)[same]) if some else ())
        rows += int(every[same].sum()) if some else 0
    return rows, Gap(name, of, *sides)
