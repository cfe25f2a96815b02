"""The columns of a codec as text for a terminal."""

from collections.abc import Iterable

from wasserscore.data.tables.column import Column

HEADINGS = ("column", "kind", "dtype", "values", "missing", "one unit of distance")


def listing(columns: Iterable[Column], below: Iterable[str]) -> str:
    """Every column with its kind, values and unit of distance, aligned; then some lines."""
    rows = [HEADINGS, *(
        (c.name, c.kind, c.storage.dtype if c.storage.date is None else c.storage.date,
         c.values, "yes" if getattr(c, "missing", False) else "", c.meaning)
        for c in columns
    )]  # fmt: skip
    clean = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[j]) for row in clean) for j in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
             for row in clean]  # fmt: skip
    return "\n".join([*lines, *map(_printable, below)])


def _printable(text: str) -> str:
    """Text without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
