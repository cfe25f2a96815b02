"""What a user says of a column of a table, in place of what its cells suggest."""

from dataclasses import dataclass

from wasserscore.data.tables.category import Level


@dataclass(frozen=True)
class Wish:
    """What a schema file says of a column; None leaves the decision to us.

    Args:
        kind: A kind.
        low: Smallest value that may come.
        high: Largest value that may come.
        atom: The value that is far too frequent, for kind "inflated".
        levels: All levels, in order, for kind "categorical".
        date: The format of dates kept as text, see :mod:`~wasserscore.data.tables.dates`.
    """

    kind: str | None = None
    low: float | int | None = None
    high: float | int | None = None
    atom: float | int | None = None
    levels: tuple[Level, ...] | None = None
    date: str | None = None
