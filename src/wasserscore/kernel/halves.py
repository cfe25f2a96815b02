r"""Float32 products on the 16-bit matrix units of a GPU, from numbers split in two.

A column (of queries, a row) is :math:`2^e (a_1 + a_2)` with :math:`a_1` its entries rounded to
float16's eleven bits and :math:`a_2` what is left, rounded likewise: 22 bits, with sizes from
:math:`2^{14}` down to float16's smallest number, 38 bits below. Of a product of two such matrices
three of four terms count. Those of TF32 have as many bits, take twice the memory, and are made
half as fast.
"""

from typing import NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from wasserscore.kernel.stream import Block

ALIGNED = 16
"""Rows of a table are a multiple of this many numbers long, so that they are loaded whole."""
LARGEST = tl.constexpr(2.0**14)
"""Of the entries of halves; four times as much would overflow."""
SMALLEST = -100
"""Exponent of a column; of still smaller numbers float32 does not hold the unit."""


class Parts(NamedTuple):
    """A matrix in the form that matrix units take.

    Args:
        table: Its two halves ``(2, r, c)``, or itself ``(1, r, c)`` in float64; c is a multiple of
            ``ALIGNED``, with zeros behind.
        unit: Powers of two that the halves are multiples of, ``(1, c)``, or by row ``(r, 1)``.
    """

    table: Tensor
    unit: Tensor

    @classmethod
    def of(cls, matrix: Tensor, precision: torch.dtype, *, by_row: bool = False) -> "Parts":
        """In halves where float32 is asked for, with a unit for every column, or every row."""
        if spare := -matrix.shape[1] % ALIGNED:
            matrix = torch.nn.functional.pad(matrix, (0, spare))
        if precision == torch.float64:
            whole = matrix.to(precision)[None].contiguous()
            return cls(whole, whole.new_ones(1, matrix.shape[1]))
        size = torch.linalg.vector_norm(matrix, torch.inf, int(by_row), keepdim=True)
        exponent = torch.frexp(size).exponent.clamp_min(SMALLEST)
        unit = torch.exp2(exponent.double()) / LARGEST.value
        matrix = matrix / unit.to(matrix.dtype)
        table = matrix.new_empty(2, *matrix.shape, dtype=torch.float16)
        table[0] = matrix
        table[1] = matrix.sub_(table[0])
        return cls(table, unit)


class Operands(NamedTuple):
    """What the kernels take.

    Args:
        x: Queries over sigma squared, in the units of the keys' columns, row by row.
        y: Keys.
        v: Values, without their column of ones.
        scalars: Minus half the squared norms of the keys and their log weights, ``(2, n)``.
        inverse: One over sigma squared, ``(q,)``.
        unit: What products of the halves of queries and keys are multiples of, ``(q,)``; where
            these are not halved, nothing.
    """

    x: Tensor
    y: Tensor
    v: Parts
    scalars: Tensor
    inverse: Tensor
    unit: Tensor

    @classmethod
    def of(cls, block: Block, values: Tensor, shared: bool) -> "Operands":
        """Of queries and values ``(n, dv + 1)``, which may be the keys (``shared``)."""
        precision, keys = block.precision, block.keys

        def kept(dtype: torch.dtype) -> Parts:
            return keys.prepared(("parts", dtype), lambda t: Parts.of(t[:, :-3], dtype))

        y = kept(precision)
        scaled = block.x * block.inverse[:, None] * y.unit[:, : block.x.shape[1]]
        x = Parts.of(scaled, precision, by_row=True)
        v = kept(block.dtype) if shared else Parts.of(values[:, :-1], block.dtype)
        scalars = keys.prepared(("scalars", precision), lambda t: t[:, [-1, -2]].mT.contiguous())
        inverse, unit = block.inverse.to(precision), x.unit.flatten().to(precision)
        return cls(x.table, y.table, v, scalars, inverse, unit)


@triton.jit
@no_type_check
def split(a):
    """Both halves of float32 numbers from 0 to 1, times LARGEST."""
    a = a * LARGEST
    leading = a.to(tl.float16)
    return leading, (a - leading.to(tl.float32)).to(tl.float16)


@triton.jit
@no_type_check
def product(a, a_rest, b, b_rest):
    """(a + a_rest) @ (b + b_rest), the smallest term left out."""
    out = tl.dot(a_rest, b)
    out = tl.dot(a, b_rest, out)
    return tl.dot(a, b, out)
