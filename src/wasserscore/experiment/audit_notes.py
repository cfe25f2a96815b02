"""What an audit of files notes beside its numbers: units and names that are not right."""

from itertools import islice
from typing import Any

import pandas as pd

from wasserscore.audit.apart import columns_apart
from wasserscore.data import Dataset
from wasserscore.data.tables import Overrides, read_frame
from wasserscore.data.tables.number import Number
from wasserscore.experiment.alike import Alike
from wasserscore.experiment.whole import Whole

SHOWN = 5
"""Columns that notes name."""
Notes = tuple[str, ...]


def other_units(train: Dataset | Whole, rows: Alike, file: str) -> Notes:
    """Columns of numbers whose values, of other rows, mostly lie where training values do not.

    Args:
        train: The training rows.
        rows: The generated, or the held-out, ones.
        file: The name of the latter.
    """
    if train.kind == "image":
        images = rows.points.reshape(-1, *train.shape)
        known = (
            train.points if isinstance(train, Whole) else train.points.reshape(-1, *train.shape)
        )
        return (f"the pixels of {file} lie apart from those of {train.name}: are grey levels "
                "counted alike?",) * len(columns_apart(known, images))  # fmt: skip
    found, names = columns_apart(train.points, rows.points), list(train.columns)
    if train.codec is not None:
        numbers = [c.name for c in train.codec.columns if isinstance(c, Number)]
        first = [train.codec.places(name)[0] for name in numbers]
        found = {j: side for j, side in found.items() if j in first}
    return tuple(
        f"most values of {names[j]!r} in {file} lie {side} those of {train.name}: are they in the "
        "same units?" for j, side in islice(found.items(), SHOWN)
    )  # fmt: skip


def known_names(
    train: Dataset | Whole, generated: Alike, real: str, fake: str, overrides: Overrides | None
) -> Notes:
    """Identifiers of generated rows that are those of training rows.

    Whole numbers that follow each other name nobody and are left out.

    Args:
        train: The training rows.
        generated: The generated ones.
        real: The file of the former.
        fake: The name of the latter.
        overrides: How the file is written.
    """
    columns = {name: cells for name, cells in generated.identifiers.items()
               if not _follow_each_other(cells)}  # fmt: skip
    if not columns:
        return ()
    known = read_frame(real, like=train.codec, overrides=overrides)
    again = {name: cells[cells.isin(known[name].dropna())] for name, cells in columns.items()}
    return tuple(
        f"{len(cells)} rows of {fake} have the {name!r} of a row of {real}, such as "
        f"{cells.iloc[0]!r}: generated rows must name nobody"
        for name, cells in again.items() if len(cells)
    )  # fmt: skip


def _follow_each_other(cells: "pd.Series[Any]") -> bool:
    whole = pd.api.types.is_integer_dtype(cells)
    return bool(whole and (cells.diff()[1:] == 1).all())
