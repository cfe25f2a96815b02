"""Generated rows as files."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from wasserscore.core.errors import require
from wasserscore.core.files import write_atomically
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud
from wasserscore.data import Layout
from wasserscore.data.files import TABLES
from wasserscore.data.tables import write_frame

FORMATS = (".npy", *TABLES)
CHUNK = 2**16
"""Rows of a table that are decoded and written at a time."""


def require_format(path: Path) -> None:
    """The ending must be one that can be written."""
    require(path.name.lower().endswith(FORMATS), f"--out must end in {', '.join(FORMATS)}",
            got=repr(path.name))  # fmt: skip


def write_rows(path: Path, rows: Cloud, layout: Layout) -> None:
    """Rows ``(n, d)`` as ``.npy`` (items in their own shape) or as a table, by the file's ending.

    A mixed table is written with its own columns and dtypes (as ``.npy``: its points), a CSV file
    in the dialect that its schema states. Text that a spreadsheet would run is made inert; see
    :mod:`wasserscore.data.tables.frames`.

    Args:
        path: Says the format by its ending; appears whole or not at all.
        rows: Data units.
        layout: Names the columns and the shape of an item.
    """
    require_format(path)
    if path.suffix.lower() == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, rows.reshape(len(rows), *layout.shape).numpy(), allow_pickle=False)
        write_atomically(path, buffer.getvalue())
    else:
        written = None if layout.codec is None else layout.codec.dialect
        write_frame(path, _pieces(rows, layout), written)


def _pieces(rows: Cloud, layout: Layout) -> Iterator[pd.DataFrame]:
    for part in tiles(len(rows), CHUNK):
        yield layout.frame(rows[part], start=part.start)
