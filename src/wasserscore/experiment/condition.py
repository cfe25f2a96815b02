"""One condition on rows: which rows obey it, and where points stand that do."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.typing import Array, Cloud
from wasserscore.data import Layout
from wasserscore.data.tables.storage import Storage

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "!=": operator.ne, ">=": operator.ge, "<=": operator.le, "=": operator.eq, ">": operator.gt,
    "<": operator.lt,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value.

    Args:
        column: Name of the column.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: The text that was written; empty means a missing cell.
        date: The format of dates kept as text, which are compared as moments.
    """

    column: str
    sign: str
    value: str
    date: str | None = None

    def holds(self, frame: pd.DataFrame) -> Tensor:
        """Which rows obey."""
        cells = frame[self.column]
        if self.value == "":
            gone = cells.isna()
            return torch.tensor((gone if self.sign == "=" else ~gone).to_numpy(dtype=bool))
        if self.date is not None:
            storage = Storage("object", date=self.date)
            moments, absent = storage.numbers(cells)
            moment = storage.numbers(pd.Series([self.value], name=self.column))[0]
            return torch.tensor(_SIGNS[self.sign](moments, moment) & ~absent)
        wanted = as_cell(self.value, cells.dtype, self.column)
        values = cells.astype(object) if isinstance(cells.dtype, pd.CategoricalDtype) else cells
        found = _SIGNS[self.sign](values, wanted)
        return torch.tensor((found.fillna(False).astype(bool) & cells.notna()).to_numpy())


def obeying(points: Cloud, conditions: tuple[Condition, ...], layout: Layout) -> Tensor:
    """Which rows obey every condition.

    Args:
        points: Of rows ``(n, d)``, data units.
        conditions: All of them are asked.
        layout: Of the table.
    """
    frame, good = layout.frame(points), torch.ones(len(points), dtype=torch.bool)
    for condition in conditions:
        good &= condition.holds(frame)
    return good


def encoded(condition: Condition, column: Any) -> Array:
    """The coordinates of the cell that a condition names, ``(width,)``.

    Args:
        condition: It names a missing cell only where the column has some.
        column: Of the codec.
    """
    dtype = column.decode(np.zeros((1, len(column.coordinates)))).dtype
    wanted = None if condition.value == "" else as_cell(condition.value, dtype, condition.column)
    try:
        cells = pd.Series([wanted], name=condition.column, dtype=dtype)
    except (OverflowError, ValueError):  # beyond what the column counts in, or between its counts
        cells = pd.Series([wanted], name=condition.column, dtype=float)
    found: Array = column.encode(cells, exact=False)[0]
    return found


def number(condition: Condition) -> float:
    """The number that a condition on a column of numbers names.

    Raises:
        InputError: If it is none.
    """
    try:
        return float(condition.value)
    except ValueError:
        what = f"column {condition.column!r} holds numbers"
        raise InputError(explain(what, got=repr(condition.value))) from None


def as_cell(text: str, kind: Any, name: str) -> Any:
    """A value as cells of some dtype hold it.

    Args:
        text: What was written.
        kind: The dtype.
        name: Of the column.

    Raises:
        InputError: If it is nothing of that type.
    """
    if isinstance(kind, pd.CategoricalDtype):
        kind = kind.categories.dtype
    try:
        if pd.api.types.is_bool_dtype(kind):
            return {"true": True, "false": False}[text.lower()]
        if pd.api.types.is_numeric_dtype(kind):
            number = int(text) if re.fullmatch(r"-?[0-9]+", text) else float(text)
            if not math.isfinite(number):
                raise ValueError(text)
            return number
        if pd.api.types.is_datetime64_any_dtype(kind):
            return pd.Timestamp(text, tz=getattr(kind, "tz", None))
    except (ValueError, KeyError):
        raise InputError(explain(f"the value for column {name!r} must be of its type, {kind}",
                                 got=repr(text))) from None  # fmt: skip
    return text
