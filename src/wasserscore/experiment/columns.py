"""One column of a table, by name: what splits a hold-out, and what models are fitted per."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.data import Dataset, read_frame, read_overrides
from wasserscore.data.tables.category import Identifier
from wasserscore.proximal.groups import parts_of


def cells_of(
    data: Dataset, name: str, *, role: str, source: Any = None, schema: str | None = None
) -> "pd.Series[Any]":
    """The cells of a column, as the points spell them; of an identifier, as they are read again.

    Args:
        data: What was loaded.
        name: Of the column.
        role: Who asks, for the message.
        source: The file or DataFrame that it was loaded from: an identifier is no part of the
            points. Anything else is not looked at.
        schema: The file that says how the table is written, and what means a missing cell.

    Raises:
        InputError: On a column that is not there, and on an identifier without a source.
    """
    require_cells(data, name, role=role, source=source)
    if data.codec is None:
        return pd.Series(data.points[:, data.columns.index(name)].numpy(), name=name)
    column = next(c for c in data.codec.columns if c.name == name)
    if not isinstance(column, Identifier):
        return column.decode(data.points[:, data.codec.places(name)].numpy())
    if isinstance(source, str | Path):
        overrides = None if schema is None else read_overrides(schema)
        source = read_frame(Path(source), overrides=overrides)
    assert isinstance(source, pd.DataFrame)
    cells: pd.Series[Any] = source[name].reset_index(drop=True)
    return cells


def require_cells(data: Dataset, name: str, *, role: str, source: Any = None) -> None:
    """Refuse what :func:`cells_of` would, without a look at the cells."""
    names = data.columns if data.codec is None else data.codec.names
    require(name in names, f"{role} names a column that is not there", got=repr(name),
            do=f"choose one of {', '.join(names[:20])}")  # fmt: skip
    given = isinstance(source, str | Path | pd.DataFrame)
    require(given or data.codec is None or name not in data.codec.named("identifier"),
            f"{role} needs the cells of a column, and an identifier is no part of the points",
            got=repr(name), do="give the table itself")  # fmt: skip


def require_groups(data: Dataset, name: str, train: Int[Tensor, " k"]) -> None:
    """Refuse a column per which no model can be fitted to the training rows.

    Args:
        data: What was loaded.
        name: Of the column.
        train: Numbers of the training rows.

    Raises:
        InputError: On a column that is not there, an identifier, and one of which no value, or
            only one, has rows enough.
    """
    parts_of(data.points[train], numbered(cells_of(data, name, role="per"))[train])


def numbered(cells: "pd.Series[Any]") -> Int[Tensor, " n"]:
    """The number of every cell's value, from 0 on; missing cells share one."""
    return torch.from_numpy(pd.factorize(cells, use_na_sentinel=False)[0])
