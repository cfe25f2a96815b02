"""What kind a column has, from its cells; every rule can be overruled by a schema file."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array
from wasserscore.data.tables.category import Category, Constant, Identifier, Level
from wasserscore.data.tables.codes import MAX_LEVELS
from wasserscore.data.tables.lookalike import require_names_rows
from wasserscore.data.tables.number import EXACT, Grid, Number
from wasserscore.data.tables.storage import Storage, date_format

Column = Number | Category | Constant | Identifier
MANY = 50
"""Fewer rows say nothing of identifiers or tails."""
NAMING = 0.9
"""Text with more different values than this share of the rows names the rows."""
DECIMALS = 10
"""Numbers with more decimals count as any double."""
TAIL = 6.0
"""A hundredth of the values so many quartile deviations from the median is heavy (normal: 2.6)."""
ATOM_SHARE, ATOM_RATIO, ATOM_LEVELS = 0.2, 5.0, 20
"""A value with this share of the rows, so many times the next one's, among so many others."""
OFTEN = 10
"""Rows of each value, on average, in a column of few values (at most as many as above)."""
MOST_SEEN, SPARSE = 1000, 1.25
"""A column may keep so many values as the only ones, if its grid has so many times as many."""
_NAME = re.compile(r"(?i)(^|[_\W])(id|uuid|guid|identifier)$|^id[_\W]|[a-z]ID$|Id$")


@dataclass(frozen=True)
class Wish:
    """What a schema file says of a column; None leaves the decision to us.

    Args:
        kind: A kind.
        low: Smallest value that may come.
        high: Largest value that may come.
        atom: The value that is far too frequent, for kind "inflated".
        levels: All levels, in order, for kind "categorical".
        date: The ``strftime`` format of dates kept as text.
    """

    kind: str | None = None
    low: float | int | None = None
    high: float | int | None = None
    atom: float | int | None = None
    levels: tuple[Level, ...] | None = None
    date: str | None = None


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
            return _number(cells, Storage.of(cells, form), Wish("datetime", wish.low, wish.high))
        require(kind is None, f"column {name!r} must hold dates of one format",
                got=repr(present.iloc[0]), do="say which, as date = '%Y-%m-%d'")  # fmt: skip
    if numeric and kind not in Category.KINDS:
        if kind is None and _names_rows(present, storage, name):
            return Identifier(name, storage)
        return _number(cells, storage, wish)
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
    require(types <= {"str"} or types <= {"bool", "bool_"},
            f"column {present.name!r} must hold text or booleans", got=f"dtype object with cells"
            f" of type {', '.join(sorted(types))}", do="convert it with astype")  # fmt: skip
    return types == {"str"}


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
        levels = tuple(_plain(v) for v in cells.cat.categories)
    if not len(present):
        return Constant(name, storage, None, levels)
    value = _plain(present.iloc[0])
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
        levels = tuple(_plain(v) for v in cells.cat.categories)
    elif boolean:
        levels = (False, True)
    else:
        levels = tuple(sorted(_plain(v) for v in pd.unique(present)))
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


def _number(cells: "pd.Series[Any]", storage: Storage, wish: Wish) -> Number:
    name = str(cells.name)
    numbers, absent = storage.numbers(cells)
    seen = numbers[~absent]
    if seen.dtype.kind == "f":
        bad = ~np.isfinite(numbers) & ~absent
        require(not bad.any(), f"column {name!r} must be finite in every cell",
                got=f"{numbers[int(bad.argmax())]} at row {int(bad.argmax())}",
                do="drop such cells or leave them empty")  # fmt: skip
    whole = storage.moments or seen.dtype.kind in "iu"
    seen = seen if len(seen) else np.zeros(1, dtype=seen.dtype)
    low, high = _plain(seen.min()), _plain(seen.max())
    require(not whole or int(high) - int(low) <= EXACT,
            f"integers of column {name!r} must span at most 2^53", got=f"{low} to {high}",
            do="declare it an identifier or categorical in the schema")  # fmt: skip
    grid = _grid(seen, whole)
    atom = wish.atom if wish.atom is not None else _atom(seen, wish.kind)
    body = seen[seen != atom] if atom is not None and (seen != atom).any() else seen
    kind, spread = wish.kind or _kind(body, whole, storage, atom, grid), None
    middle = _plain(np.sort(body)[len(body) // 2])
    free = wish == Wish() and not storage.moments  # the user may know of others
    kept = kind == "few-valued" or (free and _repeats(seen, grid))
    few = tuple(_plain(value) for value in np.unique(seen)) if kept else ()
    if kind == "heavy-tailed":
        spread = _quartile_deviation(body)
        require(grid is not None, f"column {name!r} of kind heavy-tailed must be on a grid",
                got="values with more than 10 decimals",
                do="round it, for example to 6 decimals, or declare it numeric")  # fmt: skip
    return Number(
        name, storage, kind, low=_bound(name, "low", wish.low, low, min),
        high=_bound(name, "high", wish.high, high, max),
        exponent=_exponent(body, grid if whole else None), middle=middle, spread=spread, grid=grid,
        atom=atom, missing=bool(absent.any()), seen=few,
    )  # fmt: skip


def _bound(name: str, which: str, wished: float | int | None, seen: Any, outer: Any) -> Any:
    """A declared bound, or what the data show where none is."""
    if wished is None:
        return seen
    require(
        outer(wished, seen) == wished,
        f"{which} of column {name!r} must hold for every cell",
        got=f"{wished}, but {seen} in the table",
        do="declare a wider range, or drop such rows",
    )
    return type(seen)(wished)


def _kind(
    body: Array, whole: bool, storage: Storage, atom: float | int | None, grid: Grid | None
) -> str:
    if storage.moments:
        return "datetime"
    if atom is not None:
        return "inflated"
    if _has_gaps(body, grid):
        return "few-valued"
    if len(body) >= MANY and grid is not None:
        values = body.astype(float)
        far = np.abs(values - np.median(values))
        steps = far.max() / (grid.stride / 10**grid.decimals)
        if np.quantile(far, 0.99) > TAIL * _quartile_deviation(body) and steps < 2**40:
            return "heavy-tailed"
    different = len(np.unique(body))
    at_ends = max((body == body.min()).mean(), (body == body.max()).mean())
    if len(body) >= MANY and different > ATOM_LEVELS and at_ends >= 0.01:
        return "bounded"
    return "integer" if whole else "numeric"


def _has_gaps(seen: Array, grid: Grid | None) -> bool:
    """Whether few different values come, each often, and not all that lie between them."""
    different = np.unique(seen)
    if not 2 <= len(different) <= min(ATOM_LEVELS, len(seen) // OFTEN):
        return False
    return _places(different, grid) > len(different)


def _repeats(seen: Array, grid: Grid | None) -> bool:
    """Whether values come often, and far from all of the grid do: prices, or readings by eye."""
    different = np.unique(seen)
    if not ATOM_LEVELS < len(different) <= min(MOST_SEEN, len(seen) // OFTEN):
        return False
    return _places(different, grid) >= SPARSE * len(different)


def _places(different: Array, grid: Grid | None) -> float:
    """How many values the grid has from the first to the last of these, in order."""
    if grid is None:
        return math.inf
    span = _plain(different[-1]) - _plain(different[0])
    return float(round(span * 10**grid.decimals / grid.stride) + 1)


def _atom(seen: Array, kind: str | None) -> float | int | None:
    """The value that is far too frequent, if there is one (or, where the user says so, any)."""
    if kind not in (None, "inflated"):
        return None
    values, counts = np.unique(seen, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    if kind == "inflated":
        return _value(values[order[0]])
    if len(seen) < MANY or len(values) <= ATOM_LEVELS:
        return None
    first, second = counts[order[0]], counts[order[1]]
    often = first >= ATOM_SHARE * len(seen) and first >= ATOM_RATIO * second
    return _value(values[order[0]]) if often else None


def _grid(seen: Array, whole: bool) -> Grid | None:
    if whole:
        first = int(seen.min())
        apart = seen.astype(object) - first if seen.dtype == np.uint64 else seen - seen.min()
        return Grid(first, int(np.gcd.reduce(apart.astype(np.int64))) or 1)
    largest = float(np.abs(seen).max())
    for decimals in range(DECIMALS + 1):
        scale = 10.0**decimals
        if largest * scale >= 2**51:
            return None
        steps = np.rint(seen * scale)
        if np.array_equal(steps / scale, seen):
            ticks = steps.astype(np.int64)
            stride = int(np.gcd.reduce(ticks - ticks.min())) or 1
            return Grid(int(ticks.min()), stride, decimals)
    return None


def _exponent(body: Array, grid: Grid | None) -> int:
    """The power of two nearest to the standard deviation, counted in steps of ``grid``."""
    first, stride = (0, 1) if grid is None else (grid.first, grid.stride)
    values = (body.astype(object) - first).astype(float) / stride if first else body / stride
    largest = float(np.abs(values).max())
    spread = float((values / largest).std()) * largest if largest > 0 else 0.0
    return max(-1000, min(1000, round(math.log2(spread)))) if spread > 0 else 0


def _quartile_deviation(body: Array) -> float:
    """The standard deviation of a normal law with these quartiles; never zero."""
    low, high = np.quantile(body.astype(float), (0.25, 0.75))
    spread = float(high - low) / 1.349 or float(body.astype(float).std())
    return spread or 1.0


def _value(value: Any) -> float | int:
    found: float | int = value.item()
    return found


def _plain(value: Any) -> Any:
    """A numpy scalar as the Python object that JSON knows."""
    return value.item() if isinstance(value, np.generic) else value
