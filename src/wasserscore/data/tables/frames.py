"""Tables as files: CSV, gzipped CSV and Parquet, with cells kept as they are.

A CSV cell is a number only where every cell of its column is one, written as numbers are: ``007``
or ``1,5`` make a column of text. An empty cell is missing; so are ``NA``, ``NaN``, ``null`` and
the like in a column that otherwise holds numbers, and what a schema declares missing.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``. So a *text* cell (or
header) that begins so, after any apostrophes, is written with one more apostrophe in front, which
spreadsheets show as text; and one apostrophe in front of such a cell is taken away in reading.
Both steps undo each other, whatever the text.
"""

import csv
import gzip
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array
from wasserscore.data.files import TABLES, unreadable
from wasserscore.data.tables.codec import Codec, require_names

MARKS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "?", "-")
"""Texts that mean a missing cell in a column of numbers."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_ESCAPED = re.compile(r"''*[=+\-@\t\r\n＝＋－＠]")
_INTEGER = r"-?(?:0|[1-9][0-9]*)"
_FLOAT = _INTEGER + r"(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|-?\.[0-9]+(?:[eE][+-]?[0-9]+)?"
_HEADER = "write one header row and the same number of comma-separated cells in every row"


def read_frame(
    path: str | Path, *, like: Codec | None = None, missing: tuple[str, ...] = ()
) -> pd.DataFrame:
    """The table of a ``.csv``, ``.csv.gz`` or ``.parquet`` file.

    Args:
        path: The file.
        like: Columns that hold text there hold text here, whatever the cells look like.
        missing: Texts that mean a missing cell, beside the empty one.

    Raises:
        InputError: In one line, for a file that cannot be read.
    """
    path = Path(path)
    if path.name.lower().endswith(".parquet"):
        try:
            frame = pd.read_parquet(path, engine="pyarrow")
            if any(name is not None for name in frame.index.names):
                frame = frame.reset_index()
        except (ValueError, OSError, MemoryError) as error:
            raise unreadable(path, error, "write it with DataFrame.to_parquet") from None
        require_names(frame)
        return frame
    raw = _read_text(path)
    texts = {c.name for c in like.columns if _holds_text(c)} if like is not None else set()
    return pd.DataFrame({name: _typed(raw[name], name in texts, missing) for name in raw.columns})


def write_frame(path: str | Path, frames: pd.DataFrame | Iterable[pd.DataFrame]) -> None:
    """A table, or its pieces in order, as a file that is whole or absent.

    Args:
        path: Ends in ``.csv``, ``.csv.gz`` or ``.parquet``.
        frames: The table; pieces of one table are written one after the other.

    Raises:
        InputError: For another ending, or text that a CSV file could not give back.
    """
    path = Path(path)
    name = path.name.lower()
    require(name.endswith(TABLES), f"a table is written as {', '.join(TABLES)}",
            got=repr(path.name))  # fmt: skip
    pieces: Iterator[pd.DataFrame] = iter([frames] if isinstance(frames, pd.DataFrame) else frames)
    with _whole(path) as temporary:
        if name.endswith(".parquet"):
            _write_parquet(temporary, pieces)
        else:
            _write_csv(temporary, pieces, packed=name.endswith(".gz"))


def inert(text: str) -> str:
    """Text that no spreadsheet runs; :func:`original` is its inverse."""
    return "'" + text if _FORMULA.match(text) else text


def original(text: str) -> str:
    """The text that :func:`inert` made inert."""
    return text[1:] if _ESCAPED.match(text) else text


# Reading ----------------------------------------------------------------------------------------


def _read_text(path: Path) -> pd.DataFrame:
    """All cells as text, without a header only where the first row is all numbers."""
    options: dict[str, Any] = {
        "header": None, "dtype": str, "na_filter": False, "encoding": "utf-8-sig",
        "index_col": False,
    }  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            head = pd.read_csv(path, nrows=1, **options)
            bare = all(_is_number(cell) for cell in head.iloc[0])
            frame = pd.read_csv(path, **{**options, "skiprows": 0 if bare else 1},
                                names=list(range(head.shape[1])))  # fmt: skip
    except pd.errors.EmptyDataError:
        raise InputError(explain("the file must hold a table", got=f"an empty {path.name!r}",
                                 do=_HEADER)) from None  # fmt: skip
    except (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        OSError,
        EOFError,
        ValueError,
    ) as error:
        raise unreadable(path, error, _HEADER) from None
    names = [f"column_{j}" for j in range(frame.shape[1])]
    cells: pd.DataFrame = frame.set_axis(
        names if bare else [original(cell) for cell in head.iloc[0]], axis=1
    )
    require_names(cells)
    return cells


def _typed(raw: "pd.Series[Any]", text: bool, missing: tuple[str, ...]) -> "pd.Series[Any]":
    """A column of text as what its cells are."""
    different, which = _distinct(raw)
    absent = np.isin(different, ["", *missing])
    if not text:
        numbers = _numbers(different, absent)
        if numbers is None:
            marked = absent | np.isin(different, MARKS)
            numbers = None if marked.all() else _numbers(different, marked)
            absent = absent if numbers is None else marked
        else:
            marked = absent
        if numbers is not None and not absent.all():
            return _filled(numbers, absent, which, raw.name)
        if set(different[~absent]) <= {"True", "False"} and not absent.all():
            return _filled(different == "True", absent, which, raw.name)
        _require_not_mixed(raw, different, absent)
    cells = np.empty(len(different), dtype=object)
    cells[:] = [None if gone else original(cell)
                for cell, gone in zip(different, absent, strict=True)]  # fmt: skip
    return pd.Series(cells[which], name=raw.name, dtype="str")


def _distinct(raw: "pd.Series[Any]") -> tuple[Array, Array]:
    codes, different = pd.factorize(raw.astype(object), use_na_sentinel=False)
    return np.array([str(cell) for cell in different], dtype=object), codes


def _numbers(different: Array, absent: Array) -> Array | None:
    """The numbers that all present cells are (int64 or float64), or None."""
    present = different[~absent]
    if all(re.fullmatch(_INTEGER, cell) for cell in present):
        if any(not -(2**63) <= int(cell) < 2**63 for cell in present):
            return None  # longer than any machine integer: text, which loses no digit
        numbers = np.zeros(len(different), dtype=np.int64)
        numbers[~absent] = [int(cell) for cell in present]
        return numbers
    if not all(re.fullmatch(_FLOAT, cell) for cell in present):
        return None
    floats = np.full(len(different), np.nan)
    floats[~absent] = [float(cell) for cell in present]
    return floats


def _filled(values: Array, absent: Array, which: Array, name: Any) -> "pd.Series[Any]":
    cells = pd.Series(values[which], name=name)
    gone = absent[which]
    if values.dtype.kind == "f" or not gone.any():
        return cells
    wide = "boolean" if values.dtype.kind == "b" else "Int64"
    return cells.astype(wide).mask(gone)  # type: ignore[call-overload, no-any-return]


def _require_not_mixed(raw: "pd.Series[Any]", different: Array, absent: Array) -> None:
    """A column of numbers with a few words in it is a mistake more often than a category."""
    digits = [any(c.isdigit() for c in cell) for cell in different]  # "inf" is no number here
    number = np.array([d and _is_number(c) for d, c in zip(digits, different, strict=True)],
                      dtype=bool) & ~absent  # fmt: skip
    padded = [bool(re.match(r"-?0[0-9]", cell)) for cell in different[number]]
    words = ~number & ~absent
    if not words.any() or any(padded) or number.sum() <= words.sum():
        return
    row = int(np.isin(raw.to_numpy(dtype=object), different[words]).argmax())
    raise InputError(explain(
        f"column {raw.name!r} must not mix numbers and text",
        got=f"text in column {raw.name!r}, for example {str(raw.iloc[row])[:40]!r} at row {row}",
        do="correct the cell, or say in a schema that the text means a missing cell",
    ))  # fmt: skip


def _is_number(cell: object) -> bool:
    try:
        float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _holds_text(column: Any) -> bool:
    """Whether a column of a codec holds text."""
    dtype = column.storage.categories or column.storage.dtype
    return column.storage.date is not None or dtype in ("object", "str", "string")


# Writing ----------------------------------------------------------------------------------------


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_csv(path: Path, pieces: Iterator[pd.DataFrame], *, packed: bool) -> None:
    with path.open("wb") as file:
        # Without a time in it, the same table is the same file.
        target: IO[bytes] = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if packed else file  # type: ignore[assignment]
        for number, piece in enumerate(pieces):
            text, quoted = _harmless(piece)
            quoting: Any = csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL
            block = text.to_csv(index=False, header=number == 0, quoting=quoting,
                                lineterminator="\n")  # fmt: skip
            target.write(block.encode())
        if packed:
            target.close()


def _harmless(frame: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The table with inert text, and whether its text needs quotes throughout."""
    require_names(frame)
    frame = frame.reset_index(drop=True)
    quoted = any("\r" in name for name in frame.columns)
    out = {}
    for name in frame.columns:
        cells = frame[name]
        if not (
            cells.dtype == object or isinstance(cells.dtype, pd.StringDtype | pd.CategoricalDtype)
        ):
            out[inert(name)] = cells
            continue
        codes, different = pd.factorize(cells.astype(object))
        texts = [value for value in different if isinstance(value, str)]
        for bad, what in (("", "empty text"), ("\0", "a NUL character")):
            found = any(t == "" for t in texts) if bad == "" else any(bad in t for t in texts)
            require(not found, f"column {name!r} cannot be written as CSV", got=what,
                    do="write .parquet, or replace it")  # fmt: skip
        quoted = quoted or any("\r" in text for text in texts)
        safe = np.array([*(inert(v) if isinstance(v, str) else v for v in different), None],
                        dtype=object)  # fmt: skip
        out[inert(name)] = pd.Series(safe[codes], name=name)
    return pd.DataFrame(out), quoted


def _write_parquet(path: Path, pieces: Iterator[pd.DataFrame]) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    writer = None
    try:
        for piece in pieces:
            table = pa.Table.from_pandas(piece, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()
