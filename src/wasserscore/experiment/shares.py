"""The layout of a fitted model, whose values come as often as in the rows it was fitted to."""

from dataclasses import replace

from wasserscore.core.random import Streams
from wasserscore.data import Dataset, Layout, Scaling
from wasserscore.data.margins import find_margins
from wasserscore.score import ProximalLaw

DRAWN = 2**15
"""Points that are drawn to see how often values come: a share of 1 % to a twentieth of it."""


def shared_layout(score: ProximalLaw, scaling: Scaling, train: Dataset, seed: int) -> Layout:
    """The layout of the training rows; of a table, with margins of numbers and prices of levels.

    Args:
        score: The fitted model.
        scaling: Its units.
        train: The rows it was fitted to.
        seed: Of the draws.
    """
    layout = train.layout
    if layout.kind not in ("table", "mixed"):
        return layout
    points = score.sample_marginal(DRAWN, generator=Streams(seed).generator("shares"))
    drawn = layout.restore(scaling.undo(points.double()))
    if layout.codec is not None:
        from wasserscore.data.tables.shares import with_shares

        layout = replace(layout, codec=with_shares(layout.codec, layout.clip(drawn), train.points))
    return replace(layout, margins=find_margins(layout.numbers(), drawn, train.points))
