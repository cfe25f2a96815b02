"""What kind a column has, from its cells; every rule can be overruled by a schema file."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.data.tables.atoms import MANY
from wasserscore.data.tables.category import Category, Constant, Identifier, Level
from wasserscore.data.tables.codes import MAX_LEVELS
from wasserscore.data.tables.column import Column
from wasserscore.data.tables.dates import date_format
from wasserscore.data.tables.grid import EXACT
from wasserscore.data.tables.infer_number import infer_number
from wasserscore.data.tables.lookalike import require_names_rows
from wasserscore.data.tables.storage import Storage, as_python
from wasserscore.data.tables.wish import Wish

NAMING = 0.9
"""Text with more different values than this share of the rows names the rows."""
_NAME = re.compile(r"(?i)(^|[_\W])(id|uuid|guid|identifier)$|^id[_\W]|[a-z]ID$|Id$")


def infer_column(cells: "pd.Series[Any]", wish: Wish | None = None) -> Column:
    """The column that encodes these cells.

    Args:
        cells: At least one.
        wish: What the user wants instead.

    Raises:
        InputError: Cells that cannot be used, or that contradict the wish.
    """
    wish = wish or Wish()
    kind, name = wish.kind, str(cells.name)
    storage = Storage.of(cells)
    if kind == "identifier":
        return Identifier(name, storage)
    present = cells[cells.notna()]
    text = _is_text(present, storage)
    if kind == "constant" or (kind is None and _never_changes(present, len(cells))):
        return _constant(name, cells, present, storage)
    words = text or storage.dtype == "object" or _is_boolean(present, storage)
    numeric = storage.moments or not words
    if text and kind in (None, "datetime") and storage.dtype != "category":
        form = wish.date or date_format(np.asarray(pd.unique(present), dtype=object))
        if form is not None:
            dates = Storage.of(cells, form)
            return infer_number(cells, dates, replace(wish, date=None))
        require(kind is None, f"column {name!r} must hold dates of one format",
                got=repr(present.iloc[0]), do="say which, as date = '%Y-%m-%d'")  # fmt: skip
    if numeric and kind not in Category.KINDS:
        if kind is None and _names_rows(present, storage, name):
            return Identifier(name, storage)
        return infer_number(cells, storage, wish)
    require(kind in (None, *Category.KINDS), f"column {name!r} of kind {kind} must hold numbers",
            got=f"{present.iloc[0]!r}" if len(present) else "nothing")  # fmt: skip
    if (
        kind is None
        and text
        and storage.dtype != "category"
        and _names_rows(present, storage, name)
    ):
        require_names_rows(name, list(pd.unique(present)))
        return Identifier(name, storage)
    return _category(cells, present, storage, wish)


def _never_changes(present: "pd.Series[Any]", rows: int) -> bool:
    return not len(present) or (len(present) == rows and present.nunique() == 1)


def _is_boolean(present: "pd.Series[Any]", storage: Storage) -> bool:
    return storage.dtype in ("bool", "boolean", "bool[pyarrow]") or (
        storage.dtype == "object" and all(isinstance(v, bool | np.bool_) for v in present)
    )


def _is_text(present: "pd.Series[Any]", storage: Storage) -> bool:
    """Whether cells are text; refuses columns whose cells are of several types."""
    if storage.dtype != "object":
        return isinstance(present.dtype, pd.StringDtype) or storage.dtype == "category"
    types = {type(v).__name__ for v in present}
    text = types <= {"str", "str_"}
    require(text or types <= {"bool", "bool_"},
            f"column {present.name!r} must hold text or booleans", got=f"dtype object with cells"
            f" of type {', '.join(sorted(types))}", do="convert it with astype")  # fmt: skip
    return text


def _names_rows(present: "pd.Series[Any]", storage: Storage, name: str) -> bool:
    n = len(present)
    if n < MANY or storage.moments or storage.dtype.lower().startswith("float"):
        return False
    different = present.nunique()
    if not storage.dtype.lower().startswith(("int", "uint")):
        return bool(different > NAMING * n)
    if different < n:
        return False
    ends = int(present.max()) - int(present.min())
    return ends + 1 == n or ends > EXACT or _NAME.search(name) is not None


def _constant(
    name: str, cells: "pd.Series[Any]", present: "pd.Series[Any]", storage: Storage
) -> Constant:
    levels: tuple[Level, ...] = ()
    if storage.dtype == "category":
        levels = tuple(as_python(v) for v in cells.cat.categories)
    if not len(present):
        return Constant(name, storage, None, levels)
    value = as_python(present.iloc[0])
    if storage.moments:
        value = int(storage.numbers(present.iloc[:1])[0][0])
    require(present.nunique() == 1 and len(present) == len(cells),
            f"column {name!r} of kind constant must never change",
            got=f"{present.nunique()} values", do="give it another kind")  # fmt: skip
    if storage.dtype == "object":
        _is_text(present, storage)
    require(not isinstance(value, float) or math.isfinite(value),
            f"column {name!r} must be finite", got=value)  # fmt: skip
    return Constant(name, storage, value, levels)


def _category(
    cells: "pd.Series[Any]", present: "pd.Series[Any]", storage: Storage, wish: Wish
) -> Category:
    name, missing = str(cells.name), bool(cells.isna().any())
    boolean = _is_boolean(present, storage)
    if wish.levels is not None:
        levels = wish.levels
        require(len(set(levels)) == len(levels), f"levels of column {name!r} must differ",
                got=repr(levels))  # fmt: skip
    elif storage.dtype == "category":
        levels = tuple(as_python(v) for v in cells.cat.categories)
    elif boolean:
        levels = (False, True)
    else:
        levels = tuple(sorted(as_python(v) for v in pd.unique(present)))
    odd = [v for v in levels if not isinstance(v, str | int | float | bool)]
    require(not odd, f"levels of column {name!r} must be text, numbers or booleans",
            got=f"{odd[:1]}")  # fmt: skip
    if len(levels) > MAX_LEVELS:
        raise InputError(explain(
            f"column {name!r} may have at most {MAX_LEVELS} levels", got=len(levels),
            do="declare it an identifier in the schema, group its values, or drop it",
        ))  # fmt: skip
    if len(levels) + missing < 2:  # one declared level: still a column of two
        return _one_level(name, storage, levels, missing)
    return Category(name, storage, "boolean" if boolean else "categorical", levels, missing)


def _one_level(name: str, storage: Storage, levels: tuple[Level, ...], missing: bool) -> Category:
    require(bool(levels), f"column {name!r} needs a level", got="only missing cells")
    return Category(name, storage, "categorical", levels, True)
