r"""Rare training rows: does the generated set give away those that are like no other?

Whoever differs from all others is the easiest to recognise, and the average over rows hides it. So
of the share :data:`RARE` of training rows that are farthest from any other one,

.. math:: P\bigl(d(x, \text{generated}) < d(x, \text{held-out})\bigr)

is asked, ties counted one half, over equally many generated and held-out rows. Fresh data give
1/2; towards 1, there are generated rows that come from the rare ones.
"""

import math

import torch
from torch import Tensor

from wasserscore.audit.neighbours import Training, levelled
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, share_error
from wasserscore.kernel import nearest

RARE = 0.05
"""The share of distinct training rows that count as rare, those with the most room around them."""
FEWEST = 5
"""Rare rows below which nothing is said of them."""
Exposed = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of rare rows: the nearest generated row, its place in train, their distance, and that distance
over the one to the nearest other training row; the most exposed first."""


def exposure(
    train: Training, generated: Tensor, holdout: Tensor, *, seed: int
) -> tuple[Estimate, Exposed] | None:
    """How often a generated row is nearer to a rare training row than a fresh one is.

    Args:
        train: The training rows.
        generated: Rows (m, d).
        holdout: Rows (l, d).
        seed: Of the rows that take part where there are more of one kind.

    Returns:
        The share with its standard error, and the rare rows; None where they are too few.
    """
    count = math.ceil(RARE * len(train.points))
    if count < FEWEST:
        return None
    rare = levelled(train.spacing)[0].sort(descending=True, stable=True).indices[:count]
    few, streams = min(len(generated), len(holdout)), Streams(seed)
    (own, first), (fresh, second) = (
        _closest(train.points[rare], x[streams.subset(f"exposure/{name}", len(x), few)])
        for name, x in (("generated", generated), ("holdout", holdout))
    )
    own, fresh = levelled(own, fresh)
    p = float(((own < fresh).double() + (own == fresh).double() / 2).mean())
    # Rare rows that share the row next to them say one thing, and are no independent ones.
    alike = torch.where(own <= fresh, first, few + second).bincount().double()
    independent = float(count**2 / alike.square().sum())
    share = Estimate(p, stderr=share_error(p, independent), n=count, units="")
    distance, row = _closest(train.points[rare], generated)
    closeness = distance / train.spacing[rare]
    order = closeness.sort(stable=True).indices
    return share, (row[order], train.places[rare[order]], distance[order], closeness[order])


def _closest(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point the distance to the nearest row, and which one it is."""
    distances, which = nearest(points, rows.double(), 1)
    return distances[:, 0], which[:, 0]
