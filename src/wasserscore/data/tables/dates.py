"""Dates and times of day as text: which format a column has, its moments, and text from them.

A format is one of ``strftime``, with ``%3f``, ``%6f`` and ``%9f`` for parts of a second of so
many digits, and ``%-d``, ``%-m``, ``%-H`` and ``%-I`` where no zero stands in front. Text is a
date only where its moment, written again, is the same text.
"""

import re
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.typing import Array

_SHORT = re.compile(r"%([dmHI])")
"""What may be written without zeros in front."""


def _both(*forms: str) -> list[str]:
    """Some formats, and then the same without zeros in front."""
    short = [_SHORT.sub(r"%-\1", form) for form in forms]
    return [*forms, *(form for form in short if form not in forms)]


_DAYS = _both("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y")
_CLOCKS = _both("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
FORMATS = (
    *_DAYS, *_CLOCKS, *(f"{day}{between}{clock}" for between, day, clock in
                        product((" ", "T"), _DAYS, _CLOCKS)),
)  # fmt: skip
"""Text that is read as a date where every cell of a column has the same of these forms. Times of
day are those of one day: 23:59 is far from 00:01."""
_SHAPE = re.compile(r"%-?[a-zA-Z]|[0-9]+|[AP]M")
_TAIL = re.compile(r"(?<=:[0-9]{2})(?:\.([0-9]+))?(Z| ?UTC| ?[+-][0-9]{2}:?[0-9]{2})?$")
"""What may follow a time of day: parts of a second, and a time zone, the same in every cell."""
_PARTS = re.compile(r"%([369]?)f")
_UNITS = {"3": "ms", "6": "us", "9": "ns"}
"""Of parts of a second with so many digits, ``%3f`` in the format; ``%f`` has six."""
_PIECES = re.compile(r"(%-[dmHI]|%[369]?f)")


def date_format(texts: Array) -> str | None:
    """The format that all texts have; None where there is none, or two that read other moments.

    One of :data:`FORMATS`, and what else stands at the end of all texts alike.
    """
    few = texts[:: max(1, len(texts) // 50)]
    tail = _TAIL.search(few[0])
    shape = _SHAPE.sub("0", few[0][: tail.start()] if tail else few[0])
    shaped = [form for form in FORMATS if _SHAPE.sub("0", form) == shape]
    ends = [tail.group() if tail else ""]
    if tail and str(len(tail[1] or "")) in _UNITS:
        ends.append(f".%{len(tail[1])}f{tail[2] or ''}")
    for end in ends:
        likely = [form + end for form in shaped if parse_dates(few, form + end) is not None]
        read = {form: parse_dates(texts, form) for form in likely}
        found = {form: ticks for form, ticks in read.items() if ticks is not None}
        if found:
            first, *others = found.values()
            return next(iter(found)) if all(np.array_equal(first, t) for t in others) else None
    return None


def parse_dates(texts: Array, form: str) -> Array | None:
    """Ticks since 1970 of texts that all have a format and survive it; None otherwise."""
    plain = _PARTS.sub("%f", form).replace("%-", "%")
    plainly = pd.Series([str(text) for text in texts], dtype=object)
    try:
        stamps = pd.to_datetime(plainly, format=plain, errors="coerce")
        gone = stamps.isna().to_numpy()
        # pandas 2 knows no year 9999
        late = [datetime.strptime(text, plain) for text in plainly[gone]]
    except ValueError:  # offsets that differ, or no such date
        return None
    ticks = stamps.to_numpy().astype(f"datetime64[{tick_of(form)}]")
    ticks[gone] = [_universal(moment) for moment in late]
    if not np.array_equal(written(ticks, form), np.asarray(texts, dtype=object)):
        return None
    return np.asarray(ticks.astype(np.int64))


def _universal(moment: datetime) -> datetime:
    """A moment without a time zone, in that of the others."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def tick_of(form: str) -> str:
    """What moments of a format are counted in: "s", "ms", "us" or "ns"."""
    parts = _PARTS.search(form)
    return "s" if parts is None else _UNITS[parts[1] or "6"]


def written(ticks: Array, form: str) -> Array:
    """Moments ``(n,)`` as text."""
    moments: pd.Series[Any] = pd.Series(ticks)
    out = np.full(len(ticks), "", dtype=object)
    for piece in _PIECES.split(form):
        out = out + (_piece(moments, piece) if "%" in piece else piece)
    return np.asarray(out)


def _piece(moments: "pd.Series[Any]", piece: str) -> Array:
    """What stands for a part of a format in each cell."""
    parts = _PARTS.fullmatch(piece)
    if parts is not None:
        digits = int(parts[1] or 6)
        ticks = moments.to_numpy().astype(np.int64).tolist()
        return np.array([f"{tick % 10**digits:0{digits}d}" for tick in ticks], dtype=object)
    whole = moments.dt.strftime(piece.replace("%-", "%"))
    found = whole if "%-" not in piece else whole.str.replace("^0", "", regex=True)
    return np.asarray(found, dtype=object)
