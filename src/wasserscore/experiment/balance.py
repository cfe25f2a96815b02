"""Rows with equal shares of the levels of a column, for classes that are rare in the data."""

from typing import Any

import pandas as pd
import torch

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.data import Layout
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codes import level_points
from wasserscore.experiment.condition import Condition
from wasserscore.experiment.model import Model
from wasserscore.experiment.where import sample_where


def sample_balanced(
    model: Model,
    n: int,
    column: str,
    conditions: tuple[Condition, ...] = (),
    *,
    seed: int,
    **options: Any,
) -> Cloud:
    """``n`` rows ``(n, d)``, data units, equally many of each level of a column.

    Every level is a condition of its own, as in :func:`sample_where`. Levels take turns, so their
    counts differ by one at most, and row i depends on the seed and on i only. Missing cells are a
    level, as in the codec.

    Args:
        model: A fitted model.
        n: How many; at least one per level.
        column: A categorical or boolean column.
        conditions: All of them hold in every row; levels that they exclude get no share.
        seed: Of everything drawn.
        **options: Of :meth:`Model.sample`, for models without a closed form.

    Raises:
        InputError: On another kind of column, or a level that is too rare under the conditions.
    """
    levels = _levels(model.layout, column, conditions)
    require(bool(levels), f"the conditions must leave a level of column {column!r}", got="none")
    require(n >= len(levels), f"balance needs a row per level of column {column!r}, at least "
            f"{len(levels)}", got=n, do="ask for more rows")  # fmt: skip
    rows = torch.empty(n, model.layout.d, dtype=torch.float64)
    for turn, level in enumerate(levels):
        places = torch.arange(turn, n, len(levels))
        rows[places] = sample_where(
            model, len(places), (*conditions, Condition(column, "=", level)),
            seed=Streams(seed).key("balance", turn), **options,
        )  # fmt: skip
    return rows


def _levels(layout: Layout, name: str, conditions: tuple[Condition, ...]) -> list[str]:
    """The levels that conditions on their own column leave, as a condition writes them."""
    columns = () if layout.codec is None else layout.codec.columns
    fit = {c.name: c for c in columns if isinstance(c, Category)}
    if name not in fit:
        plain = "plain numbers" if name in layout.columns else "no such column"
        got = next((c.kind for c in columns if c.name == name), plain)
        raise InputError(explain(
            f"column {name!r} must be categorical or boolean to be balanced", got=got,
            do=f"choose one of {', '.join(fit)}" if fit else "declare it in a schema",
        ))  # fmt: skip
    cells = fit[name].decode(level_points(fit[name].count))
    frame = pd.DataFrame({name: cells})
    left = torch.ones(len(cells), dtype=torch.bool)
    for condition in conditions:
        if condition.column == name:
            left &= condition.holds(frame)
    return ["" if pd.isna(cell) else str(cell) for cell in cells[left.numpy()]]
