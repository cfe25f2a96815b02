"""Rows under a condition, such as ``sex=F,age>40``.

An equality fixes coordinates. For the proximal mixture the law of the others is known in closed
form, again a mixture, and rows are drawn from it; a known value has density, so no row is thrown
away, however rare the value. What is left, inequalities, and equalities of models without such a
law, is decided on finished rows, by rejection: every row that comes out obeys every condition.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, Vector
from wasserscore.data import Layout
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.storage import parse_dates
from wasserscore.experiment.models import Model
from wasserscore.score import ProximalLaw

BLOCK = 256
"""Candidates drawn together; their noise is keyed by the number of the block."""
TOGETHER = 64
"""Blocks that become rows of a table together: a table has a cost of its own."""
TRIES = 1000
"""Candidates per wanted row after which a condition counts as too rare (at least 100 blocks)."""
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "!=": operator.ne, ">=": operator.ge, "<=": operator.le, "=": operator.eq, ">": operator.gt,
    "<": operator.lt,
}  # fmt: skip
_PART = re.compile(r'\s*("[^"]*"|[^"!<>=,]+?)\s*(!=|>=|<=|=|>|<)\s*("[^"]*"|[^",]*?)\s*(?:,|$)')


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value.

    Args:
        column: Name of the column.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: The text that was written; empty means a missing cell.
    """

    column: str
    sign: str
    value: str

    def holds(self, frame: pd.DataFrame) -> Tensor:
        """Which rows obey."""
        cells = frame[self.column]
        if self.value == "":
            gone = cells.isna()
            return torch.tensor((gone if self.sign == "=" else ~gone).to_numpy(dtype=bool))
        wanted = _cell(self.value, cells.dtype, self.column)
        values = cells.astype(object) if isinstance(cells.dtype, pd.CategoricalDtype) else cells
        found = _SIGNS[self.sign](values, wanted)
        return torch.tensor((found.fillna(False).astype(bool) & cells.notna()).to_numpy())


def parse_where(text: str, layout: Layout) -> tuple[Condition, ...]:
    """The conditions of a text such as ``sex=F,age>40`` or ``"odd, name"="a=b"``.

    Args:
        text: Conditions, comma-separated; all of them must hold. ``city=`` asks for a missing
            cell, ``city!=`` for a present one.
        layout: Of the table.

    Raises:
        InputError: If the text cannot be read, or a column or level is not there.
    """
    found, place = [], 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise InputError(explain("a condition must read column, sign, value", got=repr(text),
                                     do='for example --where "sex=F,age>40"'))  # fmt: skip
        name, sign, value = match.groups()
        found.append(Condition(name.strip('"'), sign, value.strip('"')))
        place = match.end()
    require(bool(found), "a condition must not be empty", got=repr(text))
    names = layout.columns if layout.codec is None else layout.codec.names
    for condition in found:
        require(condition.column in names, "a condition names a column that is not there",
                got=repr(condition.column), do=f"choose one of {', '.join(names)}")  # fmt: skip
        _require_sense(condition, layout)
    return tuple(found)


def has_exact_draws(model: Model) -> bool:
    """Whether rows, also under equalities, come from a closed form without a sampler."""
    return isinstance(model.score, ProximalLaw)


def sample_where(
    model: Model, n: int, conditions: tuple[Condition, ...], *, seed: int, **options: Any
) -> Cloud:
    """``n`` rows that obey every condition, ``(n, d)``, data units.

    Row i depends on the seed and on i only.

    Args:
        model: A fitted model.
        n: How many.
        conditions: All of them hold in every row; there may be none.
        seed: Of everything drawn.
        **options: Of :meth:`Model.sample`, for models without a closed form.

    Raises:
        InputError: If too few of the candidates obey; says how many did.
    """
    if has_exact_draws(model):
        together = min(TOGETHER, -(-n // BLOCK))
        blocks = _blocks(model, _known(conditions, model.layout), seed, together)
    else:
        blocks = _unconditional(model, seed, options)
    kept: list[Tensor] = []
    tried = 0
    limit = max(100 * BLOCK, TRIES * n)
    while sum(map(len, kept)) < n:
        if tried >= limit:
            raise InputError(explain(
                f"the condition must not be so rare: {n} rows were asked for",
                got=f"{sum(map(len, kept))} among {tried} candidates",
                do="ask for fewer rows or a wider condition"))  # fmt: skip
        points = next(blocks)
        tried += len(points)
        kept.append(points[_obeying(points, conditions, model.layout)] if conditions else points)
    return torch.cat(kept)[:n]


def _obeying(points: Cloud, conditions: tuple[Condition, ...], layout: Layout) -> Tensor:
    """Which rows obey every condition."""
    frame, good = layout.frame(points), torch.ones(len(points), dtype=torch.bool)
    for condition in conditions:
        good &= condition.holds(frame)
    return good


def _known(conditions: tuple[Condition, ...], layout: Layout) -> Vector:
    """The coordinates that equalities fix, data units, ``(d,)``; NaN where they fix none."""
    known = torch.full((layout.d,), torch.nan, dtype=torch.float64)
    for condition in conditions:
        if condition.sign != "=":
            continue
        if layout.codec is None:
            known[layout.columns.index(condition.column)] = _number(condition)
            continue
        column = next(c for c in layout.codec.columns if c.name == condition.column)
        places = layout.codec.places(condition.column)
        if not places:
            continue
        dtype = column.decode(np.zeros((1, len(places)))).dtype
        wanted = None
        if condition.value != "":
            wanted = _cell(condition.value, dtype, condition.column)
        cells = pd.Series([wanted], name=condition.column, dtype=dtype)
        known[places] = torch.from_numpy(column.encode(cells, exact=False))[0]
    return known


def _blocks(model: Model, known: Vector, seed: int, together: int) -> Iterator[Cloud]:
    """Exact draws of the conditional law, some blocks together, as rows of the table."""
    layout, scaling = model.layout, model.score.scaling
    # A coordinate that never changes is no part of the law; rejection decides about it.
    fixed = ~torch.isnan(known) & ~layout.constant
    inner = known[None] if layout.margins is None else layout.margins.undo(known[None])
    given = scaling.apply(layout.vary(inner))[0]
    free = torch.isnan(given)
    law = None
    if bool(free.all()):
        law = model.score
    elif bool(free.any()):
        law = model.score.conditioned(given)
    streams, block = Streams(seed).child("where"), 0
    while True:
        rows = given.expand(together * BLOCK, -1).clone()
        if law is not None:
            drawn = [
                law.sample_marginal(BLOCK, generator=streams.generator("draw", block + i))
                for i in range(together)
            ]
            rows[:, free] = torch.cat(drawn).double()
        points = layout.within(layout.restore(scaling.undo(rows)))
        # Scaling there and back may lose a bit of what was given.
        points[:, fixed] = known[fixed]
        yield layout.snap(points)
        block += together


def _unconditional(model: Model, seed: int, options: dict[str, Any]) -> Iterator[Cloud]:
    """Samples of the model, block by block."""
    streams, block = Streams(seed).child("where"), 0
    while True:
        yield model.sample(BLOCK, seed=streams.key("sample", block) % 2**31, **options)
        block += 1


def _require_sense(condition: Condition, layout: Layout) -> None:
    """A level that is not there, and an order that text has not, are refused by name."""
    if layout.codec is None:
        require(condition.value != "", f"column {condition.column!r} has no missing cells",
                got=f"{condition.column}{condition.sign}")  # fmt: skip
        _number(condition)
        return
    column = next(c for c in layout.codec.columns if c.name == condition.column)
    if condition.value == "":
        require(condition.sign in ("=", "!="), "a missing cell is neither small nor large",
                got=f"{condition.column}{condition.sign}")  # fmt: skip
        require(condition.sign == "!=" or getattr(column, "missing", False)
                or getattr(column, "value", "") is None,
                f"column {condition.column!r} has no missing cells",
                got=f"{condition.column}{condition.sign}")  # fmt: skip
        return
    dtype = column.decode(np.zeros((1, len(column.coordinates)))).dtype
    wanted = _cell(condition.value, dtype, condition.column)
    whole = pd.api.types.is_integer_dtype(dtype) and condition.sign == "="
    require(not whole or wanted == int(wanted), f"column {condition.column!r} holds whole numbers",
            got=repr(condition.value))  # fmt: skip
    form = column.storage.date
    if form is not None and condition.sign not in ("=", "!="):
        require(form.startswith("%Y"), f"dates of column {condition.column!r} have no order as "
                "text", got=form, do="use = or !=")  # fmt: skip
    if form is not None:
        read = parse_dates(np.array([condition.value], dtype=object), form)
        require(read is not None, f"dates of column {condition.column!r} read {form}",
                got=repr(condition.value))  # fmt: skip
    if isinstance(column, Category):
        require(condition.sign in ("=", "!="), f"levels of column {condition.column!r} have no "
                "order", got=condition.sign, do="use = or !=")  # fmt: skip
        require(wanted in column.levels, f"column {condition.column!r} has no such level",
                got=repr(wanted), do=f"choose one of {column.values}")  # fmt: skip


def _cell(text: str, kind: Any, name: str) -> Any:
    """A value as cells of some dtype hold it."""
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


def _number(condition: Condition) -> float:
    try:
        return float(condition.value)
    except ValueError:
        what = f"column {condition.column!r} holds numbers"
        raise InputError(explain(what, got=repr(condition.value))) from None
