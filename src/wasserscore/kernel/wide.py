r"""Kernel sums of many coordinates on a GPU: two matrix products per tile of logits.

Both are made on TF32 matrix units from numbers split in two, as :mod:`wasserscore.kernel.fused`
makes them. Those units cut sums off instead of rounding them, so each sums over ``STEP`` terms
only, and these are added up by float32's own addition. The first product ends by adding the norms,
the second is of the weights that :func:`_weights` puts in the place of the logits.
"""

import math
from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.kernel.fused import ALIGNED, _product, operands
from wasserscore.kernel.stream import Block

TILE_BYTES = 2**27
"""Of one tile of logits: smaller ones leave parts of the GPU without work at their ends."""
RUN, UNIT = 2**13, 512
"""Most keys of one sum, as rounding grows with their number, and fewest."""
STEP = 32
"""Terms that a matrix unit adds before the sum is rounded."""
ROWS, COLUMNS, WARPS, STAGES = 128, 128, 8, 3
"""Tile, warps and stages of a product: the fastest of twelve settings tried on an H100."""


def wide_sums(block: Block, values: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(sums of (v, 1) ``(q, dv + 1)``, sum of squared weights, largest logit), all float64.

    Args:
        block: Float32 queries on the FAST level.
        values: Centred values with a column of ones behind, ``(n, dv + 1)``.
        shared: Whether the values are the keys.
    """
    q, dv = len(block.x), values.shape[1] - 1
    y, v, scalars = operands(block, values, shared, block.dtype)
    x = (block.x * block.inverse[:, None]).to(block.dtype)
    x = torch.nn.functional.pad(x, (0, -x.shape[1] % ALIGNED))
    inverse = block.inverse.to(block.dtype)
    top = torch.full((q,), -torch.inf, dtype=torch.float64, device=x.device)
    sums, squares = top.new_zeros(q, dv + 1), top.new_zeros(q)
    for run in tiles(len(block.keys), max(UNIT, TILE_BYTES // (4 * q) // UNIT * UNIT)):
        (tile,) = product(x, y[:, run], (inverse, *scalars[:, run].contiguous()))
        block.hide(tile, run)
        new = torch.maximum(top, tile.amax(1))
        shrink = (top - new).exp()
        total, square = weigh(tile, new)
        more = product(tile, v[:, :dv, run]).sum(0, dtype=torch.float64)
        sums.mul_(shrink[:, None]).add_(torch.cat([more, total[:, None]], 1))
        squares.mul_(shrink.square()).add_(square)
        top = new
    return sums, squares, top


def product(a: Tensor, b: Tensor, norms: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:
    r""":math:`a b^T` in runs of the inner index, ``(r, m, n)``, to be added up.

    Args:
        a: ``(m, k)``, float32.
        b: ``(2, n, k)``, the parts of a matrix; rows may be longer.
        norms: Vectors u ``(m,)``, v ``(n,)`` and w ``(n,)``: u v^T + w is added, in one run.
    """
    (m, k), n = a.shape, b.shape[1]
    runs = 1 if norms else _runs(triton.cdiv(m, ROWS) * triton.cdiv(n, COLUMNS), k, a)
    run = triton.cdiv(triton.cdiv(k, runs), STEP) * STEP
    runs = triton.cdiv(k, run)
    out = a.new_empty(runs, m, n)
    with torch.cuda.device_of(a):
        _products[triton.cdiv(m, ROWS), triton.cdiv(n, COLUMNS), runs](
            a, b, out, *(norms or (a, a, a)), m, n, k, run, a.stride(0), b.stride(1), b.stride(0),
            BM=ROWS, BN=COLUMNS, BK=STEP, NORMS=norms is not None,
            num_warps=WARPS, num_stages=STAGES,
        )  # fmt: skip
    return out


def _runs(blocks: int, k: int, a: Tensor) -> int:
    """The number of runs that keeps all processors busy to the end, of those allowed."""
    processors = torch.cuda.get_device_properties(a.device).multi_processor_count
    few = triton.cdiv(k, RUN)
    many = max(few, min(few + 7, k // UNIT))
    return min(range(few, many + 1), key=lambda r: math.ceil(blocks * r / processors) / r)


def weigh(tile: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    """Weights exp(logit - top) in place of logits ``(q, k)``; their sums and sums of squares."""
    q, k = tile.shape
    totals, squares = top.new_empty(2, q)
    with torch.cuda.device_of(tile):
        _weights[(q,)](tile, top, totals, squares, k, BLOCK=2048, num_warps=8)
    return totals, squares


@triton.jit
@no_type_check
def _products(
    a, b, out, u, v, w, m, n, k, run, a_row, b_row, b_part,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    """A tile (axes 0 and 1) of the product over a run of the inner index (axis 2)."""
    i = tl.program_id(0) * BM + tl.arange(0, BM)
    j = tl.program_id(1) * BN + tl.arange(0, BN)
    begin = tl.program_id(2) * run
    end = tl.minimum(begin + run, k)
    inside, there, c = i < m, j < n, tl.arange(0, BK)
    at_a = a + i.to(tl.int64)[:, None] * a_row + c[None, :]
    at_b = b + j.to(tl.int64)[None, :] * b_row + c[:, None]
    total = tl.zeros((BM, BN), tl.float32)
    for first in range(begin, end, BK):
        seen = (first + c) < end
        left = tl.load(at_a + first, mask=inside[:, None] & seen[None, :], other=0.0)
        right = tl.load(at_b + first, mask=seen[:, None] & there[None, :], other=0.0)
        rest = tl.load(at_b + b_part + first, mask=seen[:, None] & there[None, :], other=0.0)
        total += _product(left, right, rest)
    if NORMS:
        scale = tl.load(u + i, mask=inside, other=0.0)
        half = tl.load(v + j, mask=there, other=0.0)
        total += scale[:, None] * half[None, :] + tl.load(w + j, mask=there, other=0.0)[None, :]
    place = (tl.program_id(2) * m + i).to(tl.int64)[:, None] * n + j[None, :]
    tl.store(out + place, total, mask=inside[:, None] & there[None, :])


@triton.jit
@no_type_check
def _weights(tile, top, totals, squares, k, BLOCK: tl.constexpr):
    """One row."""
    i = tl.program_id(0).to(tl.int64)
    highest = tl.load(top + i).to(tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    square = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, k, BLOCK):
        c = first + tl.arange(0, BLOCK)
        w = tl.exp(tl.load(tile + i * k + c, mask=c < k, other=float("-inf")) - highest)
        tl.store(tile + i * k + c, w, mask=c < k)
        total += w
        square += w * w
    tl.store(totals + i, tl.sum(total.to(tl.float64)))
    tl.store(squares + i, tl.sum(square.to(tl.float64)))
