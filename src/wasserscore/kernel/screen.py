"""Two ways to find the few rows that may be nearest: a tree in few dimensions, products beyond.

A screen gives for each query candidates and a lower limit of the squared distance to every row
that is not among them; differences decide afterwards.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel.keys import Queries, Rows
from wasserscore.kernel.stream import tile_bytes

TREE_DIMENSIONS, TREE_ROWS = 6, 2000
"""A tree pays up to so many coordinates, from so many rows on."""
GROUP = 16
"""Columns that are first reduced to their minimum."""


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
        distances, candidate = self.tree.query(x.numpy(), list(range(1, m + 1)))
        limit = torch.from_numpy(distances[:, -1]).square() * (1 - 1e-12)
        return Found(torch.from_numpy(candidate), limit)


class Products:
    """Matrix products in tiles, in coordinates around the mean.

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
        best = query.new_full((len(query), 0), 0.0)
        index = torch.zeros(len(query), 0, dtype=torch.int64, device=query.device)
        width = max(m, tile_bytes(query) // (8 * len(query)))
        # One space for all tiles: fresh ones cost time and, between small pieces, memory.
        space = query.new_empty(len(query) * min(width, len(self.keys)))
        for run in tiles(len(self.keys), width):
            keys = self.keys[run]
            value = space[: len(query) * len(keys)].view(len(query), len(keys))
            torch.addmm(self.half[run], query, keys.T, alpha=-1, out=value)
            if own is not None:
                inside = ((own >= run.start) & (own < run.stop)).nonzero()[:, 0]
                value[inside, own[inside] - run.start] = torch.inf
            near, where = smallest(value, min(m, len(keys)))
            best, index = torch.cat([best, near], 1), torch.cat([index, where + run.start], 1)
            best, where = best.topk(min(m, best.shape[1]), largest=False)
            index = index.gather(1, where)
        slack = rounding(query, self.radius)
        return Found(index, 2 * best[:, -1] + query.square().sum(1) - slack)


def rounding(query: Rows, radius: float) -> PerPoint:
    """What a squared distance by products may be off, for rows within ``radius``."""
    return 8 * torch.finfo(query.dtype).eps * (query.norm(dim=1) + radius).square()


def smallest(value: Float[Tensor, "b n"], m: int) -> tuple[Tensor, Tensor]:
    """The ``m`` smallest of each row and their columns; which of equals is not said.

    The m smallest lie in the m groups of columns with the smallest minima, and minima of groups
    are ten times as fast as sorting.
    """
    n = value.shape[1]
    groups = n // GROUP
    if groups <= 2 * m:
        return value.topk(m, largest=False)
    whole = groups * GROUP
    lowest = value[:, :whole].unflatten(1, (GROUP, groups)).amin(1)
    chosen = lowest.topk(m, largest=False).indices
    steps = torch.arange(0, whole, groups, device=value.device)
    rest = torch.arange(whole, n, device=value.device).expand(len(value), -1)
    columns = torch.cat([(chosen[:, None] + steps[:, None]).flatten(1), rest], 1)
    near, where = value.gather(1, columns).topk(m, largest=False)
    return near, columns.gather(1, where)
