"""The columns of a table, in order: their names, their coordinates, what is odd about them."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.data.tables.category import Category, Constant
from wasserscore.data.tables.column import Column
from wasserscore.data.tables.delimited import is_number
from wasserscore.data.tables.lookalike import lookalike
from wasserscore.data.tables.number import Number

SPECIAL = ("datetime", "inflated", "few-valued")
"""Kinds of numbers that are not taken as they are."""


@dataclass(frozen=True)
class Columns:
    """What every column of a table is.

    Args:
        columns: One per column of the table.
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table."""
        return tuple(column.name for column in self.columns)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates of a point."""
        return tuple(name for column in self.columns for name in column.coordinates)

    @property
    def lattice(self) -> tuple[float, ...]:
        """Per coordinate the step within which noise changes no decoded cell; 0 for none."""
        return tuple(step for column in self.columns for step in column.lattice)

    @property
    def numeric(self) -> bool:
        """Whether every column is made of present numbers of which none is special."""
        return all(
            (isinstance(c, Number) and c.kind not in SPECIAL and not c.missing)
            or (isinstance(c, Constant) and isinstance(c.value, int | float)
            and not isinstance(c.value, bool) and not c.storage.moments)
            for c in self.columns
        )  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """What may be another thing than it was taken for: levels, and names of columns."""
        found = [
            f"column {c.name!r} looks like {looks.what} ({looks.example!r}), and is taken as "
            f"{len(c.levels)} levels without order: {looks.advice}"
            for c in self.columns if isinstance(c, Category)
            and (looks := lookalike(list(map(str, c.levels)))) is not None
        ]  # fmt: skip
        odd = next(filter(is_number, self.names), None)
        if odd is not None:
            found.append(f"column {odd!r} has a number for a name: if that is a value, write a "
                         "header row into the file")  # fmt: skip
        return tuple(found)

    def named(self, kind: str) -> tuple[str, ...]:
        """Names of the columns of one kind."""
        return tuple(column.name for column in self.columns if column.kind == kind)

    def places(self, name: str) -> list[int]:
        """The coordinates of a column.

        Raises:
            InputError: If there is no such column.
        """
        known = self._places
        if name not in known:
            raise InputError(explain("no such column", got=repr(name),
                                     do=f"choose one of {', '.join(self.names)}"))  # fmt: skip
        return list(known[name])

    # Found once: tables of thousands of columns ask for each of them.
    @cached_property
    def _places(self) -> dict[str, range]:
        widths = [len(column.coordinates) for column in self.columns]
        ends = accumulate(widths)
        return {name: range(end - width, end)
                for name, width, end in zip(self.names, widths, ends, strict=True)}  # fmt: skip

    def unseen(self, frame: pd.DataFrame) -> dict[str, tuple[str | None, ...]]:
        """Values of another table that are no level here, by column; None for missing cells."""
        found = {
            column.name: column.unseen(frame[column.name])
            for column in self.columns
            if isinstance(column, Category) and column.name in frame.columns
        }
        return {name: values for name, values in found.items() if values}


def require_names(frame: pd.DataFrame) -> None:
    """Column names must be text, each one once."""
    odd = [name for name in frame.columns if not isinstance(name, str)]
    require(not odd, "column names must be text", got=f"{odd[:1]}",
            do="rename them: frame.columns = frame.columns.map(str)")  # fmt: skip
    twice = frame.columns[frame.columns.duplicated()]
    require(not len(twice), "column names must differ", got=f"{twice[0]!r} twice" if len(twice)
            else "", do="rename one of them")  # fmt: skip
