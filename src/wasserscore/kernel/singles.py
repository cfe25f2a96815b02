"""One tile by float32 products, for the rows that these get right.

That is so where logits are small; where the sums tell that rounding does not matter
(:mod:`~wasserscore.kernel.checked`); and where only few keys matter, which the products find
(:mod:`~wasserscore.kernel.few`). A row's verdict, and its way, depend on itself only.
"""

import torch
from torch import Tensor

from wasserscore.core.typing import PerPoint
from wasserscore.kernel import checked, few
from wasserscore.kernel.keys import LARGEST_FAST, TOLERANCE
from wasserscore.kernel.sums import Sums, Values
from wasserscore.kernel.tile import Tile

F32 = torch.float32
HOPEFUL = min(checked.TRUSTED, checked.LIKELY / checked.UNIT)
"""Parts of logits up to which the sums may show that float32 products are good enough."""


def sums(tile: Tile, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows are right, ``(q,)``, and the sums.

    Args:
        tile: Queries and keys, float32.
        values: What is averaged.
        sized: Whether effective sizes are asked for.
    """
    logits, size = tile.logits(F32), tile.size(tile.keys.radius)
    right, out = size <= LARGEST_FAST, None
    left = ~right
    hopeful = size <= HOPEFUL if values.are_keys else right
    if bool(hopeful.any()):
        top, weights = tile.weights(logits, F32)
        out = tile.sums(top, weights, values, sized)
        if bool(right.any()):
            right = right & tile.right(out.log_sum, F32)
        if values.are_keys:
            right = right | (hopeful & _hold(tile, size, out, tile.norms(weights), sized))
        if bool(right.all()):
            return right, out
        # few keys matter only where the sum of squared weights is large
        effective = torch.linalg.vector_norm(weights, dim=1).square().reciprocal()
        left = ~right & (~hopeful | (effective <= few.most(*tile.keys.points.shape)))
    if bool(left.any()):
        found, those = few.among(tile.block(), logits, size.where(left, torch.inf), values)
        out = those if out is None else chosen(right, out, those)
        right = right | found
    return right, Sums.empty(len(size), values) if out is None else out


def by_products(
    tile: Tile, products: torch.dtype, rest: torch.dtype, values: Values, sized: bool
) -> Sums:
    """The sums by logits in some precision, and the rest in another."""
    return tile.sums(*tile.weights(tile.logits(products), rest), values, sized)


def chosen(right: Tensor, first: Sums, second: Sums) -> Sums:
    """The first sums where they are right, the second elsewhere."""
    return Sums(
        torch.where(right[:, None], first.mean, second.mean),
        torch.where(right, first.log_sum, second.log_sum),
        torch.where(right, first.size, second.size),
    )


def _hold(tile: Tile, size: PerPoint, sums: Sums, squared: PerPoint, sized: bool) -> Tensor:
    """Whether float32 products were good enough, ``(q,)``, as in ``checked``.

    Args:
        tile: The queries.
        size: The largest part of any logit.
        sums: What float32 products gave.
        squared: Means of the keys' squared norms.
        sized: Whether effective sizes must be right, too.
    """
    # The rounding of 1 / sigma**2 is one more, but shifts all logits that matter alike.
    off = 2 * checked.UNIT * tile.size(squared.clamp_min(0).sqrt())
    worse = (checked.UNIT * size).square()
    found = checked.Found(sums.mean, sums.log_sum, squared, off, worse)
    return checked.holds(found, tile.keys.radius, TOLERANCE[F32], off if sized else None)
