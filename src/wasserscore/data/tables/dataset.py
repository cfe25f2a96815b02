"""A table as a data set: as it is where it is all numbers, through a codec otherwise."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from wasserscore.core.errors import require
from wasserscore.data.dataset import MIXED_UNITS, Dataset
from wasserscore.data.tables.codec import Codec
from wasserscore.data.tables.frames import read_frame
from wasserscore.data.tables.overrides import Overrides
from wasserscore.data.tables.own_types import own_types


def read_table(path: Path, overrides: Overrides | None = None) -> Dataset:
    """A table in a file, as :func:`read_frame` reads it.

    Args:
        path: The file.
        overrides: What the user says of the columns; the table is then seen through its codec
            even where all columns are numbers.
    """
    frame = read_frame(path, overrides=overrides)
    name = path.name
    for ending in (".gz", ".csv", ".tsv", ".parquet"):
        name = name.removesuffix(ending)
    return from_frame(frame, name=name, source=f"file {path.name}", overrides=overrides)


def from_frame(
    frame: pd.DataFrame, *, name: str, source: str, overrides: Overrides | None = None
) -> Dataset:
    """A table: as it is where every column is made of numbers, through its codec otherwise.

    Args:
        frame: The table.
        name: What to call it.
        source: Where it came from.
        overrides: What the user says of the columns.

    Raises:
        InputError: For a table that cannot be used, by column and cell.
    """
    require(len(frame) >= 2, f"{name} needs at least 2 rows", got=f"{len(frame)} row"
            + "s" * (len(frame) != 1), do="give more data")  # fmt: skip
    codec, rows = Codec.with_points(frame, overrides)
    if codec.numeric and overrides is None:
        frame = own_types(frame)
        points = torch.from_numpy(frame.to_numpy(dtype=np.float64, copy=True))
        return Dataset.build(points, name=name, kind="table", source=source, columns=codec.names,
                             dtypes=tuple(map(str, frame.dtypes)))  # fmt: skip
    require(bool(codec.coordinates), f"{name} must vary in at least one column",
            got="only constants and identifiers", do="give a schema that says more")  # fmt: skip
    return Dataset.build(rows, name=name, kind="mixed", source=source,
                         columns=codec.coordinates, units=MIXED_UNITS, codec=codec)  # fmt: skip
