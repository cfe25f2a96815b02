"""Tables as files: CSV and TSV, gzipped or not, and Parquet, with cells kept as they are.

A CSV cell is a number only where every cell of its column is one, written as numbers are: ``007``
makes a column of text, and so does ``1,5`` unless a schema says that decimals follow a comma. An
empty cell is missing; so are ``NA``, ``NaN``, ``null`` and the like in a column that otherwise
holds numbers, and what a schema declares missing.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``. So a *text* cell (or
header) that begins so, after any apostrophes, is written with one more apostrophe in front, which
spreadsheets show as text; and one apostrophe in front of such a cell is taken away in reading.
Both steps undo each other, whatever the text.
"""

import codecs
import csv
import gzip
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array
from wasserscore.data.files import TABLES
from wasserscore.data.tables.category import Category, Identifier
from wasserscore.data.tables.codec import Codec
from wasserscore.data.tables.columns import require_names
from wasserscore.data.tables.delimited import Texts, is_number, read_texts
from wasserscore.data.tables.dialect import Dialect
from wasserscore.data.tables.lookalike import is_plain, lookalike
from wasserscore.data.tables.overrides import Overrides
from wasserscore.data.tables.parquet import read_parquet, write_parquet

MARKS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "?", "-")
"""Texts that mean a missing cell in a column of numbers."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_ESCAPED = re.compile(r"''*[=+\-@\t\r\n＝＋－＠]")
_INTEGER = r"-?(?:0|[1-9][0-9]*)"
_WHOLE = re.compile(_INTEGER)
_FLOAT = re.compile(_INTEGER + r"(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|-?\.[0-9]+(?:[eE][+-]?[0-9]+)?")


def read_frame(
    path: str | Path, *, like: Codec | None = None, overrides: Overrides | None = None
) -> pd.DataFrame:
    """The table of a ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz`` or ``.parquet`` file.

    Args:
        path: The file.
        like: Columns that hold text there hold text here, whatever the cells look like.
        overrides: How a CSV file is written, and which texts in it mean a missing cell, beside the
            empty one.

    Raises:
        InputError: In one line, for a file that cannot be read.
    """
    path = Path(path)
    require(path.is_file(), "no such file", got=repr(str(path)), do="correct the path")
    if path.name.lower().endswith(".parquet"):
        frame = read_parquet(path)
        require_names(frame)
        return frame
    overrides = overrides or Overrides()
    dialect = overrides.dialect.of_file(path.name)
    raw = [c._replace(name=original(c.name)) for c in read_texts(path, dialect)]
    require_names(pd.DataFrame(columns=pd.Index([c.name for c in raw])))
    texts = {c.name for c in like.columns if _holds_text(c)} if like is not None else set()
    try:
        return pd.DataFrame({c.name: _typed(c, c.name in texts, overrides) for c in raw})
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None


def write_frame(
    path: str | Path,
    frames: pd.DataFrame | Iterable[pd.DataFrame],
    dialect: Dialect | None = None,
) -> None:
    """A table, or its pieces in order, as a file that is whole or absent.

    Args:
        path: Ends as one that :func:`read_frame` reads.
        frames: The table; pieces of one table are written one after the other.
        dialect: How a CSV file is written; with commas and points, in UTF-8, by default.

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
            write_parquet(temporary, pieces)
        else:
            dialect = (dialect or Dialect()).of_file(name)
            _write_csv(temporary, pieces, dialect, packed=name.endswith(".gz"))


def inert(text: str) -> str:
    """Text that no spreadsheet runs; :func:`original` is its inverse."""
    return "'" + text if _FORMULA.match(text) else text


def original(text: str) -> str:
    """The text that :func:`inert` made inert."""
    return text[1:] if _ESCAPED.match(text) else text


# Reading ----------------------------------------------------------------------------------------


def _typed(raw: Texts, text: bool, overrides: Overrides) -> "pd.Series[Any]":
    """A column of text as what its cells are."""
    different, which = raw.different, raw.which
    absent = np.isin(different, ["", *overrides.missing])
    if not text:
        pointed = overrides.dialect.pointed(different)
        numbers = _numbers(pointed, absent)
        if numbers is None:
            marked = absent | np.isin(different, MARKS)
            numbers = None if marked.all() else _numbers(pointed, marked)
            absent = absent if numbers is None else marked
        else:
            marked = absent
        if numbers is not None and not absent.all():
            return _filled(numbers, absent, which, raw.name)
        if set(different[~absent]) <= {"True", "False"} and not absent.all():
            return _filled(different == "True", absent, which, raw.name)
        wish = overrides.columns.get(raw.name)
        if wish is None or wish.kind not in (*Category.KINDS, *Identifier.KINDS):
            _require_not_mixed(raw, pointed, absent)
    cells = np.empty(len(different), dtype=object)
    cells[:] = [None if gone else original(cell)
                for cell, gone in zip(different, absent, strict=True)]  # fmt: skip
    return pd.Series(cells[which], name=raw.name, dtype="str")


def _numbers(different: Array, absent: Array) -> Array | None:
    """The numbers that all present cells are (int64 or float64), or None."""
    present = different[~absent]
    if all(map(_WHOLE.fullmatch, present)):
        if any(not -(2**63) <= int(cell) < 2**63 for cell in present):
            return None  # longer than any machine integer: text, which loses no digit
        numbers = np.zeros(len(different), dtype=np.int64)
        numbers[~absent] = [int(cell) for cell in present]
        return numbers
    if not all(map(_FLOAT.fullmatch, present)):
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


def _require_not_mixed(raw: Texts, pointed: Array, absent: Array) -> None:
    """A column of numbers with a few words in it is a mistake more often than a category."""
    digits = [any(c.isdigit() for c in cell) for cell in pointed]  # "inf" is no number here
    number = np.array([d and is_number(c) for d, c in zip(digits, pointed, strict=True)],
                      dtype=bool) & ~absent  # fmt: skip
    words = ~number & ~absent
    codes = not all(map(is_plain, pointed[number]))
    if not words.any() or codes or number.sum() <= words.sum():
        return
    row = int(words[raw.which].argmax())
    cell, looks = raw.different[raw.which[row]], lookalike(list(raw.different[words]))
    raise InputError(explain(
        f"column {raw.name!r} must not mix numbers and text",
        got=f"text in column {raw.name!r}, for example {cell[:40]!r} at row {row}",
        do="correct the cell, or say in a schema that the text means a missing cell, or that the "
        "column's kind is categorical or identifier" if looks is None else looks.advice,
    ))  # fmt: skip


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


def _write_csv(
    path: Path, pieces: Iterator[pd.DataFrame], dialect: Dialect, *, packed: bool
) -> None:
    encoder = codecs.getincrementalencoder(dialect.encoding or "utf-8")()
    with path.open("wb") as file:
        # Without a time in it, the same table is the same file.
        target: IO[bytes] = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if packed else file  # type: ignore[assignment]
        for number, piece in enumerate(pieces):
            text, quoted = _harmless(piece)
            quoting: Any = csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL
            block = text.to_csv(index=False, header=number == 0, quoting=quoting,
                                lineterminator="\n", sep=dialect.between,
                                decimal=dialect.decimal)  # fmt: skip
            target.write(encoder.encode(block))
        if packed:
            target.close()


def _harmless(frame: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The table with inert text, and whether its text needs quotes throughout."""
    require_names(frame)
    frame = frame.reset_index(drop=True)
    quoted = any("\r" in name or name.startswith(" ") for name in frame.columns)
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
