"""Kernel sums that take one tile of logits: small problems, and many queries of few keys.

Products of a tile are made in float32 where that is right, or where the sums tell that it does not
matter or only few keys do (:mod:`~wasserscore.kernel.singles`); otherwise in float64.
"""

import torch
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.kernel import singles
from wasserscore.kernel.dense import RUN
from wasserscore.kernel.digits import all_digits
from wasserscore.kernel.keys import LARGEST_FAST, MODERATE, Keys, Queries
from wasserscore.kernel.singles import by_products, chosen
from wasserscore.kernel.stream import filled
from wasserscore.kernel.sums import Sums, Values
from wasserscore.kernel.tile import Tile

F32, F64 = torch.float32, torch.float64
QUERIES = 512
"""Queries of one tile."""
PAIRS, NUMBERS = 2**17, 2**20
"""More keys than one run make a tile, where queries times keys, and numbers of keys, are few."""
TINY = 2**12
"""So few pairs take no longer in float64."""
FEW = 4
"""Fewer queries of more keys than a run are faster in float64 from beginning to end."""
CHEAP = 2**23
"""A product of so many multiplications costs less in float64 than to find out whether float32 is
right."""
DOUBLES = 64
"""Rows of one product in float64, where float32 is not right for some."""


def serves(x: Queries, keys: Keys) -> bool:
    """Whether a tile, or one for every few hundred queries, is enough."""
    n, d = keys.points.shape
    small = n * len(x) <= PAIRS and n * (d + 3) <= NUMBERS
    return not x.is_cuda and (n <= RUN or small)


@all_digits
def small_sums(
    x: Queries, keys: Keys, sigma: float | Tensor, values: Values, own: Tensor | None, sized: bool
) -> tuple[Tensor | None, Sums]:
    """Which rows are right, ``(q,)`` or None where all surely are, and their sums.

    Args:
        x: All queries.
        keys: The keys.
        sigma: Their width, or one per query, float64.
        values: What is averaged.
        own: Index of the key that each query must not see, or None.
        sized: Whether effective sizes are asked for.
    """
    if len(x) <= QUERIES:
        return _of_tile(Tile.of(keys, x, sigma, own), values, sized)
    every = []
    for rows in tiles(len(x), QUERIES):
        width = sigma[rows] if isinstance(sigma, Tensor) else sigma
        tile = Tile.of(keys, x[rows], width, None if own is None else own[rows])
        every.append(_of_tile(tile, values, sized))
    sums = Sums(
        *(torch.cat(column) for column in zip(*(found for _, found in every), strict=True))
    )
    if all(right is None for right, _ in every):
        return None, sums
    masks = [torch.ones_like(found.log_sum, dtype=torch.bool) if right is None else right
             for right, found in every]  # fmt: skip
    return torch.cat(masks), sums


def _of_tile(tile: Tile, values: Values, sized: bool) -> tuple[Tensor | None, Sums]:
    """Which rows are right, None where all surely are, and the sums."""
    (n, d), q = tile.keys.points.shape, len(tile.x)
    worst, tiny = tile.worst(), n * q <= TINY and n * d <= NUMBERS
    wide = n > RUN and q < FEW
    if tile.dtype == F64 or tiny or wide or tile.steepest > MODERATE[1] ** 2:
        found = by_products(tile, F64, F64, values, sized)
        right = None if tile.sure(worst, F64) else tile.right(found.log_sum, F64)
        return right, found
    if worst <= LARGEST_FAST:
        found = by_products(tile, F32, F32, values, sized)
        if tile.sure(worst, F32) or bool(tile.right(found.log_sum, F32).all()):
            return None, found
    if n * d * q > CHEAP:
        right, out = singles.sums(tile, values, sized)
        out = _completed(tile, right, out, values, sized)
    else:
        right, out = None, by_products(tile, F64, F32, values, sized)
        if tile.least() <= LARGEST_FAST:
            found = by_products(tile, F32, F32, values, sized)
            out = chosen(tile.right(found.log_sum, F32), found, out)
    if tile.sure(worst, F64):
        return None, out
    good = tile.right(out.log_sum, F64)
    right = good if right is None else right | good
    return right, out


def _completed(tile: Tile, right: Tensor, out: Sums, values: Values, sized: bool) -> Sums:
    """The sums, by products in float64 for rows that were not ``right``.

    In products of one size: rounding must not depend on how many rows are wrong.
    """
    if bool(right.all()):
        return out
    size = min(DOUBLES, len(right))
    rest = (~right).nonzero()[:, 0]
    for part in tiles(len(rest), size):
        rows = rest[part]
        doubles = by_products(tile.part(filled(rows, size)), F64, F32, values, sized)
        out.put(rows, doubles, torch.ones_like(rows, dtype=torch.bool))
    return out
