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
    excluded (rounding, many ties), a product in float64 is asked if the first was not, and then
    the row is searched in full by differences.

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
        x64, y64 = x.to(torch.float64), y.to(torch.float64)
        asked = screens(y64)
        squared = x64.new_empty(len(x), k)
        index = torch.empty(len(x), k, dtype=torch.int64, device=x.device)
        for rows in tiles(len(x), block_rows(x)):
            left = torch.arange(rows.start, rows.stop, device=x.device)
            for find in asked:
                own = left if exclude_self else None
                near = find(x64[left], min(k + SPARE, len(y)), own)
                squared[left], index[left] = _decide(x64[left], y64, near.candidate, own, k)
                every = near.candidate.shape[1] == len(y)
                left = left[~(every | (squared[left, -1] < near.outside))]
                if not len(left):
                    break
            for i in left:
                squared[i], index[i] = _search(x64[i], y64, k, i if exclude_self else None)
    return squared.sqrt().to(x.dtype), index


def _decide(
    x: Tensor, y: Tensor, candidate: Tensor, own: Tensor | None, k: int
) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest of the candidates by differences."""
    candidate = candidate.sort(1).values
    squared = torch.empty(candidate.shape, dtype=torch.float64, device=x.device)
    for part in tiles(len(x), max(1, tile_bytes(x) // (8 * candidate.shape[1] * x.shape[1]))):
        squared[part] = (x[part, None] - y[candidate[part]]).square_().sum(2)
    if own is not None:
        squared[candidate == own[:, None]] = torch.inf
    order = squared.sort(stable=True, dim=1)
    return order.values[:, :k].clone(), candidate.gather(1, order.indices[:, :k])


def _search(x: Tensor, y: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest of all rows by differences."""
    squared = torch.cat([
        (x - y[part]).square_().sum(1) for part in tiles(len(y), tile_bytes(y) // (8 * len(x)) + 1)
    ])  # fmt: skip
    if own is not None:
        squared[own] = torch.inf
    order = squared.sort(stable=True)
    return order.values[:k], order.indices[:k]
