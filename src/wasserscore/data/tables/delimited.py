"""CSV files as text: what separates their cells, how letters are written, where a row is broken.

Nothing is guessed that could change a value: the separator is the one that cuts the first row
into most cells, letters are UTF-8 (or UTF-16 that begins with its mark), and whatever else a file
is written in, a :class:`Dialect` says.

Excel may write a line ``sep=;`` before the header. It says what the separator is, unless a
:class:`Dialect` does, and is no row. It is never written: new rows are as the dialect says.
"""

import codecs
import csv
import gzip
import io
import operator
import re
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wasserscore.core.errors import InputError, explain
from wasserscore.core.typing import Array
from wasserscore.data.pictures import unreadable
from wasserscore.data.tables.dialect import SEPARATORS, Dialect

BLOCK = 4096
"""Rows that are taken in together."""
_TOLD = re.compile(r'(?i)"?sep=(.)"?[\r\n]*')
_HEADER = "write one header row and the same number of cells in every row"


class Texts(NamedTuple):
    """A column as text: its name, its different cells, and which of them each row has."""

    name: str
    different: Array
    which: Array


def _separated(dialect: Dialect, separator: str, name: str) -> Dialect:
    """The dialect with the separator of a first line, unless it cannot be that one."""
    try:
        return replace(dialect, separator=separator)
    except InputError as error:
        raise InputError(f"line 1 of {name} says sep={separator}, but {error}; write separator = "
                         "... in the schema") from None  # fmt: skip


def read_texts(path: Path, dialect: Dialect) -> list[Texts]:
    """The columns of a CSV file: under the names of its first row, unless that is all numbers.

    Args:
        path: The file, gzipped or not.
        dialect: How it is written.

    Raises:
        InputError: In one line, for a file that cannot be read, and for a row with too few or
            too many cells, by its line.
            So for a first row of names and numbers that looks like the rows below it.
    """
    try:
        with _opened(path, dialect) as file:
            told = _TOLD.fullmatch(file.readline())
            first = 0 if told is None else 1
            if told is not None and dialect.separator is None:
                dialect = _separated(dialect, told[1], path.name)
            separator = dialect.separator or _separator(file, dialect)
            spaced = _spaced(file, first, separator)
            lines = csv.reader(_lines(file, first), delimiter=separator, strict=True,
                               skipinitialspace=spaced)  # fmt: skip
            rows = _rows(lines, path.name, first)
            head = next(rows, None)
            if head is None:
                raise InputError(explain("the file must hold a table",
                                         got=f"an empty {path.name!r}", do=_HEADER))  # fmt: skip
            if all(map(is_number, dialect.pointed(np.array(head, dtype=object)))):
                return _columns([f"column_{j}" for j in range(len(head))], chain([head], rows))
            columns = _columns(head, rows)
    except UnicodeError as error:
        code = f"encoding {dialect.encoding!r}" if dialect.encoding else "UTF-8"
        raise InputError(explain(
            f"{path.name} must be written in {code}", got=" ".join(str(error).split())[:120],
            do="say how in the schema, for example encoding = 'cp1252' (Excel) or 'utf-16'",
        )) from None  # fmt: skip
    except (csv.Error, OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error, _HEADER) from None
    _require_header(columns, path.name, dialect)
    return columns


def is_number(cell: str) -> bool:
    """Whether a text is a number, however it is written; infinities and NaN are."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _opened(path: Path, dialect: Dialect) -> io.TextIOWrapper:
    opened: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as raw:
        marked = raw.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    found = dialect.encoding or ("utf-16" if marked else "utf-8-sig")
    text: io.TextIOWrapper = opened(path, "rt", encoding=found, newline="")
    return text


def _lines(file: io.TextIOWrapper, first: int) -> Iterator[str]:
    """The lines of a file from one of them on."""
    file.seek(0)
    return islice(file, first, None)


def _separator(file: io.TextIOWrapper, dialect: Dialect) -> str:
    """The one that cuts the first row into most cells; the comma where none does."""
    found = {}
    for sign in SEPARATORS.replace(dialect.decimal, ""):
        rows = csv.reader(_lines(file, 0), delimiter=sign)
        found[sign] = max(map(len, islice(rows, 1)), default=0)
    return max(found, key=lambda sign: found[sign])


def _spaced(file: io.TextIOWrapper, first: int, separator: str) -> bool:
    """Whether a space follows every separator of the first row."""
    tight, loose = (
        next(csv.reader(_lines(file, first), delimiter=separator, skipinitialspace=skip), [])
        for skip in (False, True)
    )
    return len(tight) == len(loose) > 1 and all(map(operator.ne, tight[1:], loose[1:]))


def _rows(reader: Any, name: str, before: int) -> Iterator[list[str]]:
    """Rows that are not blank, each with as many cells as the first; so many lines come before."""
    width = 0
    for row in reader:
        if not row or (width != 1 and len(row) == 1 and not row[0].strip()):
            continue
        if not width and any("\0" in cell for cell in row):
            raise UnicodeError("NUL characters")
        width = width or len(row)
        if len(row) != width:
            raise InputError(explain(
                f"{name} must have {width} cells in every row, as in its first",
                got=f"{len(row)} in line {before + reader.line_num}",
                do="remove lines that stand before the header" if width == 1 else
                "correct the line (is the file cut off, or a separator not in quotes?), or say "
                "separator = ';' in a schema"))  # fmt: skip
        yield row


def _columns(head: list[str], rows: Iterator[list[str]]) -> list[Texts]:
    known: list[dict[str, int]] = [defaultdict(count().__next__) for _ in head]
    which = [array("q") for _ in head]
    while block := list(islice(rows, BLOCK)):
        for cells, numbers, places in zip(zip(*block, strict=True), known, which, strict=True):
            places.extend(map(numbers.__getitem__, cells))
    return [
        Texts(name, np.array([*numbers, None], dtype=object)[:-1],
              np.frombuffer(places, dtype=np.int64) if places else np.zeros(0, dtype=np.int64))
        for name, numbers, places in zip(head, known, which, strict=True)
    ]  # fmt: skip


def _require_header(columns: list[Texts], name: str, dialect: Dialect) -> None:
    """Refuse a first row of values: texts that come again below, numbers over numbers."""
    again = [c.name for c in columns if c.name and not is_number(c.name) and c.name in c.different]
    numbers = [
        c.name for c in columns
        if is_number(c.name) and all(map(is_number, dialect.pointed(c.different)))
    ]  # fmt: skip
    if again and (numbers or len(again) == len(columns)):
        shown = ", ".join(map(repr, [*numbers[:2], *again[:2]]))
        raise InputError(explain(f"the first row of {name} must name the columns",
                                 got=f"{shown}, as in the rows below it",
                                 do="write a header row"))  # fmt: skip
