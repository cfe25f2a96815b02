r"""Kernel sums of queries for which only a few keys matter, as they do at small sigma.

Float32 products find these keys: their error in nats is known, so a key whose logit lies further
below the largest than twice that error and ``ln n`` and some more can be left out. What is left
is computed by differences in float64: the cost is one float32 product, no exponentials, and the
result is right at every sigma. A query with many such keys is left to others. In few coordinates
boxes of keys (:mod:`~wasserscore.kernel.boxes`) are found instead, without a look at the others.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from wasserscore.core.products import product
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel.boxes import OPENED, boxes_of
from wasserscore.kernel.keys import FAST
from wasserscore.kernel.stream import Block, block_size, tile_bytes
from wasserscore.kernel.sums import Sums, Values

WORTH = 1.5e6
"""Nanoseconds of a dense sum of a block below which looking for the keys that matter is dearer."""
READ, LOOK = 1.5, 25.0
"""Nanoseconds to read a number of the keys once for all queries, most of the time of one query;
and to look at a key."""
GROUP = 16
"""Keys of one group; groups are screened by their largest logit."""
RUN = 4096
"""Keys of one product."""
LEAST = 32
"""So many keys are always few."""
FIRST, EARLY = 512, 6
"""Keys of the first run; a query is given up with so many times the keys that are its share."""
LARGEST = 1e20
"""Nats; float32 products that may be off by more are not trusted to be finite."""
DROPPED = {torch.float32: 16.0, torch.float64: 34.0}
"""Nats below 1 / n of the largest weight at which a key is left out: all of them weigh e**-16."""


def serves(whole: Block, level: int) -> bool:
    """Whether few keys may matter, and are found faster than all are summed."""
    if level == FAST or whole.x.is_cuda:
        return False
    n, d = whole.keys.points.shape
    return n * (block_size(whole) * _dense(d) + max(0.0, READ * d - LOOK)) >= WORTH


def few_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which queries have few keys ``(q,)``, and their sums.

    Args:
        block: Queries on any level.
        values: What is averaged.
        sized: Effective sizes are always there.
    """
    rows, keys, kept = _screen(block)
    logits = block.differences(rows, keys)[:, None]
    return kept, _sums(block, values, rows, keys[:, None], logits)


def among(block: Block, logits: Tensor, size: PerPoint, values: Values) -> tuple[Tensor, Sums]:
    """The same where the float32 logits of all keys are there, given the largest part of each.

    Args:
        block: Queries on any level.
        logits: ``(q, k)``, a multiple of ``GROUP``; more than there are keys end in hidden ones.
        size: The largest part of any logit, ``(q,)``.
        values: What is averaged.
    """
    cut, groups = _cut(block, size), _grouped(logits)
    largest = groups.amax(1)
    limits = largest.amax(1) - cut
    limit = most(*block.keys.points.shape)
    kept = ((largest > limits[:, None]).sum(1) <= limit) & (cut < LARGEST)
    row, keys, _ = _above(groups, largest, torch.where(kept, limits, torch.inf))
    kept &= row.bincount(minlength=len(kept)) <= limit
    near = kept[row]
    rows, keys = row[near], keys[near]
    exact = block.differences(rows, keys)[:, None]
    return kept, _sums(block, values, rows, keys[:, None], exact)


def box_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """The same by opening boxes, of keys that :func:`boxes.serves` takes.

    A query's verdict depends on its own logits only.
    """
    boxes, q = boxes_of(block), len(block.x)
    bound = boxes.bounds(block)
    best = boxes.logits(block, torch.arange(q), bound.argmax(1)).amax(1)
    near = bound >= (best - dropped(block))[:, None]
    kept = near.sum(1) * (OPENED / 2) <= len(boxes.members)
    rows, opened = (near & kept[:, None]).nonzero(as_tuple=True)
    logits = boxes.logits(block, rows, opened)
    return kept, _sums(block, values, rows, boxes.members[opened], logits)


def dropped(block: Block) -> float:
    """Nats below the largest logit at which keys are left out, all of them together."""
    return math.log(len(block.keys)) + DROPPED[block.dtype]


def _cut(block: Block, size: PerPoint) -> Tensor:
    """Nats below the largest float32 logit at which keys are left out, ``(q,)``, float32."""
    return (8 * torch.finfo(torch.float32).eps * size + dropped(block)).float()


def _sums(block: Block, values: Values, rows: Tensor, keys: Tensor, logits: Tensor) -> Sums:
    """Sums of queries ``(p,)`` over their keys ``(p, k)``."""
    table = values.table[:, :-1]
    q = len(block.x)
    top = torch.full((q,), -torch.inf, dtype=torch.float64)
    total, squares = torch.zeros_like(top), torch.zeros_like(top)
    sums = torch.zeros(q, table.shape[1], dtype=torch.float64)
    if len(rows):
        top = top.scatter_reduce(0, rows, logits.amax(1), "amax")
        # at 1e17 nats the largest minus what is dropped is the largest itself: it must stay
        i, j = (logits >= (top[rows] - dropped(block))[:, None]).nonzero(as_tuple=True)
        row, key = rows[i], keys[i, j]
        weight = (logits[i, j] - top[row]).exp()
        total.index_add_(0, row, weight)
        squares.index_add_(0, row, weight.square())
        for part in tiles(len(row), max(1, tile_bytes(block.x) // (8 * max(1, sums.shape[1])))):
            sums.index_add_(0, row[part], weight[part, None] * table[key[part]])
    return Sums(sums / total[:, None], top + total.log(), total.square() / squares)


def _dense(d: int) -> float:
    """Nanoseconds of one key in a dense sum, measured on two processors."""
    return d / 12 + 5


def most(n: int, d: int) -> int:
    """The number of keys that matter to a query from which on all keys at once are cheaper.

    A key by differences takes 3 d + 400 nanoseconds, most of them to find it.
    """
    return int(n * _dense(d) / (3 * d + 400))


def _screen(block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys that may matter to them, ``(p,)`` both; who has few of them, ``(q,)``.

    A query's verdict depends on its own logits only.
    """
    n, q, d = len(block.keys), len(block.x), block.x.shape[1]
    table = block.keys.table(torch.float32)
    queries = block.queries().float()
    cut = _cut(block, block.size)
    limit, width = max(LEAST, most(n, d)), min(RUN, -(-n // GROUP) * GROUP)
    alive, counts = (cut < LARGEST).nonzero()[:, 0], torch.zeros(q, dtype=torch.int64)
    top = torch.full((q,), -torch.inf, dtype=torch.float32)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for run in _runs(n, width):
        space = _logits(block, queries, table, alive, run)
        groups = _grouped(space)
        largest = groups.amax(1)
        top[alive] = torch.maximum(top[alive], largest.amax(1))
        row, column, logits = _above(groups, largest, (top - cut)[alive])
        here = alive[row]
        found.append((here, run.start + column, logits))
        counts += here.bincount(minlength=q)
        share = min(limit, max(LEAST, EARLY * limit * run.stop // n))
        alive = alive[counts[alive] <= share]
        if not len(alive):
            break
    kept = torch.zeros(q, dtype=torch.bool)
    kept[alive] = True
    row, keys, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
    near = kept[row] & (logits > (top - cut)[row])
    return row[near], keys[near], kept


def _grouped(logits: Tensor) -> Tensor:
    """Logits ``(q, k)`` by groups, ``(q, GROUP, groups)``.

    A group has every so-many-th key: their largest is found far faster than that of neighbours.
    """
    return logits.view(len(logits), GROUP, -1)


def _above(groups: Tensor, largest: Tensor, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where logits are above their limits, ``(q,)``: rows, columns, and the logits, ``(p,)`` all.

    Args:
        groups: As :func:`_grouped` gives them.
        largest: Of each group.
        limits: One per row.
    """
    row, group = (largest > limits[:, None]).nonzero(as_tuple=True)
    logits = groups[row, :, group]
    i, member = (logits > limits[row, None]).nonzero(as_tuple=True)
    return row[i], member * groups.shape[2] + group[i], logits[i, member]


def _runs(n: int, width: int) -> Iterator[slice]:
    """A short run, after which most queries of many keys are known, and then long ones."""
    yield slice(0, min(FIRST, n))
    for run in tiles(max(0, n - FIRST), width):
        yield slice(FIRST + run.start, FIRST + run.stop)


def _logits(block: Block, queries: Tensor, table: Tensor, alive: Tensor, run: slice) -> Tensor:
    """Float32 logits of the queries alive, filled up to whole groups."""
    k = run.stop - run.start
    space = torch.empty(len(alive), -(-k // GROUP) * GROUP, dtype=torch.float32)
    space[:, k:] = -torch.inf
    space[:, :k] = product(queries[alive], table[run].T)
    block.hide(space, run, alive)
    return space
