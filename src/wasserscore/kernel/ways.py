r"""The choice of a way to make a kernel sum.

Each block of queries takes the cheapest way whose accuracy holds:

=============  ==============================================================================
way            when
=============  ==============================================================================
``fused``      on a GPU, up to 256 coordinates, 128 in float64
``wide``       on a GPU, more coordinates in float32
``attention``  float32 or float64 products are right (the FAST level), and all keys may matter
``checked``    float32 products may be off, and the sums show that it does not matter
``boxes``      a few keys matter, which is so at small sigma, and there are up to 3 coordinates
``nodes``      the kernel is wide beside cells of keys, and there are up to 3 coordinates
``few``        a few keys matter, in more coordinates
``dense``      otherwise: tiles of logits with a running maximum
=============  ==============================================================================

Beside tables of the keys themselves, which ``fused`` and ``wide`` keep in the form that matrix
units take, memory does not grow with the number of keys on any of them, but for the tables of
``nodes``.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.kernel import attention, boxes, checked, few, interpolated
from wasserscore.kernel.boxes import COORDINATES
from wasserscore.kernel.dense import dense_sums
from wasserscore.kernel.device import has_kernel, has_products
from wasserscore.kernel.digits import all_digits
from wasserscore.kernel.keys import DOUBLE, EXACT, FAST, LARGEST_FAST
from wasserscore.kernel.stream import Block, arranged, block_size, blocks
from wasserscore.kernel.sums import Sums, Values

Way = Callable[[Block, Values, bool], tuple[Tensor, Sums]]
"""A way to make the sums of a block: (which of its rows are right, the sums)."""


class Attempt(NamedTuple):
    """A way, the rows ``(q,)`` it may get right, their level and blocks (None: all in place)."""

    way: Way
    rows: Tensor
    level: int
    size: int | None


def _attempts(
    whole: Block, values: Values, left: Tensor, sized: bool = False
) -> Iterator[Attempt]:
    """What to try in turn on the rows that are ``left``, until the last level gets them right."""
    size, boxed = block_size(whole), boxes.serves(whole)
    if boxed:
        yield Attempt(few.box_sums, boxes.promising(whole, few.dropped(whole)), FAST, size)
    fresh = left
    if interpolated.serves(whole, values, sized):
        start = torch.where(left, interpolated.promising(whole, sized), interpolated.NEVER)
        for way, rows in interpolated.attempts(whole, values, start):
            yield Attempt(way, left & rows, FAST, interpolated.BLOCK)
        fresh = left & (start == interpolated.NEVER)
    fused, fast = attention.serves(whole, FAST), fresh & (whole.size <= LARGEST_FAST)
    whole_way, whole_size = (attention.attention_sums, None) if fused else (_all_keys, size)
    yield Attempt(whole_way, fast, FAST, whole_size)
    level = whole.levels()
    if whole.own is None:  # else products may be right, but for a key taken out of a sum
        level, fresh = level.masked_fill(fast, DOUBLE), fresh & ~fast
    if checked.serves(whole, values):
        hopeful = fresh & ~fast & checked.promising(whole)
        yield Attempt(checked.checked_sums, hopeful, FAST, whole_size)
        fresh = fresh & ~hopeful
    for v, failed in product((FAST, DOUBLE, EXACT), (False, True)):
        if not bool(left.any()):
            return
        # a failed query in few coordinates has many keys that matter: nothing to look for
        lost = boxed or (failed and whole.x.shape[1] <= COORDINATES)
        some = fresh != failed
        if few.serves(whole, v) and not lost:
            yield Attempt(few.few_sums, left & some & (level <= v), v, size)
        if v > FAST and not failed and attention.serves(whole, v):
            yield Attempt(attention.attention_sums, left & some & (level <= v), v, None)
        yield Attempt(_all_keys, left & some & (level <= v), v, size)


@all_digits
def sums_of(whole: Block, values: Values, sized: bool = False) -> Sums:
    """The sums of all queries; effective sizes only where they are asked for, or cost nothing."""
    left, out = torch.ones_like(whole.inverse, dtype=torch.bool), None
    for way, tried, level, size in _attempts(whole, values, left, sized):
        apart = blocks if size and level == FAST else arranged  # nodes and boxes stay as they are
        for rows, block in apart(whole, tried, level, size):
            right, sums = way(block, values, sized)
            right = right[: len(rows)] & tried[rows]
            if len(rows) == len(left) and bool(right.all()):
                return sums
            out = out or Sums.empty(len(left), values)
            out.put(rows[right], sums, right)
            left[rows[right]] = False
    assert out is not None
    return out


def _all_keys(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows are right ``(q,)``, and the sums, tile by tile; on a GPU by its own kernels."""
    if has_kernel(block, values.table):
        from wasserscore.kernel.fused import fused_sums

        sums, squares, top = fused_sums(block, values.table, values.are_keys)
    elif has_products(block, values.table):
        from wasserscore.kernel.wide import wide_sums

        sums, squares, top = wide_sums(block, values.table, values.are_keys)
    else:
        sums, squares, top = dense_sums(block, values.whole, values.table.shape[1])
    found = Sums.of(sums, squares, top, block.offset())
    return block.hold(found.log_sum), found
