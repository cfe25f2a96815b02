"""Kernel sums of small problems in one tile: the number of calls matters more than their speed."""

import torch
from torch import Tensor

from wasserscore.kernel.dense import RUN, VANISHING
from wasserscore.kernel.keys import MASKED, Keys, Queries, largest_double
from wasserscore.kernel.sums import Sums, Values

PAIRS, NUMBERS = 2**17, 2**19
"""Queries times keys, and numbers in the table of keys, that are few."""


def serves(x: Queries, keys: Keys) -> bool:
    """Whether the problem is small."""
    n, d = keys.points.shape
    return not x.is_cuda and n * len(x) <= PAIRS and n * (d + 3) <= NUMBERS


def small_sums(
    x: Queries, keys: Keys, sigma: float | Tensor, values: Values, own: Tensor | None, sized: bool
) -> tuple[Tensor | None, Sums]:
    """Which rows float64 products are right for, ``(q,)`` or None for all, and their sums.

    Args:
        x: All queries.
        keys: The keys.
        sigma: Their width, or one per query, float64.
        values: What is averaged.
        own: Index of the key that each query must not see, or None.
        sized: Whether effective sizes are asked for.
    """
    centred, inverse, table = x - keys.centre, sigma**-2, keys.table(torch.float64)
    squared = torch.linalg.vecdot(centred, centred)
    logits = torch.addmm(table[:, -1], centred, table[:, :-3].T)
    logits *= inverse[:, None] if isinstance(inverse, Tensor) else inverse
    if keys.log_weights is not None:
        logits += table[:, -2]
    if own is not None:
        logits[torch.arange(len(x)), own] = MASKED
    top = logits.amax(1)
    logits -= top[:, None]
    columns = values.table if len(keys) <= RUN else values.table.double()
    weights = logits.to(columns.dtype).clamp_min_(-VANISHING).exp_()
    sums = weights @ columns
    total = sums[:, -1]
    size = total.square() / weights.square().sum(1) if sized else total
    log_sum = top + total.log() - squared * (inverse / 2)
    return _right(x, keys, squared, inverse), Sums(sums[:, :-1] / total[:, None], log_sum, size)


def _right(x: Queries, keys: Keys, squared: Tensor, inverse: float | Tensor) -> Tensor | None:
    """Whether rounding in float64 does not matter; None where it does for no query."""
    radius, limit = keys.radius, largest_double(x.dtype)
    steepest = float(inverse.max()) if isinstance(inverse, Tensor) else inverse
    farthest = float(squared.max()) ** 0.5
    if (farthest + radius / 2) * steepest * radius + keys.heaviest <= limit:
        return None
    size = (squared.sqrt() + radius / 2) * (inverse * radius) + keys.heaviest
    return size <= limit
