"""How one column is distributed, in generated rows and in held-out ones: what a figure shows."""

import math
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.typing import Array
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codes import levels_of
from wasserscore.data.tables.number import Number

NEW = "new values"
"""The bar of values that are no level of training rows."""
LEVELS = 8
"""Levels that have a bar of their own, the most frequent ones of held-out rows."""
BINS = 24
"""Bins between the ends of a column of numbers, at most two more for grids; a column of so many
values has a bar for each."""
TAIL = 0.002
"""The share of held-out values at either end that its last bin takes in."""


def profile(column: Any, generated: Array, real: Array) -> dict[str, Any]:
    """The shares of rows by level, or by value, of one column.

    Args:
        column: Of the codec.
        generated: Coordinates of the column in generated rows, ``(n, width)``.
        real: The same of held-out rows.

    Returns:
        ``labels`` of bars, or ``edges`` of bins (coordinates; the first whole numbers where each
        value has a bar) with ``ticks`` (up to three places and the values that they are);
        ``generated`` and ``real``, shares of all rows.
        For numbers also ``special``: label and both shares of the value that is far too frequent
        and of missing cells, which no bin holds.
    """
    if isinstance(column, Category):
        return _levels(column, generated, real)
    return _numbers(column, generated, real)


def level_shares(column: Category, x: Array) -> Array:
    """The share of rows of each level, and last of no level, of coordinates ``(n, width)``."""
    found = levels_of(x, column.count)
    shares: Array = np.bincount(found, minlength=column.count + 1) / max(len(x), 1)
    return shares


def _levels(column: Category, generated: Array, real: Array) -> dict[str, Any]:
    p, q = level_shares(column, generated), level_shares(column, real)
    order = np.lexsort((np.arange(column.count), -p[:-1], -q[:-1]))
    few = column.count if column.count == LEVELS + 1 else LEVELS
    shown, rest = order[:few], order[few:]
    names = [*map(str, column.levels), "missing"]
    labels = [names[level] for level in shown]
    if len(rest):
        labels.append(f"{len(rest)} others")
    bars = [[*side[shown], *([side[rest].sum()] if len(rest) else [])] for side in (p, q)]
    if p[-1] or q[-1]:
        labels.append(NEW)
        bars = [[*bar, side[-1]] for bar, side in zip(bars, (p, q), strict=True)]
    return {"labels": labels, "generated": bars[0], "real": bars[1]}


def _numbers(column: Number, generated: Array, real: Array) -> dict[str, Any]:
    special = [column.special(side) for side in (generated, real)]
    ordinary = [side[~odd.any(1), 0] for side, odd in zip((generated, real), special, strict=True)]
    kept = [value for value in column.seen if value not in column.atoms]
    if 0 < len(kept) <= BINS:
        ordinary, edges, ticks = _in_order(column, kept, ordinary)
    else:
        edges = _edges(column, ordinary[1] if len(ordinary[1]) else ordinary[0])
        ticks = _ticks(column, edges)
    bars = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(side)
            for values, side in zip(ordinary, (generated, real), strict=True)]  # fmt: skip
    return {
        "edges": edges,
        "ticks": ticks,
        "generated": bars[0],
        "real": bars[1],
        "special": [[label, *(float(odd[:, place].mean()) for odd in special)]
                    for place, label in enumerate(column.flags)],
    }  # fmt: skip


def _in_order(
    column: Number, kept: list[int | float], sides: list[Array]
) -> tuple[list[Array], Array, list[list[Any]]]:
    """Coordinates as places among the values of a column, with edges and ticks of its bars."""
    points = np.zeros((len(kept), len(column.coordinates)))
    points[:, 0] = column.encode(pd.Series(kept, name=column.name, dtype=float), exact=False)[:, 0]
    cells, known = column.decode(points), points[:, 0]
    places = [np.searchsorted((known[1:] + known[:-1]) / 2, side) + 0.5 for side in sides]
    some = sorted({0, len(kept) // 2, len(kept) - 1})
    return places, np.arange(len(kept) + 1.0), [[k + 0.5, _shown(cells[k])] for k in some]


def _ticks(column: Number, edges: Array) -> list[list[Any]]:
    """Up to three coordinates and the values that they are."""
    points = np.zeros((3, len(column.coordinates)))
    points[:, 0] = edges[[0, len(edges) // 2, -1]]
    cells = column.decode(points)
    # An end of a bin may be no value: a tick stands where its value lies.
    lies = column.encode(cells, exact=False)[:, 0].clip(edges[0], edges[-1])
    at, which = np.unique(lies, return_index=True)
    room = (edges[-1] - edges[0]) / 4  # of a label; the middle one gives way
    return [[float(x), _shown(cells[i])] for x, i in zip(at, which, strict=True)
            if x in (at[0], at[-1]) or at[0] + room <= x <= at[-1] - room]  # fmt: skip


def _edges(column: Number, values: Array) -> Array:
    """Ends of bins that hold equally many steps of the column's grid, where it has one."""
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    step = 0.0 if column.heavy else column.lattice[0]
    if step > 0 and high - low >= step:
        wide = math.ceil((high - low + step) / (BINS * step)) * step
        count = math.ceil((high - low + step) / wide)
        out: Array = low - step / 2 + wide * np.arange(count + 1)
        return out
    if high == low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _shown(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell).removesuffix(" 00:00:00")
