"""The layout of a fitted model, whose values come as often as in the rows it was fitted to."""

from dataclasses import replace

from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, Layout
from wasserscore.data.margins import find_margins

DRAWN = 2**15
"""Points that are drawn to see how often values come: a share of 1 % to a twentieth of it."""
NUMBERS = 2**25
"""Numbers of so many points, 256 MiB: with more than 1,024 columns points are fewer."""
FEWEST = 2**12
"""So many at least of a model that takes steps for each: a share of 1 % to a sixth of it."""


def is_table(data: Layout) -> bool:
    """Whether its columns are things of their own, unlike pixels or coordinates."""
    return data.kind in ("table", "mixed")


def draws(columns: int) -> int:
    """How many points of so many columns are drawn where there is a closed form."""
    return max(FEWEST, min(DRAWN, NUMBERS // columns))


def shared_layout(drawn: Cloud, train: Dataset) -> Layout:
    """The layout of a table with margins of its numbers and prices of its levels.

    Args:
        drawn: Points of the fitted model ``(n, d)``, data units, not cut to the range.
        train: The rows it was fitted to.
    """
    layout = train.layout
    if layout.codec is not None:
        from wasserscore.data.tables.shares import with_shares

        layout = replace(layout, codec=with_shares(layout.codec, layout.clip(drawn), train.points))
    return replace(layout, margins=find_margins(layout.numbers(), drawn, train.points))
