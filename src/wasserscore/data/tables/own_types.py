"""Columns of Arrow's types, or of another byte order, as pandas' own: what the codec knows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.data.tables.parquet import of_type, require_known


def own_types(frame: pd.DataFrame, names: Iterable[str] | None = None) -> pd.DataFrame:
    """The same cells; whole numbers and truth values of Arrow become nullable ones.

    Args:
        frame: Column names differ and are text.
        names: The columns that matter; all by default.

    Raises:
        InputError: For an Arrow type that is no number, text, truth value or date, by column.
    """
    asked = frame.columns if names is None else names
    dtypes: dict[str, Any] = {name: frame[name].dtype for name in asked}
    arrow = [name for name, dtype in dtypes.items() if isinstance(dtype, pd.ArrowDtype)]
    swapped = {
        name: dtype.newbyteorder("=")
        for name, dtype in dtypes.items()
        if isinstance(dtype, np.dtype) and not dtype.isnative
    }
    if arrow or swapped:
        frame = frame.astype(swapped)
    for name, cells in (_of_arrow(frame[arrow]) if arrow else {}).items():
        frame[name] = cells
    return frame


def _of_arrow(frame: pd.DataFrame) -> dict[str, Any]:
    import pyarrow as pa  # type: ignore[import-untyped]

    table = pa.Table.from_pandas(frame, preserve_index=False)
    require_known(table.schema)
    nullable = {pa.bool_(): pd.BooleanDtype()} | {
        pa.type_for_alias(f"{sign}int{bits}"): pd.api.types.pandas_dtype(f"{kind}{bits}")
        for sign, kind in (("", "Int"), ("u", "UInt"))
        for bits in (8, 16, 32, 64)
    }
    found = table.to_pandas(types_mapper=nullable.get, ignore_metadata=True)
    return {
        field.name: of_type(found[field.name], field.type).set_axis(frame.index)
        for field in table.schema
    }
