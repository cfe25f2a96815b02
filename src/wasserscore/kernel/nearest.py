"""Exact nearest neighbours: a screen finds the candidates, differences decide."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import tiles
from wasserscore.kernel.digits import all_digits
from wasserscore.kernel.keys import Queries, Rows
from wasserscore.kernel.screen import screens
from wasserscore.kernel.stream import block_rows, tile_bytes

SPARE = 8
"""Candidates beyond k: room for ties and for the rounding of the screen."""


@all_digits
def nearest(
    x: Queries, y: Rows, k: int = 1, *, exclude_self: bool = False
) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"]]:
    """Distances and indices of the ``k`` nearest rows of ``y``, nearest first, ties by index.

    A product in tiles, or a tree in few dimensions, finds ``k + 8`` candidates, which are computed
    again by differences: identical rows are at distance exactly 0. Where the others cannot be
    excluded (rounding, many ties), more candidates or finer products are asked, float64 in the
    end, and then the row is searched in full by differences.

    Args:
        x: Queries ``(b, d)``.
        y: Rows to search ``(n, d)``.
        k: How many neighbours.
        exclude_self: Query i does not see row i (``x`` and ``y`` are the same cloud).

    Raises:
        InputError: For shapes that do not fit, or fewer than ``k`` rows to find.
    """
    require(x.shape[1] == y.shape[1], "queries and keys must have the same dimension",
            got=f"{x.shape[1]} and {y.shape[1]}")  # fmt: skip
    require(not exclude_self or len(x) == len(y), "exclude_self needs the same cloud twice",
            got=f"{len(x)} and {len(y)} rows")  # fmt: skip
    found = len(y) - int(exclude_self)
    require(1 <= k <= found, f"k must be between 1 and the {found} rows to search", got=k)
    with torch.no_grad():
        squared = torch.empty(len(x), k, dtype=torch.float64, device=x.device)
        index = torch.empty(len(x), k, dtype=torch.int64, device=x.device)
        left = torch.arange(len(x), device=x.device)
        asked = screens(y)
        for find, times in asked:
            undecided = list(left.split(block_rows(x)))
            for b, rows in enumerate(undecided):
                own = rows if exclude_self else None
                near = find(x[rows].double(), min(times * (k + SPARE), len(y)), own)
                squared[rows], index[rows] = _decide(x[rows], y, near.candidate, own, k)
                every = near.candidate.shape[1] == len(y)
                undecided[b] = rows[~(every | (squared[rows, -1] < near.outside))]
                if find is not asked[-1][0] and 2 * len(undecided[b]) > len(rows):
                    break  # it sees too little here
            left = torch.cat(undecided)
            if not len(left):
                break
        for i in left:
            squared[i], index[i] = _search(x[i], y, k, i if exclude_self else None)
    return squared.sqrt().to(x.dtype), index


def _decide(
    x: Tensor, y: Tensor, candidate: Tensor, own: Tensor | None, k: int
) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest of the candidates by differences."""
    candidate = candidate.sort(1).values
    squared = torch.empty(candidate.shape, dtype=torch.float64, device=x.device)
    for part in tiles(len(x), max(1, tile_bytes(x) // (8 * candidate.shape[1] * x.shape[1]))):
        squared[part] = (x[part, None].double() - y[candidate[part]]).square_().sum(2)
    if own is not None:
        squared[candidate == own[:, None]] = torch.inf
    order = squared.sort(stable=True, dim=1)
    return order.values[:, :k].clone(), candidate.gather(1, order.indices[:, :k])


def _search(x: Tensor, y: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest of all rows by differences."""
    parts = tiles(len(y), tile_bytes(y) // (8 * len(x)) + 1)
    squared = torch.cat([(x.double() - y[part]).square_().sum(1) for part in parts])
    if own is not None:
        squared[own] = torch.inf
    order = squared.sort(stable=True)
    return order.values[:k], order.indices[:k]
