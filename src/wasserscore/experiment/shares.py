"""The layout of a fitted model, whose levels come as often as in the rows it was fitted to."""

from dataclasses import replace

from wasserscore.core.random import Streams
from wasserscore.data import Dataset, Layout, Scaling
from wasserscore.score import ProximalLaw

DRAWN = 2**15
"""Points that are drawn to see how often levels come: a share of 1 % to a twentieth of it."""


def shared_layout(score: ProximalLaw, scaling: Scaling, train: Dataset, seed: int) -> Layout:
    """The layout of the training rows; of a mixed table, with prices of levels.

    Args:
        score: The fitted model.
        scaling: Its units.
        train: The rows it was fitted to.
        seed: Of the draws.
    """
    layout = train.layout
    if layout.codec is None:
        return layout
    from wasserscore.data.tables.shares import with_shares

    points = score.sample_marginal(DRAWN, generator=Streams(seed).generator("shares"))
    drawn = layout.restore(layout.clip(scaling.undo(points.double())))
    return replace(layout, codec=with_shares(layout.codec, drawn, train.points))
