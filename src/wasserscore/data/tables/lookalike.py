"""Text that looks like numbers or moments, and yet is text: prices, percent, odd dates.

Nothing of it is read as what it seems: ``1,200`` is one number in London and another in Berlin,
and ``1/2/24`` two days. But who reads such a column as names of rows, or as levels without an
order, ought to be told.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from wasserscore.core.errors import InputError, explain
from wasserscore.data.tables.delimited import is_number

NEARLY_ALL = 0.9
"""Share of the different texts that look alike."""
_MONEY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN)"
_DIGITS = r"(?:[1-9][0-9]{0,2}(?:[,.'\u00a0\u202f][0-9]{3})+|[0-9]+)(?:[.,][0-9]+)?"
_PLAIN = re.compile(r"[-+]?[0-9]*\.?[0-9]*")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[ap]m)?"
_TWO = r"(?:0[1-9]|[12][0-9]|3[01])"
_DAY = (
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}\1[0-9]{4}"
    rf"|[0-9]{{1,2}}/[0-9]{{1,2}}/[0-9]{{2}}|{_TWO}([-.]){_TWO}\2[0-9]{{2}}"
    rf"|[0-9]{{1,2}}[-. ]*{_MONTH}[-., ]*[0-9]{{2,4}}"
    rf"|{_MONTH}[-. ]*[0-9]{{1,2}},? *[0-9]{{4}})"
)
_NUMBER = re.compile(rf"[-+(]?\s?{_MONEY}?\s?[-+]?{_DIGITS}\s?(?:{_MONEY}|%|‰)?\)?")
_MOMENT = re.compile(rf"(?i){_DAY}(?:[T, ].*)?|{_CLOCK}")
_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+(?:[eE][-+]?[0-9]+)?")
_PADDED = re.compile(r"[-+]?0[0-9]")
_ADVICE = {
    "numbers": "write plain numbers, such as 1200.5",
    "moments": "write them all as 2024-12-31, 2024-12-31 23:59:59 or 23:59, or say how they read, "
    "as date = '%d.%m.%y' for the column in a schema",
}


class Lookalike(NamedTuple):
    """What texts look like, "numbers" or "moments", one of them, and what to do about it."""

    what: str
    example: str
    advice: str


def lookalike(texts: Sequence[str]) -> Lookalike | None:
    """What nearly all texts look like and are not read as, if anything.

    Plain numbers (but no ``007``) are numbers where others are more than that: 3 beside 3,5.
    """
    needed = NEARLY_ALL * len(texts)
    dressed = list(filter(_is_dressed, texts))
    if dressed and len(dressed) + sum(map(is_plain, texts)) >= needed:
        comma = "say decimal = ',' in a schema, or " * all(map(_COMMA.fullmatch, dressed))
        return Lookalike("numbers", dressed[0], comma + _ADVICE["numbers"])
    moments = list(filter(_MOMENT.fullmatch, texts))
    if moments and len(moments) >= needed:
        return Lookalike("moments", moments[0], _ADVICE["moments"])
    return None


def is_plain(text: str) -> bool:
    """Whether a text is a number as it stands, and no code that begins with zeros."""
    return is_number(text) and not _PADDED.match(text)


def require_names_rows(name: str, texts: Sequence[str]) -> None:
    """Refuse an identifier that looks like numbers or moments.

    Raises:
        InputError: Names the column, a cell, and what to do.
    """
    looks = lookalike(texts)
    if looks is not None:
        raise InputError(explain(
            f"column {name!r} of different texts would name the rows, but it looks like "
            f"{looks.what}", got=repr(looks.example),
            do=f"{looks.advice}, or declare its kind in a schema",
        ))  # fmt: skip


def _is_dressed(text: str) -> bool:
    """Whether a number stands there with more than digits and a point."""
    if _COMMA.fullmatch(text):
        return True
    return bool(_NUMBER.fullmatch(text)) and not _PLAIN.fullmatch(text)
