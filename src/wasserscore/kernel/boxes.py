r"""Keys of few coordinates in boxes, so that a query looks only into those that matter to it.

A key in a box that is a distance :math:`g` away has a logit of at most
:math:`b - g^2 / 2 \sigma^2` with b the largest log weight in it. The largest logit in the box
with the largest such bound is a lower limit of the largest of all; boxes whose bound lies further
below it than :mod:`~wasserscore.kernel.few` would drop a key are never opened. The work per query
is then the number of boxes, and the keys of a few of them, not the number of keys.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.kernel.keys import MASKED
from wasserscore.kernel.stream import Block, tile_bytes

COORDINATES, KEYS, QUERIES = 3, 3072, 16
"""Boxes pay up to so many coordinates, from so many keys and queries on: they must be made."""
SIZE = 64
"""Keys of a box, at most."""
OPENED, LOOK, RARE = 8, 64, 0.05
"""One of so many boxes is opened at most, as a look at so many middles of boxes tells but for a
twentieth of them, which may lie in a crowd."""


class Boxes(NamedTuple):
    """The keys in boxes.

    Args:
        members: Which keys they hold, ``(r, k)``; some come twice.
        points: Coordinates ``(d, r, k)``, float64.
        log_weights: ``(r, k)``, -inf for those that come again.
        low: Least coordinates, ``(d, r)``.
        high: Largest coordinates.
        heaviest: The largest log weights, ``(r,)``.
    """

    members: Int[Tensor, "r k"]
    points: Float[Tensor, "d r k"]
    log_weights: Float[Tensor, "r k"]
    low: Float[Tensor, "d r"]
    high: Float[Tensor, "d r"]
    heaviest: PerPoint

    @classmethod
    def of(cls, table: Cloud) -> "Boxes":
        """From a table of keys in float64."""
        n, d = len(table), table.shape[1] - 3
        count = 2 ** (-(-n // SIZE) - 1).bit_length()
        # a few keys come twice, so that all boxes hold as many
        total = n + -n % count
        key = torch.arange(total) * n // total
        again = key.diff(prepend=key.new_tensor([-1])) == 0
        order = halved(table[key, :d], count).view(count, -1)
        index = key[order]
        points = table[index, :d].permute(2, 0, 1).contiguous()
        weights = table[index, -2].masked_fill_(again[order], -torch.inf)
        return cls(index, points, weights, points.amin(2), points.amax(2), weights.amax(1))

    def away(self, x: Cloud) -> Float[Tensor, "q r"]:
        """Squared distances of points to boxes, 0 inside."""
        return away(x, self.low, self.high)

    def bounds(self, block: Block) -> Float[Tensor, "q r"]:
        """No logit of a key in a box is larger."""
        return self.away(block.x).mul_(block.inverse[:, None] / -2).add_(self.heaviest)

    @property
    def reach(self) -> float:
        """The squared distance within which hardly any middle of a box has too many boxes."""
        middles = (self.low + self.high)[:, :: -(-len(self.members) // LOOK)].T / 2
        away = self.away(middles)
        return float(away.kthvalue(len(self.members) // OPENED + 1, dim=1).values.quantile(RARE))

    def logits(
        self, block: Block, rows: Int[Tensor, " p"], opened: Int[Tensor, " p"]
    ) -> Float[Tensor, "p k"]:
        """Of all keys in boxes, each opened for one of the queries, by differences."""
        out = block.x.new_empty(len(rows), self.members.shape[1])
        for part in tiles(len(rows), max(1, tile_bytes(block.x) // (8 * out.shape[1]))):
            row, box = rows[part], opened[part]
            squared = torch.zeros_like(out[part])
            for x, points in zip(block.x.T, self.points, strict=True):
                squared += (points[box] - x[row, None]).square_()
            out[part] = self.log_weights[box] - squared.mul_(block.inverse[row, None] / 2)
            if block.own is not None:
                seen = self.members[box] == block.own[row, None]
                out[part].masked_fill_(seen & (out[part] > -torch.inf), MASKED)
        return out


def serves(whole: Block) -> bool:
    """Whether there are boxes for these keys."""
    n, d = whole.keys.points.shape
    many = n >= KEYS and len(whole.x) >= QUERIES
    return d <= COORDINATES and many and not whole.x.is_cuda


def promising(whole: Block, cut: float) -> Tensor:
    """Queries so narrow that most of them need few boxes ``(q,)``; a matter of their sigma alone.

    Args:
        whole: All queries.
        cut: Nats below the largest logit at which a key is dropped.
    """
    across = whole.inverse * (2 * whole.keys.radius) ** 2
    if bool((across < 2 * cut).all()):  # all keys are within reach: no boxes are made
        return torch.zeros_like(across, dtype=torch.bool)
    reach = whole.keys.prepared(("reach", torch.float64), lambda _: boxes_of(whole).reach)
    return whole.inverse * reach >= 2 * cut


def away(x: Cloud, low: Float[Tensor, "d r"], high: Float[Tensor, "d r"]) -> Float[Tensor, "q r"]:
    """Squared distances of points to boxes between least and largest coordinates, 0 inside."""
    squared = x.new_zeros(len(x), low.shape[1])
    for u, least, largest in zip(x.T[:, :, None], low, high, strict=True):
        squared += u.clamp(least, largest).sub_(u).square_()
    return squared


def boxes_of(block: Block) -> Boxes:
    """Made once for the keys."""
    return block.keys.prepared(("boxes", torch.float64), Boxes.of)


def halved(points: Cloud, count: int) -> Tensor:
    """An order in which every run is a box: halves along the longest side, again and again."""
    order = torch.arange(len(points))[None]
    while len(order) < count:
        here = points[order]
        side = (here.amax(1) - here.amin(1)).argmax(1)
        along = here.gather(2, side[:, None, None].expand(-1, here.shape[1], 1))[:, :, 0]
        order = order.gather(1, along.argsort(1)).view(2 * len(order), -1)
    return order.flatten()
