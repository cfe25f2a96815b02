"""What an audit of files notes beside its numbers: rows, units and names that are not right."""

from typing import Any

import pandas as pd

from wasserscore.audit.apart import columns_apart, middle_halves
from wasserscore.audit.tables import exact_matches
from wasserscore.audit.verdict import SAME
from wasserscore.data import Dataset
from wasserscore.data.tables import Overrides, read_frame
from wasserscore.data.tables.number import Number
from wasserscore.experiment.alike import Alike
from wasserscore.experiment.whole import Whole

SHOWN = 5
"""Columns that notes name."""
Notes = tuple[str, ...]


def known_rows(
    train: Dataset | Whole, fresh: Alike | None, real: str, holdout: str | None
) -> Notes:
    """Held-out rows most of which are training rows.

    Args:
        train: The training rows, in memory: those on disk are not asked.
        fresh: The held-out ones, if there are any.
        real: The name of the former.
        holdout: Of the latter.
    """
    if fresh is None or isinstance(train, Whole):
        return ()
    same = float(exact_matches(fresh.points, train.points).double().mean())
    if same <= SAME:
        return ()
    return (f"{same:.0%} of the rows of {holdout} are rows of {real}: if the same records "
            "are in both, the hold-out cannot tell copies from fresh data",)  # fmt: skip


def other_units(train: Dataset | Whole, generated: Alike, fake: str) -> Notes:
    """Columns of numbers whose generated values mostly lie where training values do not.

    Args:
        train: The training rows.
        generated: The generated ones.
        fake: The name of the latter.
    """
    if train.kind == "image":
        images = generated.points.reshape(-1, *train.shape)
        known = (
            train.points if isinstance(train, Whole) else train.points.reshape(-1, *train.shape)
        )
        return (f"most pixels of {fake} lie apart from those of {train.name}: are grey levels "
                "counted alike?",) * len(columns_apart(known, images))  # fmt: skip
    found, names = columns_apart(train.points, generated.points), list(train.columns)
    if train.codec is not None:
        numbers = [c.name for c in train.codec.columns if isinstance(c, Number)]
        first = [train.codec.places(name)[0] for name in numbers]
        found = [j for j in found if j in first]
    known_ends, new_ends = middle_halves(train.points), middle_halves(generated.points)
    sides = ["below" if new_ends[1, j] < known_ends[0, j] else "above" for j in found]
    return tuple(
        f"most values of {names[j]!r} in {fake} lie {side} those of {train.name}: are they in the "
        "same units?" for j, side in zip(found[:SHOWN], sides, strict=False)
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
