"""What a column of numbers is, from its values: grid, range, tails, and what comes often."""

import math
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import require
from wasserscore.core.typing import Array
from wasserscore.data.tables.atoms import (
    ATOM_LEVELS,
    MANY,
    OFTEN,
    TAIL,
    find_atoms,
    is_far,
    quartile_deviation,
)
from wasserscore.data.tables.grid import EXACT, Grid
from wasserscore.data.tables.number import Number
from wasserscore.data.tables.storage import Storage, as_python
from wasserscore.data.tables.wish import Wish

DECIMALS = 10
"""Numbers with more decimals count as any double."""
MOST_SEEN, SPARSE = 1000, 1.25
"""A column may keep so many values as the only ones, if its grid has so many times as many."""


def infer_number(cells: "pd.Series[Any]", storage: Storage, wish: Wish) -> Number:
    """The column of numbers that encodes these cells.

    Args:
        cells: At least one.
        storage: How they are held.
        wish: What the user wants instead.

    Raises:
        InputError: Cells that cannot be used, or that contradict the wish.
    """
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
    atoms = (wish.atom,) if wish.atom is not None else find_atoms(seen, wish.kind)
    body = _without(seen, atoms)
    none = tuple(atom for atom in atoms if is_far(atom, body))
    seen = _without(seen, none)
    low, high, grid = as_python(seen.min()), as_python(seen.max()), _grid(seen, whole)
    if whole and grid is not None:
        _require_countable(name, storage, int(high) - int(low), grid)
    plain, spread = _kind(body, whole, storage, grid), None
    kind = wish.kind or ("inflated" if atoms and not storage.moments else plain)
    middle = as_python(np.sort(body)[len(body) // 2])
    free = wish == Wish()  # else the user may know of others
    few = (storage.moments or none) and _has_gaps(seen, grid)
    kept = kind == "few-valued" or (free and (few or _repeats(seen, grid)))
    only = tuple(as_python(value) for value in np.unique(seen)) if kept else ()
    if kind == "heavy-tailed" or (none and plain == "heavy-tailed"):
        spread = quartile_deviation(body)
        require(grid is not None, f"column {name!r} of kind heavy-tailed must be on a grid",
                got="values with more than 10 decimals",
                do="round it, for example to 6 decimals, or declare it numeric")  # fmt: skip
    return Number(
        name, storage, kind, low=_bound(name, "low", wish.low, low, min),
        high=_bound(name, "high", wish.high, high, max),
        exponent=_exponent(body, grid if whole else None), middle=middle, spread=spread, grid=grid,
        atoms=atoms, missing=bool(absent.any()), seen=only,
    )  # fmt: skip


def _without(seen: Array, atoms: tuple[float | int, ...]) -> Array:
    """The other values; all of them where there are no others."""
    rest = seen
    for atom in atoms:
        rest = rest[rest != atom]
    return rest if len(rest) else seen


def _require_countable(name: str, storage: Storage, span: int, grid: Grid) -> None:
    """Whole numbers and ticks are counted in steps, as doubles."""
    what, do = "integers", "declare it an identifier or categorical in the schema"
    if storage.moments:
        what, do = "moments", "round it, for example by .dt.floor('us')"
    require(
        span // grid.stride <= EXACT,
        f"{what} of column {name!r} must span at most 2^53 steps", do=do,
        got=f"{span} with a step of {grid.stride}",
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


def _kind(body: Array, whole: bool, storage: Storage, grid: Grid | None) -> str:
    """Of a column without a value that is far too frequent."""
    if storage.moments:
        return "datetime"
    if _has_gaps(body, grid):
        return "few-valued"
    if len(body) >= MANY and grid is not None:
        values = body.astype(float)
        far = np.abs(values - np.median(values))
        wide = max(np.quantile(far, 0.99), values.std()) > TAIL * quartile_deviation(body)
        if wide and far.max() / grid.step < 2**40:
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
    span = as_python(different[-1]) - as_python(different[0])
    return float(round(span * 10**grid.decimals / grid.stride) + 1)


def _grid(seen: Array, whole: bool) -> Grid | None:
    if whole:
        first = int(seen.min())
        if int(seen.max()) - first >= 2**63:  # too far apart to be counted
            return Grid(first, 1)
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
