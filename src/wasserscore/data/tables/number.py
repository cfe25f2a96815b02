r"""Columns of numbers, dates included: a power of two as unit, so that nothing is rounded.

A value x becomes :math:`x / u`, with u the power of two nearest to the column's standard
deviation: an exact operation in floating point, which no division by the deviation itself and no
centring is. (Integers and dates are counted in steps of their grid from the smallest, and u is a
power of two of steps.) One unit of distance is u, between 0.71 and 1.41 standard deviations.

Heavy tails become :math:`asinh((x - c) / s)`, c the median and s the quartiles' deviation: one
unit is s near the median and a factor e far from it. That map rounds, so such a column must lie
on a grid (integers, or a number of decimals), to which it is rounded back.

A column of few numbers with gaps between them (ages of 7, 14 and 28 days) gives these back and no
others; so does one of up to a thousand that come ten times each and leave much of their grid out.

A column with missing cells, and one where a value is far too frequent (zeros of an amount), have
one more coordinate for each: 0, or :data:`~wasserscore.data.tables.codes.APART` where the cell is
missing or is that value. A missing cell sits at the median of the others, and so do values that
lie far outside of their range (-999, 1900-01-01 for none; 98 and 99 beside answers 1 to 5).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array
from wasserscore.data.tables.codes import APART
from wasserscore.data.tables.grid import Grid, shift, steps_from
from wasserscore.data.tables.storage import Storage


@dataclass(frozen=True)
class Number:
    """One column of numbers or dates.

    Args:
        name: Of the column.
        storage: How its cells are held.
        kind: "numeric", "integer", "bounded", "few-valued", "heavy-tailed", "inflated" or
            "datetime".
        low: Smallest value; what is decoded is cut to it, but for atoms. Integers and ticks
            stay whole.
        high: Largest value.
        exponent: The unit is two to this power (steps of the grid, for integers and dates).
        middle: The median, where missing cells sit, and atoms outside of the range.
        spread: Of the asinh map, for heavy tails.
        grid: What values are rounded to; None for any double.
        atoms: The values that are far too frequent, if any.
        missing: Whether cells may be missing.
        seen: All values that may come, in order; empty for any.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        "numeric", "integer", "bounded", "few-valued", "heavy-tailed", "inflated", "datetime",
    )  # fmt: skip

    name: str
    storage: Storage
    kind: str
    low: int | float
    high: int | float
    exponent: int
    middle: int | float
    spread: float | None = None
    grid: Grid | None = None
    atoms: tuple[int | float, ...] = ()
    missing: bool = False
    seen: tuple[int | float, ...] = ()

    @property
    def heavy(self) -> bool:
        """Whether the asinh map is used."""
        return self.spread is not None

    @property
    def whole(self) -> bool:
        """Whether values are integers (or ticks of time) and never become floats."""
        return self.storage.moments or _is_integer(self.storage.dtype)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        return (self.name, *(f"{self.name} is {flag}" for flag in self.flags))

    @property
    def flags(self) -> tuple[str, ...]:
        """What the coordinates after the first one tell: a value that is far too frequent, and
        that a cell is missing.
        """
        return (*map(self._shown, self.atoms), *["missing"] * self.missing)

    @property
    def lattice(self) -> tuple[float, ...]:
        """Steps within which noise changes no decoded value; 0 where there is none."""
        step = 0.0
        if self.grid is not None:
            step = self.grid.step / (self.spread or self.unit)
        elif self.seen:
            step = float(np.diff(self.seen).min()) / self.unit
        return (step, *[APART / 4] * (len(self.coordinates) - 1))

    @property
    def unit(self) -> float:
        """What one unit of distance is, where there is no heavy tail; ticks of time for dates."""
        stride = self.grid.stride if self.grid is not None and self.whole else 1
        return 2.0**self.exponent * stride

    @property
    def meaning(self) -> str:
        """What one unit of distance is."""
        if self.spread is not None:
            return f"{self.spread:.3g} near the median, a factor 2.7 far from it"
        if self.storage.moments:
            return duration(self.unit * self._tick)
        return f"{self.unit:.4g}"

    @property
    def values(self) -> str:
        """The range, and what is special in it."""
        ends = [f"{v:.6g}" if isinstance(v, float) else self._shown(v)
                for v in (self.low, self.high)]  # fmt: skip
        often = " and ".join(map(self._shown, self.atoms))
        notes = [f"often {often}"] if often else []
        notes += [f"{len(self.seen)} values"] if self.seen else []
        if self.grid is not None and (self.grid.stride > 1 or self.grid.decimals):
            notes += [] if self.storage.moments else [f"steps of {self.grid.step:g}"]
        return ", ".join([f"{ends[0]} to {ends[1]}", *notes])

    def encode(self, cells: "pd.Series[Any]", *, exact: bool = True) -> Array:
        """Coordinates ``(n, width)``.

        Args:
            cells: The column.
            exact: Refuse a cell that :meth:`decode` could not give back; without it such a cell
                is placed where it belongs (out of range, between two steps), just not recorded
                as one that can be released.

        Raises:
            InputError: For the first such cell, by row and column.
        """
        numbers, absent = self._numbers(cells)
        require(self.missing or not absent.any(), f"column {self.name!r} must not be missing",
                got=f"a missing cell at row {int(absent.argmax()) if len(absent) else 0}",
                do="fill or drop it: the rows that the codec was made of have none")  # fmt: skip
        points = np.zeros((len(numbers), len(self.coordinates)))
        points[:, 0] = self._forward(numbers)
        for place, atom in enumerate(self.atoms, start=1):
            points[~absent & (numbers == atom), place] = APART
        if self.missing:
            points[absent, -1] = APART
        points[absent | ~self.placed(points), 0] = self._forward(np.array([self.middle]))[0]
        if exact:
            back, gone = self._back(points)
            self._require_same(numbers, back, absent, gone)
        return points

    def decode(self, points: Array) -> "pd.Series[Any]":
        """The column of some points ``(n, width)``: every row has cells of the right kind."""
        values, absent = self._back(points)
        return self._cells(values, absent)

    def special(self, points: Array) -> Array:
        """Of points ``(n, width)``, as :meth:`decode` takes them, whether each is a value that
        is far too frequent, and whether it is missing: ``(n, flags)``. Others are ordinary.
        """
        found: Array = points[:, 1:] > APART / 2
        return found

    def placed(self, points: Array) -> Array:
        """Of points ``(n, width)``, whether the first coordinate is their value ``(n,)``: it is
        not where that is missing or stands for none.
        """
        elsewhere = [not self.low <= atom <= self.high for atom in self.atoms]
        none = np.array([*elsewhere, *[True] * self.missing], dtype=bool)
        return np.asarray(~self.special(points)[:, none].any(1))

    def as_missing(self, points: Array, missing: Array) -> Array:
        """The nearest points ``(n, width)`` of cells that are missing, or present, as told."""
        told = points.copy()
        told[:, -1] = APART * missing
        return self.encode(self.decode(told), exact=False)

    def seconds(self, coordinate: Array) -> Array:
        """The seconds since 1970 that the first coordinate ``(n,)`` of a column of dates is."""
        start = 0 if self.grid is None else self.grid.first
        found: Array = (coordinate * self.unit + start) * self._tick
        return found

    # Inside -------------------------------------------------------------------------------------

    @property
    def _tick(self) -> float:
        return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[self.storage.tick]

    def _numbers(self, cells: "pd.Series[Any]") -> tuple[Array, Array]:
        if self.whole and cells.dtype.kind == "f":  # another table may hold 3.7 where ours counts
            numbers, absent = Storage("float64").numbers(cells)
        else:
            numbers, absent = self.storage.numbers(cells)
        bad = ~absent & ~np.isfinite(numbers) if numbers.dtype.kind == "f" else np.zeros(0, bool)
        require(not bad.any(), f"column {self.name!r} must be finite",
                got=f"{numbers[bad][:1]} at row {int(bad.argmax()) if bad.any() else 0}",
                do="drop such cells or leave them empty")  # fmt: skip
        return numbers, absent

    def _forward(self, numbers: Array) -> Array:
        if self.spread is not None:
            out: Array = np.arcsinh((numbers.astype(float) - self.middle) / self.spread)
            return out
        if self.grid is not None and self.whole:
            numbers = steps_from(numbers, self.grid.first, self.grid.stride)
        scaled: Array = np.ldexp(numbers.astype(float), -self.exponent)
        return scaled

    def _back(self, points: Array) -> tuple[Array, Array]:
        value = points[:, 0]
        with np.errstate(over="ignore"):
            if self.grid is not None and self.whole:
                found = self._whole_back(value, self.grid)
            elif self.spread is not None:
                found = self._snap(np.sinh(value) * self.spread + self.middle)
            else:
                found = self._snap(np.ldexp(value, self.exponent))
        if self.seen:
            known = np.array(self.seen, dtype=found.dtype)
            gap = np.diff(known)
            half = gap / 2 if found.dtype.kind == "f" else (gap + 1) // 2
            found = known[np.searchsorted(known[:-1] + half, found, side="right")]
        absent = np.zeros(len(points), dtype=bool)
        if self.atoms:
            flags = points[:, 1 : 1 + len(self.atoms)]
            often = flags.max(1) > APART / 2
            found[often] = np.array(self.atoms, dtype=found.dtype)[flags[often].argmax(1)]
        if self.missing:
            absent = self.special(points)[:, -1]
        return found, absent

    def _whole_back(self, value: Array, grid: Grid) -> Array:
        """Integers, from steps that are counted before anything large is added."""
        if self.spread is None:
            steps = np.ldexp(value, self.exponent)
        else:
            steps = (np.sinh(value) * self.spread + (self.middle - grid.first)) / grid.stride
        least, most = ((end - grid.first) / grid.stride for end in (self.low, self.high))
        whole = np.clip(np.rint(steps), np.ceil(least), np.floor(most)).astype(np.int64)
        return shift(whole * grid.stride, grid.first, max(self.high, *self.atoms, 0))

    def _snap(self, numbers: Array) -> Array:
        """Floats: onto the grid, if there is one, and into the range."""
        if self.grid is not None:
            numbers = self.grid.nearest(numbers)
        found: Array = np.clip(numbers, self.low, self.high)
        return found

    def _shown(self, value: int | float) -> str:
        """A value as cells show it, not in ticks."""
        if not self.storage.moments:
            return str(value)
        return str(self._cells(np.array([value]), np.array([False])).iloc[0])

    def _cells(self, values: Array, absent: Array) -> "pd.Series[Any]":
        if _is_float(self.storage.dtype) and not self.whole:
            values = values.astype(float)
        return self.storage.cells(values, absent, self.name)

    def _require_same(self, came: Array, back: Array, absent: Array, gone: Array) -> None:
        if self.storage.dtype in ("float32", "Float32", "float16"):
            back = back.astype(self.storage.dtype.lower()).astype(float)
        wrong = ~absent & (came != back) | (absent != gone)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(explain(
                f"column {self.name!r} ({self.kind}) must come back exactly",
                got=f"{came[row]!s} at row {row}, which would become {back[row]!s}",
                do="round the column, or give it another kind or range in the schema",
            ))  # fmt: skip


def _is_integer(dtype: str) -> bool:
    return dtype.lower().startswith(("int", "uint"))


def _is_float(dtype: str) -> bool:
    return dtype.lower().startswith(("float", "double"))


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    for name, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} seconds"
