"""Two ways to find the few rows that may be nearest: a tree in few dimensions, products beyond.

A screen gives for each query candidates and a lower limit of the squared distance to every row
that is not among them; differences decide afterwards.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from wasserscore.core import products
from wasserscore.kernel.grouped import Coarse, Found, Products
from wasserscore.kernel.halved import pays
from wasserscore.kernel.keys import Queries, Rows

TREE_DIMENSIONS, TREE_ROWS = 6, 2000
"""A tree pays up to so many coordinates, from so many rows on."""

MORE = 8
"""So many times the candidates decide most queries that bfloat16 leaves undecided."""


@runtime_checkable
class Screen(Protocol):
    """Finds candidates."""

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """At least the ``m`` nearest rows of each query but ``own``, up to rounding and ties."""


def screens(y: Rows) -> list[tuple[Screen, int]]:
    """The screens for rows ``y`` to be asked in turn: the first one answers most.

    With each, how many times as many candidates are worth asking for.
    """
    n, d = y.shape
    if d <= TREE_DIMENSIONS and n >= TREE_ROWS and not y.is_cuda:
        return [(Tree(y), 1)]
    asked: list[tuple[Screen, int]] = []
    if pays(y):
        coarse = Coarse(y)
        asked += [(coarse, 1), (coarse, MORE)]
    if not y.is_cuda and products.unused():
        asked.append((Products(y, torch.float32), 1))
    return [*asked, (Products(y, torch.float64), 1)]


class Tree:
    """A k-d tree: exact, and logarithmic in the number of rows.

    Args:
        y: Rows ``(n, d)``, on the CPU.
    """

    def __init__(self, y: Rows) -> None:
        from scipy.spatial import cKDTree  # a tenth of a second that products need not pay

        # Midpoints are as fast as medians here and do not suffer from repeated values.
        self.tree = cKDTree(y.double().numpy(), balanced_tree=False, compact_nodes=False)

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """See :class:`Screen`."""
        m = min(m + int(own is not None), self.tree.n)
        distances, candidate = map(torch.from_numpy, self.tree.query(x.numpy(), range(1, m + 1)))
        return Found(candidate, distances[:, -1].square() * (1 - 1e-12))
