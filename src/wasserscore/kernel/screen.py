"""Two ways to find the few rows that may be nearest: a tree in few dimensions, products beyond.

A screen gives for each query candidates and a lower limit of the squared distance to every row
that is not among them; differences decide afterwards.
"""

import math
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core import products
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint, Vector
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


def screens(y: Rows) -> list[Screen]:
    """The screens for rows ``y``, float64, to be asked in turn: the first one answers most."""
    n, d = y.shape
    if d <= TREE_DIMENSIONS and n >= TREE_ROWS and not y.is_cuda:
        return [Tree(y)]
    finest = Products(y, torch.float64)
    if y.is_cuda or not products.unused():
        return [finest]
    return [Products(y, torch.float32), finest]


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

    Rows are dealt to groups, and only the largest value of each group is kept: the m nearest rows
    lie in the m groups with the largest values, and sorting groups is cheaper than sorting rows.

    Args:
        y: Rows ``(n, d)``, float64.
        dtype: The precision of the products.
    """

    def __init__(self, y: Rows, dtype: torch.dtype) -> None:
        self.y = y
        self.dtype = dtype

    @cached_property
    def centre(self) -> Vector:
        """The mean of the rows."""
        return self.y.mean(0)

    @cached_property
    def keys(self) -> Cloud:
        """The rows about their mean."""
        return (self.y - self.centre).to(self.dtype)

    @cached_property
    def minus_half(self) -> PerPoint:
        """Minus half the squared norms."""
        return self.keys.double().square().sum(1).div(-2).to(self.dtype)

    @cached_property
    def radius(self) -> float:
        """The largest norm."""
        return float((-2 * self.minus_half.min()).sqrt())

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """See :class:`Screen`; the screened value is x.y - |y|^2/2."""
        centred = x - self.centre
        query = centred.to(self.dtype)
        size = self._size(m)
        groups = len(self.keys) // size
        highest = query.new_full((len(query), groups), -torch.inf)
        width = min(groups, max(1, tile_bytes(query) // (8 * len(query))))
        # One space for all tiles: fresh ones cost time and, between small pieces, memory.
        space = query.new_empty(len(query) * width)
        for part in tiles(groups, width):
            out = space[: len(query) * (part.stop - part.start)].view(len(query), -1)
            for first in range(0, size * groups, groups):
                run = slice(first + part.start, first + part.stop)
                value = products.affine(self.minus_half[run], query, self.keys[run].T, out=out)
                if own is not None:
                    inside = ((own >= run.start) & (own < run.stop)).nonzero()[:, 0]
                    value[inside, own[inside] - run.start] = -torch.inf
                torch.maximum(highest[:, part], value, out=highest[:, part])
        near, group = highest.topk(min(m, groups))
        dealt = size * groups
        members = torch.arange(0, dealt, groups, device=query.device)
        rest = torch.arange(dealt, len(self.keys), device=query.device).expand(len(query), -1)
        candidate = torch.cat([(group[:, None] + members[:, None]).flatten(1), rest], 1)
        norm = centred.norm(dim=1)
        slack = rounding(norm, self.radius, self.keys)
        return Found(candidate, norm.square() - 2 * near[:, -1].double() - slack)

    def _size(self, m: int) -> int:
        """Rows of a group: n / size groups to pick from, m * size candidates to compute."""
        n, d = self.keys.shape
        return max(1, round(math.sqrt(n / (m * (CANDIDATE + d)))))


def rounding(norm: PerPoint, radius: float, keys: Cloud) -> PerPoint:
    """What squared distances may be off by products of numbers like those of some keys, ``(b,)``.

    Args:
        norm: Of each query, float64.
        radius: The largest norm of a key.
        keys: ``(n, d)``. A product has d terms and four more roundings, of all numbers in it.
    """
    terms, digits = max(16, keys.shape[1] + 4), torch.finfo(keys.dtype)
    # what is smaller than the smallest number is none at all
    return terms * (digits.eps / 2 * (norm + radius).square() + 4 * digits.tiny)
