"""Train, generated and hold-out rows as points of one space, whatever form they came in."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points
from wasserscore.data import Mapped
from wasserscore.distance.clouds import require_squares


class Rows(NamedTuple):
    """The three sets, (n, *shape) each, of one shape of a row and one number type.

    The coarsest type of the three: beside rows in float32, all of them are what float32 makes of
    them, so that a row and its copy are equal and distances do not see what was rounded away.
    ``holdout`` may be None.
    """

    train: Tensor | Mapped
    generated: Tensor
    holdout: Tensor | None


def as_rows(train: Any, generated: Any, holdout: Any) -> Rows:
    """The sets on the CPU in one number type, columns of DataFrames aligned by name to train's.

    Raises:
        InputError: Names missing, extra, repeated or non-numeric columns, the first bad cell, or
            the shapes that do not fit.
    """
    require(train is not None and generated is not None, "an audit needs train and generated rows",
            got="no rows in place of one", do="pass both")  # fmt: skip
    train, generated, holdout = (x.to_pandas() if hasattr(x, "to_pandas") else x
                                 for x in (train, generated, holdout))  # fmt: skip
    mapped = isinstance(train, Mapped)
    given = {"train": None if mapped else train, "generated": generated, "holdout": holdout}
    columns = list(train.columns) if hasattr(train, "columns") else None
    points = {
        name: as_points(_aligned(rows, columns, name), name).cpu()
        for name, rows in given.items()
        if rows is not None
    }
    known = train if mapped else points["train"]
    shape = tuple(known.shape[1:])
    for name, rows in points.items():
        require(rows.shape[1:] == shape, f"{name} must have rows like train, {shape}",
                got=tuple(rows.shape[1:]), do="compare the same columns")  # fmt: skip
    require_squares(*points.values())
    coarse = torch.float32 in (known.dtype, *(rows.dtype for rows in points.values()))
    dtype = torch.float32 if coarse else torch.float64
    fresh = None if holdout is None else points["holdout"].to(dtype)
    return Rows(known.to(dtype), points["generated"].to(dtype), fresh)


def _aligned(rows: Any, columns: list[Any] | None, name: str) -> Any:
    """A DataFrame with the columns of train in their order; anything else as it is."""
    if not hasattr(rows, "columns"):
        return rows
    own = list(rows.columns)
    require(len(set(own)) == len(own), f"{name} must name each column once",
            got=sorted({str(c) for c in own if own.count(c) > 1}))  # fmt: skip
    if columns is not None:
        missing = [str(c) for c in columns if c not in own]
        extra = [str(c) for c in own if c not in columns]
        require(not missing and not extra, f"{name} must have the columns of train",
                got=f"missing {missing}, extra {extra}", do="rename or drop them")  # fmt: skip
        rows = rows[columns]
    kinds = zip(rows.columns, rows.dtypes, strict=True)
    text = [str(column) for column, kind in kinds if kind.kind not in "fiub"]
    require(not text, f"{name} must have numbers in every column", got=f"no numbers in {text}",
            do="encode or drop them")  # fmt: skip
    return rows.to_numpy(dtype=float)


def distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows, each at its first place and in order, and where those places are.

    A row that train holds twice says nothing about copying, and would make distances to the
    second neighbour zero.
    """
    flat = rows.flatten(1)
    _, label = torch.unique(flat, dim=0, return_inverse=True)
    first = torch.full((int(label.max()) + 1,), len(flat), dtype=torch.long)
    first.scatter_reduce_(0, label, torch.arange(len(flat)), reduce="amin")
    places = first.sort().values
    return flat[places], places


def exact_matches(rows: Tensor, train: Tensor) -> Tensor:
    """Which rows are in train, number for number, both in one number type."""
    known = set(keys(train))
    return torch.tensor([key in known for key in keys(rows)])


def keys(x: Tensor) -> list[bytes]:
    """The bytes of every row; of equal numbers, equal ones."""
    flat = x.flatten(1) + 0.0  # -0.0 becomes 0.0
    return [row.tobytes() for row in flat.numpy()]
