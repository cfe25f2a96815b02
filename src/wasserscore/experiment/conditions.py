"""Conditions on rows, such as ``sex=F,age>40``: read and checked.

What no row can obey is refused before anything is drawn: the values that a column may have are
known, and for each column a few of them tell whether any obeys.
"""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array, Cloud
from wasserscore.data import Layout
from wasserscore.data.tables.category import Category, Identifier
from wasserscore.data.tables.codes import APART, level_points
from wasserscore.data.tables.dates import parse_dates
from wasserscore.data.tables.number import Number
from wasserscore.experiment.condition import Condition, as_cell, encoded, number, obeying

_QUOTED = r'"(?:[^"]|"")*"'
_PART = re.compile(
    rf'\s*({_QUOTED}|[^"!<>=,]+?)\s*(!=|>=|<=|=|>|<)\s*({_QUOTED}|[^",]*?)\s*(?:,|$)'
)


def parse_where(text: str, layout: Layout) -> tuple[Condition, ...]:
    """The conditions of a text such as ``sex=F,age>40`` or ``"odd, name"="a=b"``.

    What is in quotes may hold anything, quotes themselves doubled.

    Args:
        text: Conditions, comma-separated; all of them must hold. ``city=`` asks for a missing
            cell, ``city!=`` for a present one.
        layout: Of the table.

    Raises:
        InputError: If the text cannot be read, a column or level is not there, or no row that
            may be generated could obey.
    """
    found, place = [], 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise InputError(explain("a condition must read column, sign, value", got=repr(text),
                                     do='for example --where "sex=F,age>40"'))  # fmt: skip
        name, sign, value = match.groups()
        found.append(Condition(_unquoted(name), sign, _unquoted(value)))
        place = match.end()
    require(bool(found), "a condition must not be empty", got=repr(text))
    names = layout.columns if layout.codec is None else layout.codec.names
    columns = () if layout.codec is None else layout.codec.columns
    dates = {column.name: column.storage.date for column in columns}
    found = [replace(condition, date=dates.get(condition.column)) for condition in found]
    for condition in found:
        require(condition.column in names, "a condition names a column that is not there",
                got=repr(condition.column), do=f"choose one of {', '.join(names)}")  # fmt: skip
        _require_sense(condition, layout)
    for name in dict.fromkeys(c.column for c in found):
        _require_possible([c for c in found if c.column == name], layout)
    return tuple(found)


def _require_possible(conditions: list[Condition], layout: Layout) -> None:
    """Refuse conditions on one column that none of its values meets."""
    name = conditions[0].column
    points = _candidates(conditions, layout)
    require(bool(obeying(points, tuple(conditions), layout).any()),
            f"conditions on column {name!r} must leave a value that rows may have",
            got=", ".join(f"{c.column}{c.sign}{c.value}" for c in conditions),
            do=f"rows have {_values(name, layout)}")  # fmt: skip


def _candidates(conditions: list[Condition], layout: Layout) -> Cloud:
    """Points ``(k, d)`` one of which obeys conditions on one column, if any row can.

    All levels; of numbers the values that may come around each one that is asked for (beyond the
    range: its end), because where an answer changes from one value to the next, one is asked for.
    """
    name = conditions[0].column
    asked = [c for c in conditions if c.value != ""]
    if layout.codec is None:
        places, known = [layout.columns.index(name)], np.array([number(c) for c in asked])
        step = 0.0 if layout.lattice is None else float(layout.lattice[places[0]])
    else:
        column = next(c for c in layout.codec.columns if c.name == name)
        places = layout.codec.places(name)
        if not isinstance(column, Number):
            parts = np.zeros((1, 0))
            if isinstance(column, Category):
                parts = level_points(column.count)
            return _spread(parts, places, layout)
        others = pd.Series(column.seen or [column.middle], dtype=float)
        known = np.array([*(encoded(c, column)[0] for c in asked),
                          *column.encode(others, exact=False)[:, 0]])  # fmt: skip
        step = column.lattice[0] / (np.cosh(known) if column.heavy else 1.0)
    beside = [known - step, known + step]
    if not np.any(step):
        beside = [np.nextafter(known, -np.inf), np.nextafter(known, np.inf)]
    values = np.concatenate([known, *beside])
    flags = np.diag(np.full(len(places), APART))[1:]  # a missing cell, a value that comes often
    rest = np.zeros((len(values), len(places) - 1))
    return _spread(np.concatenate([np.c_[values, rest], flags]), places, layout)


def _spread(parts: Array, places: list[int], layout: Layout) -> Cloud:
    """Points with some coordinates, of rows that may come where a table has no codec."""
    points = layout.low.repeat(len(parts), 1)
    points[:, places] = torch.from_numpy(parts.copy())
    return points if layout.codec is not None else layout.snap(layout.clip(points))


def _values(name: str, layout: Layout) -> str:
    """What a column holds, in words."""
    if layout.codec is None:
        j = layout.columns.index(name)
        return f"{float(layout.low[j]):.6g} to {float(layout.high[j]):.6g}"
    return next(c.values for c in layout.codec.columns if c.name == name)


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _require_sense(condition: Condition, layout: Layout) -> None:
    """An identifier, a level that is not there, and an order of text are refused by name."""
    if layout.codec is None:
        require(condition.value != "", f"column {condition.column!r} has no missing cells",
                got=f"{condition.column}{condition.sign}")  # fmt: skip
        number(condition)
        return
    column = next(c for c in layout.codec.columns if c.name == condition.column)
    require(not isinstance(column, Identifier), "a condition must not name an identifier: new "
            "rows are numbered", got=repr(condition.column), do="leave it out")  # fmt: skip
    if condition.value == "":
        require(condition.sign in ("=", "!="), "a missing cell is neither small nor large",
                got=f"{condition.column}{condition.sign}")  # fmt: skip
        require(condition.sign == "!=" or getattr(column, "missing", False)
                or getattr(column, "value", "") is None,
                f"column {condition.column!r} has no missing cells",
                got=f"{condition.column}{condition.sign}")  # fmt: skip
        return
    dtype = column.decode(np.zeros((1, len(column.coordinates)))).dtype
    wanted = as_cell(condition.value, dtype, condition.column)
    whole = pd.api.types.is_integer_dtype(dtype) and condition.sign == "="
    require(not whole or wanted == int(wanted), f"column {condition.column!r} holds whole numbers",
            got=repr(condition.value))  # fmt: skip
    if condition.date is not None:
        read = parse_dates(np.array([condition.value], dtype=object), condition.date)
        require(read is not None, f"dates of column {condition.column!r} read {condition.date}",
                got=repr(condition.value))  # fmt: skip
    if isinstance(column, Category):
        require(condition.sign in ("=", "!="), f"levels of column {condition.column!r} have no "
                "order", got=condition.sign, do="use = or !=")  # fmt: skip
        require(wanted in column.levels, f"column {condition.column!r} has no such level",
                got=repr(wanted), do=f"choose one of {column.values}")  # fmt: skip
