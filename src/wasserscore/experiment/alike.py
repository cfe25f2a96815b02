"""Rows of another file in the space of rows that are known: what an audit and a flow compare."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from wasserscore.core.errors import InputError, require
from wasserscore.core.tensors import same_axes
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, Layout, load
from wasserscore.data.files import TABLES
from wasserscore.data.tables import Codec, Overrides, read_frame
from wasserscore.data.tables.category import Category, Constant
from wasserscore.data.tables.number import Number
from wasserscore.experiment.drawn import Drawn, rows_of

SHOWN = 5
"""Values that a note lists."""


NOBODY = pd.DataFrame()


class Alike(NamedTuple):
    """Rows of a file as points.

    Args:
        points: ``(n, d)``, the coordinates in the order of the known rows.
        name: Of the file.
        notes: What does not fit, and what was left out: columns and levels by name.
        identifiers: The cells of columns that only name rows.
    """

    points: Cloud
    name: str
    notes: tuple[str, ...] = ()
    identifiers: pd.DataFrame = NOBODY


def rows_like(
    known: Layout, source: str, *, overrides: Overrides | None = None, drawn: int | None = None
) -> Alike:
    """The rows of ``source`` with the columns of ``known``, text through its codec.

    Args:
        known: The rows whose columns and units count.
        source: Name or path of the others; the columns of tables are matched by name.
        overrides: How the file of a mixed table is written, and what means a missing cell.
        drawn: Seed of the rows drawn from files on disk; None refuses such files.

    Raises:
        InputError: On a file that cannot be used or does not fit.
    """
    if known.codec is not None:
        return _encoded(known, known.codec, source, overrides)
    other = load(source) if drawn is None else rows_of(source, seed=drawn)
    notes = (f"{source}: {other.source}",) if isinstance(other, Drawn) else ()
    if other.codec is not None:
        other = _numbers(known, other, other.codec, Path(source))
    if known.kind == other.kind == "table" and _has_names(known) and _has_names(other):
        extra = _extra(known, source, list(other.columns), known.columns, known.columns)
        order = [other.columns.index(column) for column in known.columns]
        return Alike(other.points[:, order], other.name, (*notes, *extra))
    require(other.d == known.d, f"{source} must have the {known.d} columns of {known.name}",
            got=other.d)  # fmt: skip
    both = known.kind == other.kind == "image"
    return Alike(_images(known, other, source) if both else other.points, other.name, notes)


def _images(known: Layout, other: Dataset, source: str) -> Cloud:
    """Images of another file with their channels where the known ones have them."""
    if same_axes(other.shape, known.shape):
        return other.points
    fit = all(len(shape) in (2, 3) for shape in (other.shape, known.shape))
    sizes = [rows.images(torch.zeros(1, known.d)).shape for rows in (known, other)] if fit else []
    require(fit and sizes[0] == sizes[1], f"{source} must have images of the size of those in "
            f"{known.name}, {known.shape}", got=other.shape)  # fmt: skip
    return known.rows(other.images(other.points))


def _extra(
    known: Layout, source: str, names: list[str], all_of: Sequence[str], needed: Sequence[str]
) -> list[str]:
    """A note on every column of ``source`` that is not of ``all_of``.

    Raises:
        InputError: If one of those ``needed`` is not there; names all of them.
    """
    lost = [name for name in needed if name not in names]
    require(not lost, f"{source} must have the columns of {known.name}",
            got=f"no {', '.join(map(repr, lost))}")  # fmt: skip
    return [f"{source} has a column {name!r} that {known.name} has not; left out"
            for name in names if name not in all_of]  # fmt: skip


def _has_names(rows: Layout) -> bool:
    """Whether the columns of a table had a header: others are matched by their place."""
    return list(rows.columns) != [f"column_{j}" for j in range(rows.d)]


def _numbers(known: Layout, other: Dataset, codec: Codec, source: Path) -> Dataset:
    """A table of numbers as they are, where few values gave it a codec."""
    odd = [f"{c.name!r} ({c.kind})" for c in codec.columns
           if not isinstance(c, Number) or c.missing]  # fmt: skip
    require(not odd, f"{source} must hold numbers in every column, as {known.name}",
            got=", ".join(odd), do="compare the same columns")  # fmt: skip
    cells = read_frame(source)[list(codec.names)].to_numpy(dtype=float, copy=True)
    return Dataset.build(torch.from_numpy(cells), name=other.name, kind="table",
                         columns=tuple(codec.names))  # fmt: skip


def left_out(known: Layout) -> tuple[str, ...]:
    """A note on every column that counts for nothing, or for another thing than it looks like."""
    if known.codec is None:
        return ()
    return (*(f"identifier column {name!r} takes no part in distances"
              for name in known.codec.named("identifier")), *known.codec.notes)  # fmt: skip


def _encoded(known: Layout, codec: Codec, source: str, overrides: Overrides | None) -> Alike:
    """The rows of another table as points of the known rows' space; what is odd is noted."""
    require(source.lower().endswith(TABLES), f"{source} must be a table with the columns of "
            f"{known.name}", got="no table", do=f"use one of {', '.join(TABLES)}")  # fmt: skip
    frame = read_frame(Path(source), like=codec, overrides=overrides)
    require(len(frame) > 0, f"{source} must have rows", got="none")
    absent = [name for name in codec.names if name not in frame.columns]
    needed = [c.name for c in codec.columns if c.coordinates]
    extra = _extra(known, source, list(frame.columns), codec.names, needed)
    notes = [f"{source} has no column {name!r}, which takes no part in distances"
             for name in absent]  # fmt: skip
    notes += extra
    levels = {c.name: c for c in codec.columns if isinstance(c, Category)}
    for name, values in codec.unseen(frame).items():
        strange = int((levels[name].numbers(frame[name]) < 0).sum())
        shown = ["missing cells" if value is None else repr(value) for value in values[:SHOWN]]
        require(strange <= len(frame) / 2, f"most cells of column {name!r} in {source} must be "
                f"levels of {known.name}", got=f"{strange} of {len(frame)} that are not, such as "
                f"{shown[0]}", do="write them alike (leading zeros, capitals), or leave the "
                "column out of all files")  # fmt: skip
        more = ", ..." if len(values) > SHOWN else ""
        notes.append(f"{strange} of {len(frame)} cells of {name!r} in {source} are no level of "
                     f"{known.name}: {', '.join(shown)}{more}")  # fmt: skip
    constants = [c for c in codec.columns if isinstance(c, Constant) and c.name not in absent]
    notes += [f"{source} has other cells than {c.values!r} in column {c.name!r}, which takes no "
              "part in distances" for c in constants if not c.holds(frame[c.name])]  # fmt: skip
    whole = pd.DataFrame(frame.reindex(columns=[*frame.columns, *absent]))
    named = [name for name in codec.named("identifier") if name in frame.columns]
    try:
        points = codec.encode(whole, exact=False)
    except InputError as error:  # a codec knows columns, not files, of which there are three
        raise InputError(f"{source}: {error}") from None
    return Alike(points, Path(source).stem, tuple(notes), frame[named])
