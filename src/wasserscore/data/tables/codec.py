r"""The codec of a table: rows of mixed columns to points of one space, and back, exactly.

The squared distance of two rows is the sum over columns of a squared difference, each in a unit of
its own: numbers in the power of two nearest to their standard deviation, two levels of a category
:math:`\sqrt 2` apart (as far as two draws of a standardised number, root mean square), a missing
cell at least :math:`\sqrt 2` from a present one. W2, certificates and copies of a table are in
that metric; :meth:`Codec.table` prints it, column by column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from wasserscore.core.errors import require
from wasserscore.core.results import plain
from wasserscore.core.typing import Array, Cloud
from wasserscore.data.margins import Margin
from wasserscore.data.tables.behind import Behind, find_behind
from wasserscore.data.tables.category import Category, Identifier
from wasserscore.data.tables.codes import APART, priced
from wasserscore.data.tables.column import read_column
from wasserscore.data.tables.columns import Columns, require_names
from wasserscore.data.tables.dialect import Dialect
from wasserscore.data.tables.gaps import Gap, find_gaps
from wasserscore.data.tables.infer import infer_column
from wasserscore.data.tables.listing import listing
from wasserscore.data.tables.number import Number
from wasserscore.data.tables.overrides import Overrides
from wasserscore.data.tables.own_types import own_types
from wasserscore.data.tables.rules import Rule, find_rules

VERSION = 1


@dataclass(frozen=True)
class Codec(Columns):
    """What every column of a table is, and with it how rows become points and points rows.

    Args:
        columns: One per column of the table.
        rules: Columns that follow from another, which generated rows obey.
        prices: Per column those of its levels, missing cells and frequent values, at which
            generated points go to them (:mod:`wasserscore.data.tables.shares`); empty for none.
        dialect: How a CSV file of generated rows is written.
        behind: Dates close behind another one, which generated rows do not keep there.
        gaps: Columns that are missing where another one says so, as in generated rows.
    """

    rules: tuple[Rule, ...] = ()
    prices: tuple[tuple[float, ...], ...] = ()
    dialect: Dialect = field(default_factory=Dialect)
    behind: tuple[Behind, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What may be another thing than it was taken for, and what generated rows do not keep."""
        return (*super().notes, *(pair.note for pair in self.behind))

    @classmethod
    def infer(cls, frame: pd.DataFrame, overrides: Overrides | None = None) -> "Codec":
        """The codec of a table, from its cells and what the user says of them.

        Every row is encoded and decoded once: a table whose codec could not give it back is
        refused here.

        Args:
            frame: At least one row.
            overrides: The user's word, which goes before what the cells suggest.

        Raises:
            InputError: For a table that cannot be used, by column and cell.
        """
        return cls.with_points(frame, overrides)[0]

    @classmethod
    def with_points(
        cls, frame: pd.DataFrame, overrides: Overrides | None = None
    ) -> tuple["Codec", Cloud]:
        """The codec of a table, as :meth:`infer` finds it, and its rows as points ``(n, D)``."""
        overrides = overrides or Overrides()
        require_names(frame)
        require(len(frame) > 0, "a table needs at least one row", got="none")
        overrides.require_columns(tuple(frame.columns))
        frame = own_types(frame)
        columns = [infer_column(frame[name], overrides.columns.get(str(name))) for name in frame]
        codec = cls(tuple(columns))
        points = codec.encode(frame)
        parts = {c.name: points.numpy()[:, codec.places(c.name)] for c in columns
                 if isinstance(c, Number | Category)}  # fmt: skip
        rules = find_rules(frame, parts, overrides.columns)
        following = {rule.column for rule in rules}
        dates = [c for c in columns if isinstance(c, Number) and c.kind == "datetime"
                 and c.name not in following]  # fmt: skip
        behind = find_behind(dates, [parts[c.name] for c in dates])
        parted = {c.name: c for c in columns if isinstance(c, Number | Category)}
        gaps = find_gaps(frame, parted, {*following, *overrides.columns})
        return cls(codec.columns, rules, (), overrides.dialect, behind, gaps), points

    def numbers(self) -> list[Margin]:
        """Where points hold the numbers of columns."""
        found = []
        for k, column in enumerate(self.columns):
            if isinstance(column, Number):
                place, *flags = self.places(column.name)
                prices = self.prices[k] if self.prices and self.prices[k] else [0.0] * len(flags)
                limits = tuple((j, APART / 2 - by) for j, by in zip(flags, prices, strict=True))
                found.append(Margin(place, limits))
        return found

    def encode(self, frame: pd.DataFrame, *, exact: bool = True) -> Cloud:
        """Points ``(n, D)``, float64; columns are found by name, others are ignored.

        Args:
            frame: A table with the columns of this one.
            exact: Refuse a cell that :meth:`decode` could not give back (an unseen level, a value
                out of range or between two steps); without it such a cell is placed as near as
                the metric allows, and an unseen level away from all known ones.

        Raises:
            InputError: For a column that is not there, or a cell that cannot be used.
        """
        require_names(frame)
        missing = [name for name in self.names if name not in frame.columns]
        require(not missing, "the table must have every column of the schema",
                got=f"no {', '.join(map(repr, missing))}")  # fmt: skip
        frame = own_types(frame, self.names)
        parts = [np.zeros((len(frame), 0))]
        parts += [column.encode(frame[column.name], exact=exact) for column in self.columns]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def decode(self, points: Cloud, *, start: int = 0) -> pd.DataFrame:
        """The table of some points ``(n, D)``: columns, order, dtypes and values of the original.

        Args:
            points: Any points; each coordinate goes to the nearest cell that may come.
            start: Rows that went before, for the numbers of identifiers.
        """
        width = len(self.coordinates)
        require(points.shape[1] == width, f"points must have {width} coordinates",
                got=points.shape[1])  # fmt: skip
        values = points.detach().cpu().double().numpy()
        found, place = {}, 0
        for column in self.columns:
            part = values[:, place : place + len(column.coordinates)]
            place += part.shape[1]
            named = isinstance(column, Identifier)
            found[column.name] = column.decode(part, start) if named else column.decode(part)  # type: ignore[call-arg]
        return pd.DataFrame(found, index=pd.RangeIndex(len(values)), columns=list(self.names))

    def text(self, points: Cloud) -> list[list[str]]:
        """The rows of some points as people read them; missing cells and identifiers are empty."""
        cells = self.decode(points).astype(object)
        cells[list(self.named("identifier"))] = None  # no point has one
        rows = cells.itertuples(index=False, name=None)
        return [["" if pd.isna(cell) else str(cell) for cell in row] for row in rows]

    def outside(self, points: Cloud) -> list[list[str]]:
        """Per point the columns in which no row has what it has, and :meth:`text` the nearest."""
        x = points.detach().cpu().double()
        moved = self.encode(self.decode(x), exact=False) != x
        return [[name for name in self.names if row[self.places(name)].any()] for row in moved]

    def snap(self, points: Cloud) -> Cloud:
        """Generated points moved to rows: to the cells they decode to, and by the rules."""
        drawn = self._priced(points) if self.prices else points.detach().cpu().double()
        rows = self._ruled(drawn)
        if self.gaps:
            rows = self._ruled(self._with_gaps(rows, drawn.numpy()))
        return rows.to(points)

    def _ruled(self, points: Cloud) -> Cloud:
        """The rows of some points, as points: columns that follow are what they have to be."""
        frame = self.decode(points)
        rows = self.encode(frame, exact=False)
        for rule in self.rules:
            places = self.places(rule.column)
            now = rule.points_of(frame[rule.of], rows[:, places].numpy())
            rows[:, places] = torch.from_numpy(now)
        return rows

    def _with_gaps(self, rows: Cloud, drawn: Array) -> Cloud:
        """Rows, as points, of which each cell is missing where an earlier one says so."""
        named = {c.name: c for c in self.columns if isinstance(c, Number | Category)}
        for gap in self.gaps:
            column, of = (named[name] for name in (gap.column, gap.of))
            places, known = (self.places(name) for name in (gap.column, gap.of))
            cells = of.decode(rows[:, known].numpy())
            now = gap.points_of(column, rows[:, places].numpy(), drawn[:, places], cells)
            rows[:, places] = torch.from_numpy(now)
        return rows

    def _priced(self, points: Cloud) -> Cloud:
        """Points moved to where the nearest cells are those that the prices say."""
        moved = points.detach().cpu().double().numpy().copy()
        for column, price in zip(self.columns, self.prices, strict=True):
            places, by = self.places(column.name), np.array(price)
            if isinstance(column, Category) and price:
                moved[:, places] = priced(moved[:, places], column.count, by)
            elif price:
                moved[:, places[1:]] += by
        return torch.from_numpy(moved)

    def table(self) -> str:
        """Every column with its kind, values and unit of distance, as aligned text."""
        rules = (f"{rule.column} follows from {rule.of}" for rule in self.rules)
        return listing(self.columns, [*rules, *(gap.words for gap in self.gaps), *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; :meth:`from_dict` is its inverse."""
        more = {"rules": plain(self.rules), "prices": plain(self.prices),
                "dialect": {} if self.dialect == Dialect() else plain(self.dialect),
                "behind": plain(self.behind), "gaps": plain(self.gaps)}  # fmt: skip
        return {"version": VERSION, "columns": plain(self.columns)} | {
            name: value for name, value in more.items() if value
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "Codec":
        """The codec that :meth:`to_dict` wrote.

        Raises:
            InputError: If it is of another version or no codec.
        """
        require(d.get("version") == VERSION, f"the schema must be of version {VERSION}",
                got=repr(d.get("version")))  # fmt: skip
        rules = tuple(
            Rule(r["column"], r["of"], tuple(r["cells"]), tuple(map(tuple, r["points"])))
            for r in d.get("rules", ())
        )
        prices = tuple(map(tuple, d.get("prices", ())))
        behind = tuple(Behind(*pair) for pair in d.get("behind", ()))
        gaps = tuple(Gap(g["column"], g["of"], tuple(g["empty"]), tuple(g["full"]))
                     for g in d.get("gaps", ()))  # fmt: skip
        return cls(tuple(map(read_column, d["columns"])), rules, prices,
                   Dialect(**d.get("dialect", {})), behind, gaps)  # fmt: skip
