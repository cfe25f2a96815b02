"""Columns of levels, columns that never change, and columns that only name their rows."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array
from wasserscore.data.tables.codes import (
    APART,
    SIMPLEX_LEVELS,
    level_points,
    nearest_levels,
    stranger,
)
from wasserscore.data.tables.storage import Storage, as_python

Level = str | int | float | bool
"""What a cell may hold."""
SHOWN = 4
"""Levels that a table of columns shows."""


@dataclass(frozen=True)
class Category:
    """A column of levels; a missing cell is one more level, never filled in.

    Args:
        name: Of the column.
        storage: How its cells are held.
        kind: "categorical" or "boolean".
        levels: All values that may come, two or more with the missing one.
        missing: Whether cells may be missing.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("categorical", "boolean")

    name: str
    storage: Storage
    kind: str
    levels: tuple[Level, ...]
    missing: bool = False

    @property
    def count(self) -> int:
        """How many levels there are, the missing one included."""
        return len(self.levels) + self.missing

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        labels = [*map(str, self.levels), *["missing"] * self.missing]
        if self.count == 2:
            return (f"{self.name} is {labels[1]}",)
        if self.count <= SIMPLEX_LEVELS:
            return tuple(f"{self.name} is {label}" for label in labels)
        width = level_points(self.count).shape[1]
        return tuple(f"{self.name}, bit {bit}" for bit in range(width))

    @property
    def lattice(self) -> tuple[float, ...]:
        """A quarter of what two levels differ by in a coordinate: such noise moves no level."""
        points = level_points(self.count)
        width: int = points.shape[1]
        return ((float(points.max()) - float(points.min())) / 4,) * width

    @property
    def meaning(self) -> str:
        """What one unit of distance is."""
        apart = f"{APART:.2f}"
        if self.count > SIMPLEX_LEVELS:
            apart = "1.22 to 1.58" if self.count <= 2**10 else "1.32 to 1.50"
        return f"two levels are {apart} apart"

    @property
    def values(self) -> str:
        """The first levels and how many there are."""
        shown = ", ".join(map(str, self.levels[:SHOWN]))
        more = len(self.levels) - SHOWN
        return f"{shown}, and {more} more" if more > 0 else shown

    def encode(self, cells: "pd.Series[Any]", *, exact: bool = True) -> Array:
        """Coordinates ``(n, width)``.

        Args:
            cells: The column.
            exact: Refuse a value that is no level; without it such a cell is placed away from
                all of them.

        Raises:
            InputError: For the first such value, by row and column.
        """
        found = self.numbers(cells)
        if exact and (found < 0).any():
            row = int((found < 0).argmax())
            raise InputError(explain(
                f"column {self.name!r} must hold one of its {self.count} levels",
                got=f"{cells.iloc[row]!r} at row {row}", do="add it to the schema"))  # fmt: skip
        points = level_points(self.count)[found]
        points[found < 0] = stranger(self.count)
        out: Array = points
        return out

    def decode(self, points: Array) -> "pd.Series[Any]":
        """The column of some points ``(n, width)``: the nearest level of each."""
        found = nearest_levels(points, self.count)
        absent = found == len(self.levels)
        if self.storage.dtype == "category":
            inner = pd.Index(list(self.levels), dtype=self.storage.categories)
            kept = pd.Categorical.from_codes(
                np.where(absent, -1, found), categories=inner, ordered=self.storage.ordered
            )
            return pd.Series(kept, name=self.name)
        levels = np.empty(len(self.levels) + 1, dtype=object)
        levels[:-1] = self.levels
        values = levels[np.where(absent, 0, found)]
        return self.storage.cells(values, absent, self.name)

    def as_missing(self, points: Array, missing: Array) -> Array:
        """The nearest points ``(n, width)`` of cells that are missing, or present, as told."""
        present = np.zeros(len(points), dtype=np.int64)
        if self.count > 2:
            barred = np.r_[np.zeros(len(self.levels)), -np.inf]
            present = nearest_levels(points, self.count, barred)
        found: Array = level_points(self.count)[np.where(missing, len(self.levels), present)]
        return found

    def unseen(self, cells: "pd.Series[Any]") -> tuple[str | None, ...]:
        """Values of another table that are no level here; None for missing cells."""
        strange = cells[self.numbers(cells) < 0]
        return tuple(dict.fromkeys(None if gone else str(v) for v, gone in
                                   zip(strange, strange.isna(), strict=True)))  # fmt: skip

    def numbers(self, cells: "pd.Series[Any]") -> Array:
        """The number of each cell's level, -1 where it is none."""
        number = {level: i for i, level in enumerate(self.levels)}
        codes, different = pd.factorize(cells.astype(object))
        known = [number.get(as_python(value), -1) for value in different]
        absent = len(self.levels) if self.missing else -1
        out: Array = np.array([*known, absent], dtype=np.int64)[codes]
        return out


@dataclass(frozen=True)
class Constant:
    """A column that never changes: no coordinate, the same cell in every row.

    Args:
        name: Of the column.
        storage: How its cells are held.
        value: The cell (a whole number of ticks for dates); None where all are missing.
        levels: All categories of a categorical column.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("constant",)

    name: str
    storage: Storage
    value: Level | None
    levels: tuple[Level, ...] = ()
    kind: str = "constant"
    coordinates: ClassVar[tuple[str, ...]] = ()
    lattice: ClassVar[tuple[float, ...]] = ()
    meaning: ClassVar[str] = "no part in distances"

    @property
    def values(self) -> str:
        """The one cell."""
        return "missing" if self.value is None else str(self.decode(np.zeros((1, 0))).iloc[0])

    def encode(self, cells: "pd.Series[Any]", *, exact: bool = True) -> Array:
        """No coordinates; with ``exact`` every cell must be the constant."""
        require(not exact or self.holds(cells), f"column {self.name!r} must be {self.values} in "
                "every row", got="other cells")  # fmt: skip
        return np.zeros((len(cells), 0))

    def holds(self, cells: "pd.Series[Any]") -> bool:
        """Whether every cell is the constant."""
        cells, here = cells.reset_index(drop=True), self.decode(np.zeros((len(cells), 0)))
        same = (cells.astype(object) == here.astype(object)) & cells.notna() & here.notna()
        return bool((same | (cells.isna() & here.isna())).all())

    def decode(self, points: Array) -> "pd.Series[Any]":
        """The constant, once per row."""
        n = len(points)
        absent = np.full(n, self.value is None)
        if self.storage.dtype == "category":
            inner = pd.Index(list(self.levels), dtype=self.storage.categories)
            code = -1 if self.value is None else self.levels.index(self.value)
            return pd.Series(
                pd.Categorical.from_codes([code] * n, inner, ordered=self.storage.ordered),
                name=self.name,
            )
        if self.storage.moments:
            ticks = np.full(n, 0 if self.value is None else int(self.value), dtype=np.int64)
            return self.storage.cells(ticks, absent, self.name)
        values = np.empty(n, dtype=object)
        values[:] = self.value
        return self.storage.cells(values, absent, self.name)


@dataclass(frozen=True)
class Identifier:
    """A column that names rows: no coordinate, never copied; new rows are numbered.

    Args:
        name: Of the column.
        storage: How its cells are held.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("identifier",)

    name: str
    storage: Storage
    kind: str = "identifier"
    coordinates: ClassVar[tuple[str, ...]] = ()
    lattice: ClassVar[tuple[float, ...]] = ()
    meaning: ClassVar[str] = "no part in distances"
    values: ClassVar[str] = "left out; new rows are numbered"

    def encode(self, cells: "pd.Series[Any]", *, exact: bool = True) -> Array:
        """No coordinates."""
        return np.zeros((len(cells), 0))

    def decode(self, points: Array, start: int = 0) -> "pd.Series[Any]":
        """Numbers after ``start``, or for text ``row-1``, ``row-2``, ..."""
        numbers = np.arange(start + 1, start + len(points) + 1)
        if pd.api.types.is_numeric_dtype(pd.api.types.pandas_dtype(self.storage.dtype)):
            return pd.Series(numbers, name=self.name).astype(self.storage.dtype)  # type: ignore[call-overload, no-any-return]
        names = np.empty(len(points), dtype=object)
        names[:] = [f"row-{i}" for i in numbers]
        return pd.Series(names, name=self.name).astype(self.storage.dtype)  # type: ignore[call-overload, no-any-return]
