r"""Kernel sums of many coordinates on a GPU: two matrix products per tile of logits.

Both are made from numbers split in two (:mod:`wasserscore.kernel.halves`). Matrix units cut sums
off instead of rounding them, so each sums over ``STEP`` terms only, and these are added up by
float32's own addition. The first product ends by adding the norms, the second is of the weights
that :func:`_weights` makes of the logits.
"""

import math
from typing import NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.kernel.halves import LARGEST, Operands, product, split
from wasserscore.kernel.stream import Block

TILE_BYTES = 2**27
"""Of one tile of logits: smaller ones leave parts of the GPU without work at their ends."""
RUN, UNIT = 2**13, 512
"""Most keys of one sum, as rounding grows with their number, and fewest."""
STEP = 64
"""Terms that a matrix unit adds before the sum is rounded."""
ROWS, COLUMNS, WARPS, STAGES = 128, 128, 8, 3
"""Tile, warps and stages of a product: the fastest of eight settings tried on an H100."""


def wide_sums(block: Block, values: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(sums of (v, 1) ``(q, dv + 1)``, sum of squared weights, largest logit), all float64.

    Args:
        block: Float32 queries on the FAST level.
        values: Centred values with a column of ones behind, ``(n, dv + 1)``.
        shared: Whether the values are the keys.
    """
    q, dv = len(block.x), values.shape[1] - 1
    x, y, (v, unit), scalars, inverse, scale = Operands.of(block, values, shared)
    weights = Weights.none(q, x.device)
    sums = unit.new_zeros(q, dv)
    for run in tiles(len(block.keys), max(UNIT, TILE_BYTES // (4 * q) // UNIT * UNIT)):
        (tile,) = products(x, y[:, run].mT, (scale, inverse, *scalars[:, run]))
        block.hide(tile, run)
        found = products(weights.add(tile), v[:, run, :dv])
        sums.mul_(weights.fade[:, None]).add_(found.sum(0, dtype=sums.dtype))
    sums *= unit[:, :dv] / LARGEST.value
    return torch.cat([sums, weights.total[:, None]], 1), weights.square, weights.top.double()


Norms = tuple[Tensor, Tensor, Tensor, Tensor]


def products(a: Tensor, b: Tensor, norms: Norms | None = None) -> Tensor:
    """A b in runs of the inner index, ``(r, m, n)``, to be added up.

    Args:
        a: ``(2, m, k)``, the halves of a matrix; rows may be longer.
        b: ``(2, k, n)``, the halves of another; rows and columns may be longer.
        norms: Vectors s ``(m,)``, u ``(m,)``, v ``(n,)`` and w ``(n,)``: what is found is
            s a b + u v^T + w, in one run.
    """
    (_, m, k), n = a.shape, b.shape[2]
    runs = 1 if norms else _runs(triton.cdiv(m, ROWS) * triton.cdiv(n, COLUMNS), k, a)
    run = triton.cdiv(triton.cdiv(k, runs), STEP) * STEP
    runs = triton.cdiv(k, run)
    out = a.new_empty(runs, m, n, dtype=torch.float32)
    with torch.cuda.device_of(a):
        _products[triton.cdiv(m, ROWS), triton.cdiv(n, COLUMNS), runs](
            a, b, out, *(norms or (out, out, out, out)), m, n, k, run, a.stride(1), a.stride(0),
            b.stride(1), b.stride(2), b.stride(0), BM=ROWS, BN=COLUMNS, BK=STEP,
            NORMS=norms is not None, num_warps=WARPS, num_stages=STAGES,
        )  # fmt: skip
    return out


def _runs(blocks: int, k: int, a: Tensor) -> int:
    """The number of runs that keeps all processors busy to the end, of those allowed."""
    processors = torch.cuda.get_device_properties(a.device).multi_processor_count
    few = triton.cdiv(k, RUN)
    many = max(few, min(few + 7, k // UNIT))
    return min(range(few, many + 1), key=lambda r: math.ceil(blocks * r / processors) / r)


class Weights(NamedTuple):
    """Of one tile after another, relative to the largest logit so far.

    Args:
        top: That logit ``(q,)``, float32.
        fade: What the last tile made of sums before it, by a larger logit, ``(q,)``, float64.
        total: The sums of weights ``(q,)``, float64.
        square: And of their squares.
    """

    top: Tensor
    fade: Tensor
    total: Tensor
    square: Tensor

    @classmethod
    def none(cls, q: int, device: torch.device) -> "Weights":
        """Before the first tile."""
        top = torch.full((q,), -torch.inf, dtype=torch.float32, device=device)
        return cls(top, *torch.zeros(3, q, dtype=torch.float64, device=device))

    def add(self, tile: Tensor) -> Tensor:
        """Halves of the weights ``(2, q, k)`` of these logits ``(q, k)``, which are counted."""
        q, k = tile.shape
        out = tile.new_empty(2, q, k, dtype=torch.float16)
        with torch.cuda.device_of(tile):
            _weights[(q,)](tile, out, *self, k, q * k, BLOCK=2048, num_warps=8)
        return out


@triton.jit
@no_type_check
def _products(
    a, b, out, s, u, v, w, m, n, k, run, a_row, a_part, b_row, b_column, b_part,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    """A tile (axes 0 and 1) of the product over a run of the inner index (axis 2)."""
    i = tl.program_id(0) * BM + tl.arange(0, BM)
    j = tl.program_id(1) * BN + tl.arange(0, BN)
    begin = tl.program_id(2) * run
    end = tl.minimum(begin + run, k)
    inside, there, c = i < m, j < n, tl.arange(0, BK)
    at_a = a + i.to(tl.int64)[:, None] * a_row + c[None, :]
    at_b = b + j.to(tl.int64)[None, :] * b_column + c[:, None].to(tl.int64) * b_row
    total = tl.zeros((BM, BN), tl.float32)
    for first in range(begin, end, BK):
        seen = (first + c) < end
        in_a, in_b = inside[:, None] & seen[None, :], seen[:, None] & there[None, :]
        left = tl.load(at_a + first, mask=in_a, other=0.0)
        more = tl.load(at_a + a_part + first, mask=in_a, other=0.0)
        here = at_b + tl.cast(first, tl.int64) * b_row
        right = tl.load(here, mask=in_b, other=0.0)
        rest = tl.load(here + b_part, mask=in_b, other=0.0)
        total += product(left, more, right, rest)
    if NORMS:
        total *= tl.load(s + i, mask=inside, other=0.0)[:, None]
        scale = tl.load(u + i, mask=inside, other=0.0)
        half = tl.load(v + j, mask=there, other=0.0)
        total += scale[:, None] * half[None, :] + tl.load(w + j, mask=there, other=0.0)[None, :]
    place = (tl.program_id(2) * m + i).to(tl.int64)[:, None] * n + j[None, :]
    tl.store(out + place, total, mask=inside[:, None] & there[None, :])


@triton.jit
@no_type_check
def _weights(tile, out, top, fade, total, square, k, part, BLOCK: tl.constexpr):
    """One row."""
    i = tl.program_id(0)
    row, c = tile + i.to(tl.int64) * k, tl.arange(0, BLOCK)
    before = tl.load(top + i)
    high = tl.full((BLOCK,), float("-inf"), tl.float32)
    for first in range(0, k, BLOCK):
        high = tl.maximum(high, tl.load(row + first + c, mask=first + c < k, other=float("-inf")))
    highest = tl.maximum(before, tl.max(high))
    sum_w = tl.zeros((BLOCK,), tl.float32)
    sum_w2 = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, k, BLOCK):
        seen = first + c < k
        w = tl.exp(tl.load(row + first + c, mask=seen, other=float("-inf")) - highest)
        leading, small = split(w)
        at = out + i.to(tl.int64) * k + first + c
        tl.store(at, leading, mask=seen)
        tl.store(at + part, small, mask=seen)
        sum_w += w
        sum_w2 += w * w
    shrink = tl.exp(before - highest).to(tl.float64)
    tl.store(top + i, highest)
    tl.store(fade + i, shrink)
    tl.store(total + i, tl.load(total + i) * shrink + tl.sum(sum_w.to(tl.float64)))
    kept = tl.load(square + i) * shrink * shrink
    tl.store(square + i, kept + tl.sum(sum_w2.to(tl.float64)))
