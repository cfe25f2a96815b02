"""Kernel sums of small problems in one tile: the number of calls matters more than their speed."""

import torch
from torch import Tensor

from wasserscore.kernel.dense import RUN, VANISHING
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Sums, Values

PAIRS, NUMBERS = 2**17, 2**19
"""Queries times keys, and numbers in the table of keys, that are few."""


def serves(whole: Block) -> bool:
    """Whether the problem is small."""
    n, q = len(whole.keys), len(whole.x)
    numbers = n * (whole.x.shape[1] + 3)
    return not whole.x.is_cuda and n * q <= PAIRS and numbers <= NUMBERS


def small_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows float64 products are right for ``(q,)``, and their sums.

    Args:
        block: All queries.
        values: What is averaged.
        sized: Whether effective sizes are asked for.
    """
    logits = block.queries() @ block.keys.table(torch.float64).T
    n = logits.shape[1]
    block.hide(logits, slice(0, n))
    top = logits.amax(1)
    logits.sub_(top[:, None])
    table = values.table if n <= RUN else values.table.double()
    weights = logits.to(table.dtype).clamp_min_(-VANISHING).exp_()
    sums = (weights @ table).double()
    total = sums[:, -1]
    size = total.square() / weights.square().sum(1) if sized else total
    right = block.size <= block.largest_double
    return right, Sums(sums[:, :-1] / total[:, None], top + total.log() + block.offset(), size)
