"""Generated rows as files."""

import io
from pathlib import Path

import numpy as np

from wasserscore.core.files import write_atomically
from wasserscore.core.typing import Cloud
from wasserscore.data import Layout

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins with one of these; in a header it is quoted."""


def write_rows(path: Path, rows: Cloud, layout: Layout) -> None:
    """Rows ``(n, d)`` as ``.npy`` (items in their own shape) or ``.csv`` (with a header).

    Args:
        path: Ends in ``.npy`` or ``.csv``; appears whole or not at all.
        rows: Data units.
        layout: Names the columns and the shape of an item.
    """
    buffer = io.BytesIO()
    if path.suffix == ".npy":
        np.save(buffer, rows.reshape(len(rows), *layout.shape).numpy(), allow_pickle=False)
    else:
        import pandas as pd

        names = [f"'{c}" if c.startswith(FORMULA) else c for c in layout.columns]
        pd.DataFrame(rows.numpy(), columns=pd.Index(names)).to_csv(buffer, index=False)
    write_atomically(path, buffer.getvalue())
