"""How a CSV file is written: its separator, its decimals, its letters."""

from dataclasses import dataclass, replace

import numpy as np

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array

SEPARATORS = ",;\t|"
DECIMALS = ".,"
_SWAPPED = str.maketrans(DECIMALS, DECIMALS[::-1])


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written, in reading and in writing.

    Args:
        separator: Between two cells; None for the one that the first row shows.
        decimal: The sign before decimals, ``.`` or ``,``.
        encoding: The name of a code of letters; None for UTF-8.
    """

    separator: str | None = None
    decimal: str = "."
    encoding: str | None = None

    def __post_init__(self) -> None:
        require(self.separator is None or self.separator in tuple(SEPARATORS),
                "separator must be one of , ; | and the tab",
                got=repr(self.separator))  # fmt: skip
        require(self.decimal in tuple(DECIMALS), "decimal must be . or ,", got=repr(self.decimal))
        require(self.decimal != self.separator, "separator and decimal must differ",
                got=repr(self.decimal))  # fmt: skip
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError:
            raise InputError(explain("encoding must be a code of letters", got=repr(self.encoding),
                                     do="for example 'cp1252' or 'utf-16'")) from None  # fmt: skip

    def of_file(self, name: str) -> "Dialect":
        """For a file of that name: in ``.tsv``, cells always stand between tabs."""
        tabs = name.lower().removesuffix(".gz").endswith(".tsv")
        return replace(self, separator="\t") if tabs else self

    @property
    def between(self) -> str:
        """The separator to write."""
        return self.separator or (";" if self.decimal == "," else ",")

    def pointed(self, cells: Array) -> Array:
        """Texts with a point where they had the decimal sign."""
        if self.decimal == ".":
            return cells
        return np.array([cell.translate(_SWAPPED) for cell in cells], dtype=object)
