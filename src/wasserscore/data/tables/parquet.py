"""Parquet files as tables: days and decimals as what they are, other types refused by name."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from wasserscore.core.errors import InputError, explain
from wasserscore.data.pictures import unreadable


def read_parquet(path: Path) -> pd.DataFrame:
    """The table of a Parquet file; a named index is a column.

    Days (``date32``) become moments at midnight, and ``decimal`` numbers integers or doubles that
    spell the same digits.

    Raises:
        InputError: For a file that cannot be read, a column of a type that is no number, text,
            truth value or date, and a decimal with more digits than a double has.
    """
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        schema = pq.read_schema(path)
        require_known(schema)
        frame = pd.read_parquet(path, engine="pyarrow")
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
    except InputError:
        raise
    except (ValueError, OSError, MemoryError) as error:
        raise unreadable(path, error, "write it with DataFrame.to_parquet") from None
    for field in (f for f in schema if f.name in frame):  # an index without a name is none
        if not isinstance(frame[field.name].dtype, pd.ArrowDtype):
            frame[field.name] = of_type(frame[field.name], field.type)
    return frame


def of_type(cells: "pd.Series[Any]", kind: Any) -> "pd.Series[Any]":
    """Cells that came from an Arrow type: days as moments, decimals as numbers."""
    if str(kind).startswith("date"):
        return cells.astype("datetime64[s]")
    if str(kind).startswith("decimal"):
        return _numbers(cells, whole=kind.scale == 0)
    return cells


def write_parquet(path: Path, pieces: Iterator[pd.DataFrame]) -> None:
    """The pieces of a table, in order, as one file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for piece in pieces:
            table = pa.Table.from_pandas(piece, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def require_known(schema: Any) -> None:
    """Refuse a type that is no number, text, truth value or date, by column."""
    from pyarrow import types

    known = (types.is_integer, types.is_floating, types.is_boolean, types.is_string,
             types.is_large_string, types.is_timestamp, types.is_date, types.is_decimal,
             types.is_null, types.is_dictionary, types.is_string_view)  # fmt: skip
    odd = [field for field in schema if not any(is_it(field.type) for is_it in known)]
    if odd:
        raise InputError(explain(
            f"column {odd[0].name!r} must hold numbers, text, booleans or dates",
            got=f"Arrow type {odd[0].type}", do="convert or drop it"))  # fmt: skip


def _numbers(cells: "pd.Series[Any]", *, whole: bool) -> "pd.Series[Any]":
    """Decimals as integers or doubles of the same digits."""
    gone = cells.isna()
    if whole:
        integers: list[Any] = [
            pd.NA if lost else int(cell) for cell, lost in zip(cells, gone, strict=True)
        ]
        if all(lost or abs(cell) < 2**63 for cell, lost in zip(integers, gone, strict=True)):
            return pd.Series(integers, name=cells.name, dtype="Int64" if gone.any() else "int64")
    found: pd.Series[Any] = cells.astype(float)
    pairs = zip(cells[~gone], found[~gone], strict=True)
    long = next((cell for cell, number in pairs if Decimal(repr(number)) != cell), None)
    if long is not None:
        raise InputError(explain(f"decimals of column {cells.name!r} must have at most 15 digits",
                                 got=str(long), do="round or drop it"))  # fmt: skip
    return found
