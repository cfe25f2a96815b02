r"""One pass of a kernel sum on a GPU: logits, online softmax and weighted sum, never in memory.

A program takes a block of queries down one run of keys and keeps its sums in registers; the runs
are put together afterwards by their largest logits. Float32 products are made from numbers split
in two (:mod:`wasserscore.kernel.halves`); logits of the DOUBLE level from float64 products, which
the matrix units of data-centre GPUs make as fast as other units make float32 ones.

Source: :cite:p:`dao2022`, algorithm 1 (tiles and online softmax), with a kernel's logits.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from wasserscore.kernel.halves import ALIGNED, LARGEST, Operands, product, split
from wasserscore.kernel.keys import MASKED
from wasserscore.kernel.stream import Block

RUN = 2**14
"""Most keys of one program: its sums are float32, and rounding grows with their number."""
PROGRAMS = 1024
"""Programs that keep a GPU busy; fewer queries are spread over shorter runs."""
F32, F64 = torch.float32, torch.float64
SHAPES = {
    (F32, F32, 16): (64, 128, 4, 2), (F32, F32, 32): (64, 64, 4, 2),
    (F32, F32, 64): (64, 128, 4, 2), (F32, F32, 128): (64, 64, 4, 2),
    (F32, F32, 256): (128, 32, 8, 2),
    (F64, F32, 16): (64, 64, 4, 2), (F64, F32, 32): (64, 64, 4, 2), (F64, F32, 64): (64, 32, 4, 2),
    (F64, F32, 128): (64, 16, 4, 2), (F64, F32, 256): (64, 16, 8, 2),
    (F64, F64, 16): (64, 32, 4, 2), (F64, F64, 32): (64, 32, 4, 2), (F64, F64, 64): (64, 32, 4, 2),
    (F64, F64, 128): (32, 32, 4, 2),
}  # fmt: skip
"""Queries and keys of a tile, warps and stages by precision of logits, of sums, and width.

The fastest of two to eight tried on an H100 for every case.
"""


def fused_sums(block: Block, values: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(sums of (v, 1) ``(q, dv + 1)``, sum of squared weights, largest logit), all float64.

    Args:
        block: Queries on the FAST or the DOUBLE level.
        values: Centred values with a column of ones behind, ``(n, dv + 1)``.
        shared: Whether the values are the keys.
    """
    precision, q, n, d = block.precision, len(block.x), len(block.keys), block.x.shape[1]
    dv, one = values.shape[1] - 1, shared and precision == block.dtype
    x, y, (v, unit), (half, bias), inverse, scale = Operands.of(block, values, shared)
    width = max(ALIGNED, triton.next_power_of_2(max(d, dv)))
    rows, columns, warps, stages = SHAPES[precision, block.dtype, width]
    if (precision, width) == (F32, 256) and not shared:
        stages = 1  # keys and values do not fit twice
    blocks = triton.cdiv(q, rows)
    run = triton.cdiv(min(RUN, max(512, triton.cdiv(n * blocks, PROGRAMS))), columns) * columns
    runs = triton.cdiv(n, run)
    sums = values.new_empty(runs, q, dv)
    totals, squares = values.new_empty(2, runs, q)
    tops = x.new_empty(runs, q, dtype=precision)
    out, square, top = unit.new_empty(q, dv + 1), unit.new_empty(q), unit.new_empty(q)
    with torch.cuda.device_of(x):
        _partial[(blocks, runs)](
            x, inverse, scale, y, v, half, bias,
            block.own if block.own is not None else half, sums, totals, squares, tops,
            q, n, dv, run, y.shape[2], v.shape[2], x.stride(0), y.stride(0), v.stride(0),
            D=max(ALIGNED, triton.next_power_of_2(d)), DV=max(ALIGNED, triton.next_power_of_2(dv)),
            BM=rows, BN=columns, OWN=block.own is not None, HIDDEN=MASKED, SHARED=one,
            SPLIT_Y=len(y) == 2, SPLIT_V=len(v) == 2, num_warps=warps, num_stages=stages,
        )  # fmt: skip
        _together[(q,)](sums, totals, squares, tops, unit, out, square, top, q, dv, runs,
                        DV=triton.next_power_of_2(dv), RUNS=32, SPLIT_V=len(v) == 2)  # fmt: skip
    return out, square, top


@triton.jit
@no_type_check
def _partial(
    x, inverse, unit, y, v, half, bias, own, sums, totals, squares, tops,
    q, n, dv, run, y_row, v_row, x_part, y_part, v_part,
    D: tl.constexpr, DV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, OWN: tl.constexpr,
    HIDDEN: tl.constexpr, SHARED: tl.constexpr, SPLIT_Y: tl.constexpr, SPLIT_V: tl.constexpr,
):  # fmt: skip
    """A block of queries (axis 0) down a run of keys (axis 1)."""
    i = tl.program_id(0) * BM + tl.arange(0, BM)
    first = tl.program_id(1) * run
    inside = i < q
    c, e = tl.arange(0, D), tl.arange(0, DV)
    at_x = x + i[:, None] * y_row + c[None, :]
    points = tl.load(at_x, mask=inside[:, None] & (c < y_row)[None, :], other=0.0)
    scale = tl.load(inverse + i, mask=inside, other=0.0)
    if SPLIT_Y:
        details = tl.load(at_x + x_part, mask=inside[:, None] & (c < y_row)[None, :], other=0.0)
        size = tl.load(unit + i, mask=inside, other=0.0)
    if OWN:
        self_key = tl.load(own + i, mask=inside, other=-1)
    kind: tl.constexpr = sums.dtype.element_ty
    top = tl.full((BM,), float("-inf"), tops.dtype.element_ty)
    total = tl.zeros((BM,), kind)
    square = tl.zeros((BM,), kind)
    sum_v = tl.zeros((BM, DV), kind)
    for start in range(first, tl.minimum(first + run, n), BN):
        j = start + tl.arange(0, BN)
        seen = j < n
        at = y + j.to(tl.int64)[:, None] * y_row + c[None, :]
        there = seen[:, None] & (c < y_row)[None, :]
        middle = tl.load(half + j, mask=seen, other=0.0)
        weight = tl.load(bias + j, mask=seen, other=0.0)
        keys = tl.load(at, mask=there, other=0.0)
        if SPLIT_Y:
            rest = tl.load(at + y_part, mask=there, other=0.0)
            logits = product(points, details, tl.trans(keys), tl.trans(rest)) * size[:, None]
        else:
            logits = tl.dot(points, tl.trans(keys), out_dtype=tl.float64)
        logits += scale[:, None] * middle[None, :] + weight[None, :]
        logits = tl.where(seen[None, :], logits, HIDDEN)
        if OWN:
            logits = tl.where(self_key[:, None] == j[None, :], HIDDEN, logits)
        larger = tl.maximum(top, tl.max(logits, 1))
        fade = tl.exp((top - larger).to(kind))
        w = tl.exp((logits - larger[:, None]).to(kind))
        total = total * fade + tl.sum(w, 1)
        square = square * fade * fade + tl.sum(w * w, 1)
        at_v = v + j.to(tl.int64)[:, None] * v_row + e[None, :]
        there_v = seen[:, None] & (e < v_row)[None, :]
        if SHARED:
            values = keys
        else:
            values = tl.load(at_v, mask=there_v, other=0.0)
        if SPLIT_V:
            if SHARED:
                more = rest
            else:
                more = tl.load(at_v + v_part, mask=there_v, other=0.0)
            leading, small = split(w)
            sum_v = sum_v * fade[:, None] + product(leading, small, values, more)
        else:
            sum_v = sum_v * fade[:, None] + tl.dot(w, values, out_dtype=tl.float64)
        top = larger
    place = tl.program_id(1) * q + i
    tl.store(totals + place, total, mask=inside)
    tl.store(squares + place, square, mask=inside)
    tl.store(tops + place, top, mask=inside)
    out = sums + place.to(tl.int64)[:, None] * dv + e[None, :]
    tl.store(out, sum_v, mask=inside[:, None] & (e < dv)[None, :])


@triton.jit
@no_type_check
def _together(
    sums, totals, squares, tops, unit, out, square, top, q, dv, runs,
    DV: tl.constexpr, RUNS: tl.constexpr, SPLIT_V: tl.constexpr,
):  # fmt: skip
    """The runs of one query, some at a time, in float64."""
    i = tl.program_id(0)
    e, r = tl.arange(0, DV), tl.arange(0, RUNS)
    high = tl.full((RUNS,), float("-inf"), tops.dtype.element_ty)
    for first in range(0, runs, RUNS):
        at = tops + (first + r) * q + i
        high = tl.maximum(high, tl.load(at, mask=first + r < runs, other=float("-inf")))
    highest = tl.max(high)
    sum_v = tl.zeros((DV,), tl.float64)
    total = tl.zeros((RUNS,), tl.float64)
    sum_w2 = tl.zeros((RUNS,), tl.float64)
    for first in range(0, runs, RUNS):
        place, there = (first + r) * q + i, first + r < runs
        fade = tl.exp(tl.load(tops + place, mask=there, other=float("-inf")) - highest)
        fade = fade.to(tl.float64)
        rows = sums + place.to(tl.int64)[:, None] * dv + e[None, :]
        some = tl.load(rows, mask=there[:, None] & (e < dv)[None, :], other=0.0).to(tl.float64)
        sum_v += tl.sum(fade[:, None] * some, 0)
        total += fade * tl.load(totals + place, mask=there, other=0.0).to(tl.float64)
        sum_w2 += fade * fade * tl.load(squares + place, mask=there, other=0.0).to(tl.float64)
    if SPLIT_V:
        sum_v *= tl.load(unit + e, mask=e < dv, other=0.0) / LARGEST
    row = out + i.to(tl.int64) * (dv + 1)
    tl.store(row + e, sum_v, mask=e < dv)
    tl.store(row + dv, tl.sum(total))
    tl.store(square + i, tl.sum(sum_w2))
    tl.store(top + i, highest.to(tl.float64))
