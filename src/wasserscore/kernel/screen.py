"""Two ways to find the few rows that may be nearest: a tree in few dimensions, products beyond.

A screen gives for each query candidates and a lower limit of the squared distance to every row
that is not among them; differences decide afterwards.
"""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel.keys import Queries, Rows
from wasserscore.kernel.stream import tile_bytes

TREE_DIMENSIONS, TREE_ROWS = 6, 2000
"""A tree pays up to so many coordinates, from so many rows on."""
CANDIDATE = 32
"""A candidate costs as much as picking from among so many groups, and one more per coordinate."""


class Found(NamedTuple):
    """Candidates of each query, and what all other rows are at least away, squared."""

    candidate: Int[Tensor, "b m"]
    outside: PerPoint


@runtime_checkable
class Screen(Protocol):
    """Finds candidates."""

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """At least the ``m`` nearest rows of each query but ``own``, up to rounding and ties."""


def screen(y: Rows) -> Screen:
    """The screen for rows ``y``, float64."""
    n, d = y.shape
    return Tree(y) if d <= TREE_DIMENSIONS and n >= TREE_ROWS and not y.is_cuda else Products(y)


class Tree:
    """A k-d tree: exact, and logarithmic in the number of rows.

    Args:
        y: Rows ``(n, d)``, float64, on the CPU.
    """

    def __init__(self, y: Rows) -> None:
        from scipy.spatial import cKDTree  # a tenth of a second that products need not pay

        # Midpoints are as fast as medians here and do not suffer from repeated values.
        self.tree = cKDTree(y.numpy(), balanced_tree=False, compact_nodes=False)

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """See :class:`Screen`."""
        m = min(m + int(own is not None), self.tree.n)
        distances, candidate = map(torch.from_numpy, self.tree.query(x.numpy(), range(1, m + 1)))
        return Found(candidate, distances[:, -1].square() * (1 - 1e-12))


class Products:
    """Matrix products in tiles, in coordinates around the mean.

    Rows are dealt to groups, and only the least value of each group is kept: the m nearest rows
    lie in the m groups with the least values, and sorting groups is cheaper than sorting rows.

    Args:
        y: Rows ``(n, d)``, float64.
    """

    def __init__(self, y: Rows) -> None:
        self.centre = y.mean(0)
        self.keys = y - self.centre
        self.half = self.keys.square().sum(1) / 2
        self.radius = float((2 * self.half.max()).sqrt())

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """See :class:`Screen`; the screened value is |y|^2/2 - x.y."""
        query = x - self.centre
        size = self._size(m)
        groups = len(self.keys) // size
        lowest = query.new_full((len(query), groups), torch.inf)
        width = min(groups, max(1, tile_bytes(query) // (8 * len(query))))
        # One space for all tiles: fresh ones cost time and, between small pieces, memory.
        space = query.new_empty(len(query) * width)
        for part in tiles(groups, width):
            value = space[: len(query) * (part.stop - part.start)].view(len(query), -1)
            for first in range(0, size * groups, groups):
                run = slice(first + part.start, first + part.stop)
                torch.addmm(self.half[run], query, self.keys[run].T, alpha=-1, out=value)
                if own is not None:
                    inside = ((own >= run.start) & (own < run.stop)).nonzero()[:, 0]
                    value[inside, own[inside] - run.start] = torch.inf
                torch.minimum(lowest[:, part], value, out=lowest[:, part])
        near, group = lowest.topk(min(m, groups), largest=False)
        dealt = size * groups
        members = torch.arange(0, dealt, groups, device=query.device)
        rest = torch.arange(dealt, len(self.keys), device=query.device).expand(len(query), -1)
        candidate = torch.cat([(group[:, None] + members[:, None]).flatten(1), rest], 1)
        slack = rounding(query, self.radius)
        return Found(candidate, 2 * near[:, -1] + query.square().sum(1) - slack)

    def _size(self, m: int) -> int:
        """Rows of a group: n / size groups to pick from, m * size candidates to compute."""
        n, d = self.keys.shape
        return max(1, round(math.sqrt(n / (m * (CANDIDATE + d)))))


def rounding(query: Rows, radius: float) -> PerPoint:
    """What a squared distance by products may be off, for rows within ``radius``."""
    reach: Tensor = (query.norm(dim=1) + radius).square()
    return 8 * torch.finfo(query.dtype).eps * reach
