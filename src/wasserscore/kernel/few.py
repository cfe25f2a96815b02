r"""Kernel sums of queries for which only a few keys matter, as they do at small sigma.

Float32 products find these keys: their error in nats is known, so a key whose logit lies further
below the largest than twice that error and ``ln n`` and some more can be left out. What is left
is computed by differences in float64: the cost is one float32 product, no exponentials, and the
result is right at every sigma. A query with many such keys is left to others.
"""

import math

import torch
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.kernel.keys import FAST, MASKED
from wasserscore.kernel.stream import Block, tile_bytes
from wasserscore.kernel.sums import Sums, Values

FEWEST_NUMBERS = 2**14
"""Keys with fewer numbers in all are summed faster than those that matter are found."""
GROUP = 16
"""Keys of one group; groups are screened by their largest logit."""
RUN = 4096
"""Keys of one product."""
LEAST = 4
"""So many groups are always few."""
LARGEST = 1e20
"""Nats; float32 products that may be off by more are not trusted to be finite."""
DROPPED = {torch.float32: 16.0, torch.float64: 34.0}
"""Nats below 1 / n of the largest weight at which a key is left out: all of them weigh e**-16."""


def serves(whole: Block, level: int) -> bool:
    """Whether few keys may matter, and are found faster than all are summed."""
    return level != FAST and not whole.x.is_cuda and whole.keys.points.numel() >= FEWEST_NUMBERS


def few_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which queries have few keys ``(q,)``, and their sums.

    Args:
        block: Queries on any level.
        values: What is averaged.
        sized: Effective sizes are always there.
    """
    rows, groups, kept = _screen(block)
    table = values.table[:, :-1]
    q = len(block.x)
    top = torch.full((q,), -torch.inf, dtype=torch.float64)
    total, squares = torch.zeros_like(top), torch.zeros_like(top)
    sums = torch.zeros(q, table.shape[1], dtype=torch.float64)
    if len(rows):
        keys = (groups[:, None] * GROUP + torch.arange(GROUP)).clamp_max(len(block.keys) - 1)
        logits = _differences(block, rows, groups)
        top = top.scatter_reduce(0, rows, logits.amax(1), "amax")
        cut = math.log(len(block.keys)) + DROPPED[block.dtype]
        i, j = (logits > (top[rows] - cut)[:, None]).nonzero(as_tuple=True)
        row, key = rows[i], keys[i, j]
        weight = (logits[i, j] - top[row]).exp()
        total.index_add_(0, row, weight)
        squares.index_add_(0, row, weight.square())
        for part in tiles(len(row), max(1, tile_bytes(block.x) // (8 * sums.shape[1]))):
            sums.index_add_(0, row[part], weight[part, None] * table[key[part]])
    return kept, Sums(sums / total[:, None], top + total.log(), total.square() / squares)


def _most(n: int, d: int) -> int:
    """The number of groups of a query from which on all its keys at once are cheaper.

    By nanoseconds: d / 12 + 5 for a key in a dense sum, and 3 d + 20 for one by differences.
    """
    return max(LEAST, int(n * (d / 12 + 5) / (GROUP * (3 * d + 20))))


def _screen(block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (query, group) that may matter, and the queries with few of them.

    A query's verdict depends on its own logits only.
    """
    n, q, d = len(block.keys), len(block.x), block.x.shape[1]
    table = block.keys.table(torch.float32)[:, : d + 2]
    queries = block.queries().float()
    error = 4 * torch.finfo(torch.float32).eps * block.keys.size(block.x, block.inverse)
    cut = (2 * error + math.log(n) + DROPPED[block.dtype]).float()
    limit = _most(n, d)
    top = torch.full((q,), -torch.inf)
    counts, kept = torch.zeros(q, dtype=torch.int64), cut < LARGEST
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    width = min(RUN, -(-n // GROUP) * GROUP)
    space = torch.empty(q, width)
    for run in tiles(n, width):
        k = run.stop - run.start
        if k < width:
            space.fill_(-torch.inf)
        torch.mm(queries, table[run].T, out=space[:, :k])
        block.hide(space, run)
        largest = space.view(q, -1, GROUP).amax(2)
        top = torch.maximum(top, largest.amax(1))
        near = largest > torch.where(kept, top - cut, torch.inf)[:, None]
        row, group = near.nonzero(as_tuple=True)
        found.append((row, group + run.start // GROUP, largest[row, group]))
        counts += near.sum(1)
        kept = kept & (counts <= limit)
        if not bool(kept.any()):
            break
    row, group, largest = (torch.cat(parts) for parts in zip(*found, strict=True))
    near = kept[row] & (largest > (top - cut)[row])
    return row[near], group[near], kept


def _differences(block: Block, rows: Tensor, groups: Tensor) -> Tensor:
    """Logits of all keys of the groups, by differences, ``(pairs, GROUP)``."""
    n, table = len(block.keys), block.keys.table(torch.float64)
    out = torch.empty(len(rows), GROUP, dtype=torch.float64)
    for part in tiles(len(rows), max(1, tile_bytes(block.x) // (8 * GROUP * block.x.shape[1]))):
        row = rows[part]
        key = groups[part, None] * GROUP + torch.arange(GROUP)
        there = table[key.clamp_max(n - 1)]
        squared = (there[:, :, 2:-1] - block.x[row, None]).square_().sum(2)
        logits = there[:, :, 1] - squared * block.inverse[row, None] / 2
        logits[key >= n] = -torch.inf
        if block.own is not None:
            logits[key == block.own[row, None]] = MASKED
        out[part] = logits
    return out
