"""Which rows train and which are held out: drawn row by row, group by group, or by time."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.data import Dataset, split
from wasserscore.data.holdout import split_groups, split_order
from wasserscore.data.tables.dates import date_format
from wasserscore.data.tables.number import Number
from wasserscore.data.tables.storage import Storage
from wasserscore.experiment.columns import cells_of, numbered
from wasserscore.experiment.config import HoldoutConfig

ROWS_A_SIDE = 12
"""Of either half, at least: fewer cannot be cross-validated and measured."""


class Division(NamedTuple):
    """The split of a run.

    Args:
        train: Numbers of the training rows, sorted.
        holdout: Of the held-out rows, equally many.
        how: How it was made, in words.
    """

    train: Int[Tensor, " k"]
    holdout: Int[Tensor, " k"]
    how: str


def halves(data: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Row numbers of a training half and a held-out half, equally many."""
    train, holdout = split(data, fraction=0.5, seed=seed)
    few = min(len(train), len(holdout))
    return train[:few], holdout[:few]


def divide(data: Dataset, source: Any, config: HoldoutConfig) -> Division:
    """The split that a configuration asks for; of the larger side some rows are left out.

    Args:
        data: What was loaded.
        source: What it was loaded from: a path, a DataFrame, the data set itself. (A column
            may be an identifier, which is no part of the points.)
        config: Its ``group`` or ``order`` names a column of the table.

    Raises:
        InputError: On a column that is not there or cannot be used so, and on a side that would
            have too few rows.
    """
    column = partial(cells_of, data, role="the hold-out", source=source,
                     schema=config.table_schema)  # fmt: skip
    if config.group is not None:
        groups = numbered(column(config.group))
        train, rest = split_groups(groups, seed=config.seed)
        kinds = [len(groups[rows].unique()) for rows in (train, rest)]
        how = (f"Split by {config.group!r}: {kinds[0]} of its values train, {kinds[1]} are held "
               "out, none is on both sides")  # fmt: skip
    elif config.order is not None:
        cells = column(config.order)
        values = _moments(data, cells)
        ranks = torch.from_numpy(np.unique(values, return_inverse=True)[1])
        train, rest = split_order(ranks)
        last, first = train[ranks[train].argmax()], rest[ranks[rest].argmin()]
        how = (f"Split by the order of {config.order!r}: training rows end with "
               f"{_text(cells.iloc[int(last)])}, held-out rows begin with "
               f"{_text(cells.iloc[int(first)])}{_far(data, cells)}")  # fmt: skip
    else:
        return Division(*halves(data, config.seed), "Split at random, row by row.")
    few = min(len(train), len(rest))
    require(few >= ROWS_A_SIDE, f"a split by {config.group or config.order!r} must leave at "
            f"least {ROWS_A_SIDE} rows on either side", got=few,
            do="name a column with more, and more even, values")  # fmt: skip
    left_out = data.n - 2 * few
    if left_out:
        how += f"; {left_out} rows of the larger side, drawn at random, take no part"
    return Division(_some(train, few, config.seed), _some(rest, few, config.seed), f"{how}.")


def _some(rows: Tensor, few: int, seed: int) -> Tensor:
    """A few of the rows: not the first ones, which a file may have sorted."""
    return rows[Streams(seed).subset("few", len(rows), few)]


def _moments(data: Dataset, cells: "pd.Series[Any]") -> Any:
    """Cells as numbers in the order of time.

    Raises:
        InputError: On a missing cell, which is neither early nor late, and on text without order.
    """
    gone = int(cells.isna().sum())
    require(gone == 0, f"the order column {cells.name!r} must have no missing cells", got=gone,
            do="fill them, or drop these rows")  # fmt: skip
    if pd.api.types.is_bool_dtype(cells) or not (
        pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells)
    ):
        known = () if data.codec is None else data.codec.columns
        form = next((c.storage.date for c in known if c.name == cells.name), None)
        form = form or date_format(np.asarray(pd.unique(cells.astype(str)), dtype=object))
        if form is None:
            raise InputError(explain(
                f"the order column {cells.name!r} must hold numbers or dates",
                got=repr(cells.iloc[0]), do="say in a schema how dates read, as date = '%Y-%m-%d'"
            ))  # fmt: skip
        return Storage.of(cells, form).numbers(cells)[0]
    return Storage.of(cells).numbers(cells)[0]


def _far(data: Dataset, cells: "pd.Series[Any]") -> str:
    """What to know of rows whose cell stands for none: it is early or late all the same."""
    known = () if data.codec is None else data.codec.columns
    column = next((c for c in known if c.name == cells.name), None)
    if data.codec is None or not isinstance(column, Number):
        return ""
    far = cells[~column.placed(data.points[:, data.codec.places(column.name)].numpy())]
    found = " and ".join(map(_text, sorted(far.unique())))
    return f"; {len(far)} rows of {found}, far from all others, count as such" if found else ""


def _text(cell: Any) -> str:
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)
