"""Kernel sums that take one tile of logits: small problems, and many queries of few keys.

Products of a tile are made in float32 where that is right, or where the sums tell that it does not
matter (:mod:`~wasserscore.kernel.checked`), or where only few keys matter, which they find
(:mod:`~wasserscore.kernel.few`); otherwise in float64.
"""

import torch
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel import checked, few
from wasserscore.kernel.dense import RUN
from wasserscore.kernel.keys import (
    LARGEST_FAST,
    MODERATE,
    TOLERANCE,
    Keys,
    Queries,
    largest_double,
)
from wasserscore.kernel.sums import Sums, Values
from wasserscore.kernel.tile import Tile

F32, F64 = torch.float32, torch.float64
QUERIES = 512
"""Queries of one tile."""
PAIRS, NUMBERS = 2**17, 2**20
"""More keys than one run make a tile, where queries times keys, and numbers of keys, are few."""
TINY = 2**12
"""So few pairs take no longer in float64."""
CHEAP, WIDE = 2**23, 128
"""A product of so many multiplications costs less in float64 than to find out whether float32 is
right; a larger one, of more than so many coordinates, is not made in float64 at all."""
HOPEFUL = min(checked.TRUSTED, checked.LIKELY / checked.UNIT)
"""Parts of logits up to which the sums may show that float32 products are good enough."""


def serves(x: Queries, keys: Keys) -> bool:
    """Whether a tile, or one for every few hundred queries, is enough."""
    n, d = keys.points.shape
    small = n * len(x) <= PAIRS and n * (d + 3) <= NUMBERS
    return not x.is_cuda and (n <= RUN or small)


def small_sums(
    x: Queries, keys: Keys, sigma: float | Tensor, values: Values, own: Tensor | None, sized: bool
) -> tuple[Tensor | None, Sums]:
    """Which rows are right, ``(q,)`` or None for all, and their sums.

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
    """Which rows are right, None for all, and the sums."""
    (n, d), worst, limit = tile.keys.points.shape, tile.worst(), largest_double(tile.dtype)
    tiny = n * len(tile.x) <= TINY and n * d <= NUMBERS
    if tile.dtype == F64 or n > RUN or tiny or tile.steepest > MODERATE[1] ** 2:
        found, _ = tile.sums(tile.logits(F64), F64, values, sized)
        return (None if worst <= limit else tile.size(tile.keys.radius) <= limit), found
    if worst <= LARGEST_FAST:
        return None, tile.sums(tile.logits(F32), F32, values, sized)[0]
    size = tile.size(tile.keys.radius)
    right, out = size <= LARGEST_FAST, None
    dear = n * d * len(tile.x) > CHEAP
    if dear:
        right, out = _by_singles(tile, size, values, sized)
    elif bool(right.any()):
        out = tile.sums(tile.logits(F32), F32, values, sized)[0]
    if out is not None and ((done := bool(right.all())) or (dear and d > WIDE)):
        return (None if done else right), out
    doubles = tile.sums(tile.logits(F64), F32, values, sized)[0]
    out = doubles if out is None else _where(right, out, doubles)
    return (None if worst <= limit else right | (size <= limit)), out


def _by_singles(tile: Tile, size: PerPoint, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows float32 products get right, ``(q,)``, and their sums."""
    logits, out = tile.logits(F32), Sums.empty(len(size), values)
    right = size <= LARGEST_FAST
    hopeful = right | (size <= HOPEFUL) if values.are_keys else right
    if bool(hopeful.any()):
        out, weights = tile.sums(logits, F32, values, sized)
        if values.are_keys:
            right = right | (hopeful & _holds(tile, size, out, tile.norms(weights), sized))
    if bool(right.all()):
        return right, out
    found, sums = few.among(tile.block(), logits, size, values)
    return right | found, _where(right, out, sums)


def _where(right: Tensor, first: Sums, second: Sums) -> Sums:
    """The first sums where they are right, the second elsewhere."""
    return Sums(
        torch.where(right[:, None], first.mean, second.mean),
        torch.where(right, first.log_sum, second.log_sum),
        torch.where(right, first.size, second.size),
    )


def _holds(tile: Tile, worst: PerPoint, sums: Sums, squared: PerPoint, sized: bool) -> Tensor:
    """Whether float32 products were good enough, ``(q,)``, as in ``checked``.

    Args:
        tile: The queries.
        worst: The largest part of any logit.
        sums: What float32 products gave.
        squared: Means of the keys' squared norms.
        sized: Whether effective sizes must be right, too.
    """
    # The rounding of 1 / sigma**2 is one more, but shifts all logits that matter alike.
    off = 2 * checked.UNIT * tile.size(squared.clamp_min(0).sqrt())
    worse = (checked.UNIT * worst).square()
    found = checked.Found(sums.mean, sums.log_sum, squared, off, worse)
    return checked.holds(found, tile.keys.radius, TOLERANCE[F32], off if sized else None)
