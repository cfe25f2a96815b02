r"""One pass of a kernel sum on a GPU: logits, online softmax and weighted sum, never in memory.

A program takes a block of queries down one run of keys and keeps its sums in registers; the runs
are put together afterwards by their largest logits. Float32 products are made on TF32 matrix units
from numbers split in two, :math:`a = a_1 + a_2` with eleven bits each, as
:math:`a_1 b_2 + a_2 b_1 + a_1 b_1`: float32's accuracy, several times its speed. Keys are split
once. Logits of the DOUBLE level come from float64 products, which the matrix units of data-centre
GPUs make as fast as other units make float32 ones.

Source: :cite:p:`dao2022`, algorithm 1 (tiles and online softmax), with a kernel's logits.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from wasserscore.kernel.keys import FAST, MASKED
from wasserscore.kernel.stream import Block

RUN = 2**14
"""Most keys of one program: its sums are float32, and rounding grows with their number."""
PROGRAMS = 1024
"""Programs that keep a GPU busy; fewer queries are spread over shorter runs."""
ALIGNED = 16
"""Rows of a table are a multiple of this many numbers long, so that they are loaded whole."""


def fused_sums(block: Block, values: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(sums of (v, 1) ``(q, dv + 1)``, sum of squared weights, largest logit), all float64.

    Args:
        block: Queries on the FAST or the DOUBLE level.
        values: Centred values with a column of ones behind, ``(n, dv + 1)``.
        shared: Whether the values are the keys.
    """
    precision = block.dtype if block.level == FAST else torch.float64
    q, n, d = len(block.x), len(block.keys), block.x.shape[1]
    dv = values.shape[1] - 1
    y, v, (half, bias) = operands(block, values, shared, precision)
    x = torch.nn.functional.pad(block.x * block.inverse[:, None], (0, y.shape[2] - d))
    width = max(ALIGNED, triton.next_power_of_2(max(d, dv)))
    rows, columns, warps, stages = SHAPES[precision, block.dtype, width]
    blocks = triton.cdiv(q, rows)
    run = triton.cdiv(min(RUN, max(512, triton.cdiv(n * blocks, PROGRAMS))), columns) * columns
    runs = triton.cdiv(n, run)
    sums = values.new_empty(runs, q, dv)
    totals, squares = values.new_empty(2, runs, q)
    tops = x.new_empty(runs, q, dtype=precision)
    with torch.cuda.device_of(x):
        _partial[(blocks, runs)](
            x.to(precision), block.inverse.to(precision), y, v, half, bias,
            block.own if block.own is not None else half, sums, totals, squares, tops,
            q, n, dv, run, y.shape[2], v.shape[2], y.stride(0), v.stride(0),
            D=max(ALIGNED, triton.next_power_of_2(d)), DV=max(ALIGNED, triton.next_power_of_2(dv)),
            BM=rows, BN=columns, OWN=block.own is not None, HIDDEN=MASKED,
            SPLIT_Y=len(y) == 2, SPLIT_V=len(v) == 2, num_warps=warps, num_stages=stages,
        )  # fmt: skip
    top = tops.amax(0)
    fade = (tops - top).exp().to(sums.dtype)
    together = torch.einsum("rq,rqd->qd", fade, sums)
    total = (fade * totals).sum(0)
    return (
        torch.cat([together, total[:, None]], 1).double(),
        (fade.square() * squares).sum(0).double(),
        top.double(),
    )


def operands(
    block: Block, values: Tensor, shared: bool, precision: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of the keys, row by row, and of the values, column by column; the keys' scalars.

    Those are minus half the squared norms and the log weights, ``(2, n)``.
    """
    keys = block.keys
    y = keys.prepared(("rows", precision), lambda table: parts(table[:, :-3]))
    if shared:
        v = keys.prepared(("columns", block.dtype), lambda table: parts(table[:, :-3].mT))
    else:
        v = parts(values[:, :-1].mT)
    scalars = keys.prepared(("scalars", precision), lambda t: t[:, [-1, -2]].mT.contiguous())
    return y, v, scalars


def parts(table: Tensor) -> Tensor:
    """A matrix as the sum of its parts, ``(2, r, c)`` in TF32 for float32, else ``(1, r, c)``.

    Rows are padded with zeros to a multiple of ``ALIGNED``.
    """
    table = torch.nn.functional.pad(table, (0, -table.shape[1] % ALIGNED))
    if table.dtype == torch.float64:
        return table[None].contiguous()
    leading = rounded(table)
    return torch.stack([leading, rounded(table - leading)])


def rounded(a: Tensor) -> Tensor:
    """Float32 numbers rounded to the eleven significant bits of TF32."""
    return ((a.contiguous().view(torch.int32) + 2**12) & -(2**13)).view(torch.float32)


F32, F64 = torch.float32, torch.float64
SHAPES = {
    (F32, F32, 16): (64, 64, 4, 2), (F32, F32, 32): (64, 64, 4, 2),
    (F32, F32, 64): (128, 64, 8, 2), (F32, F32, 128): (64, 32, 4, 1),
    (F64, F32, 16): (64, 64, 4, 2), (F64, F32, 32): (64, 64, 4, 2), (F64, F32, 64): (64, 64, 4, 1),
    (F64, F32, 128): (64, 16, 4, 2),
    (F64, F64, 16): (64, 64, 4, 2), (F64, F64, 32): (64, 32, 4, 2), (F64, F64, 64): (64, 32, 4, 2),
    (F64, F64, 128): (32, 32, 4, 2),
}  # fmt: skip
"""Queries and keys of a tile, warps and stages by precision of logits, of sums, and width.

The fastest of two to five tried on an H100 for every case.
"""


@triton.jit
@no_type_check
def _product(a, b, c):
    """A @ b for a float32 ``a``, split here, and the parts ``b + c`` of the other side."""
    leading = (a.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
    out = tl.dot(leading, c, input_precision="tf32")
    out = tl.dot(a - leading, b, out, input_precision="tf32")
    return tl.dot(leading, b, out, input_precision="tf32")


@triton.jit
@no_type_check
def _partial(
    x, scale, y, v, half, bias, own, sums, totals, squares, tops,
    q, n, dv, run, y_row, v_row, y_part, v_part,
    D: tl.constexpr, DV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, OWN: tl.constexpr,
    HIDDEN: tl.constexpr, SPLIT_Y: tl.constexpr, SPLIT_V: tl.constexpr,
):  # fmt: skip
    """A block of queries (axis 0) down a run of keys (axis 1)."""
    i = tl.program_id(0) * BM + tl.arange(0, BM)
    first = tl.program_id(1) * run
    inside = i < q
    c, e = tl.arange(0, D), tl.arange(0, DV)
    points = tl.load(x + i[:, None] * y_row + c[None, :],
                     mask=inside[:, None] & (c < y_row)[None, :], other=0.0)  # fmt: skip
    inverse = tl.load(scale + i, mask=inside, other=0.0)
    if OWN:
        self_key = tl.load(own + i, mask=inside, other=-1)
    kind: tl.constexpr = v.dtype.element_ty
    top = tl.full((BM,), float("-inf"), points.dtype)
    total = tl.zeros((BM,), kind)
    square = tl.zeros((BM,), kind)
    sum_v = tl.zeros((BM, DV), kind)
    for start in range(first, tl.minimum(first + run, n), BN):
        j = start + tl.arange(0, BN)
        seen = j < n
        at = y + j.to(tl.int64)[None, :] * y_row + c[:, None]
        there = seen[None, :] & (c < y_row)[:, None]
        middle = tl.load(half + j, mask=seen, other=0.0)
        weight = tl.load(bias + j, mask=seen, other=0.0)
        keys = tl.load(at, mask=there, other=0.0)
        if SPLIT_Y:
            rest = tl.load(at + y_part, mask=there, other=0.0)
            logits = _product(points, keys, rest)
        else:
            logits = tl.dot(points, keys, out_dtype=tl.float64)
        logits += inverse[:, None] * middle[None, :] + weight[None, :]
        logits = tl.where(seen[None, :], logits, HIDDEN)
        if OWN:
            logits = tl.where(self_key[:, None] == j[None, :], HIDDEN, logits)
        larger = tl.maximum(top, tl.max(logits, 1))
        fade = tl.exp((top - larger).to(kind))
        w = tl.exp((logits - larger[:, None]).to(kind))
        total = total * fade + tl.sum(w, 1)
        square = square * fade * fade + tl.sum(w * w, 1)
        at_v = v + e.to(tl.int64)[None, :] * v_row + j[:, None]
        there_v = (j < v_row)[:, None] & (e < dv)[None, :]
        values = tl.load(at_v, mask=there_v, other=0.0)
        if SPLIT_V:
            more = tl.load(at_v + v_part, mask=there_v, other=0.0)
            sum_v = sum_v * fade[:, None] + _product(w, values, more)
        else:
            sum_v = sum_v * fade[:, None] + tl.dot(w, values, out_dtype=tl.float64)
        top = larger
    place = tl.program_id(1) * q + i
    tl.store(totals + place, total, mask=inside)
    tl.store(squares + place, square, mask=inside)
    tl.store(tops + place, top, mask=inside)
    out = sums + place.to(tl.int64)[:, None] * dv + e[None, :]
    tl.store(out, sum_v, mask=inside[:, None] & (e < dv)[None, :])
