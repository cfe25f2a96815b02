r"""Points in bfloat16, whose products some processors make twice as fast and more.

Points keep eight bits, and what each one loses is measured. Minus half its squared norm stands
beside it in three numbers, which keep 24. So products of the rows of two tables are

.. math:: x \cdot y - |x|^2 / 2 - |y|^2 / 2 = -|x - y|^2 / 2,

summed in float32 and then rounded to eight bits: those of the distance, however large points are.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core import products
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint, Vector
from wasserscore.kernel.stream import tile_bytes

LEAST = 64
"""Columns from which on such products pay: what points lose is small beside their distances."""
PIECES = 3
"""Numbers that half a squared norm is split in."""
ALIGNED = 32
"""A table has a multiple of so many columns, with zeros at the end."""
EPS = torch.finfo(torch.bfloat16).eps
"""Twice the relative error of a rounded number."""


def middle(y: Cloud) -> Vector:
    """The mean of rows ``(n, d)``, float64, without a copy of all."""
    parts = tiles(len(y), max(1, tile_bytes(y) // (8 * y.shape[1])))
    return torch.stack([y[part].double().sum(0) for part in parts]).sum(0) / len(y)


def pays(y: Cloud) -> bool:
    """Whether products with such points are much faster than others."""
    return not y.is_cuda and y.shape[1] >= LEAST and products.has_halves()


class Halved(NamedTuple):
    """Points in bfloat16, about a centre.

    Args:
        table: Points, and what their products need besides, ``(n, c)``.
        norm: Norms of the points, ``(n,)``, float64.
        lost: Norms of what rounding took from them, ``(n,)``, float64.
    """

    table: Tensor
    norm: PerPoint
    lost: PerPoint

    @classmethod
    def of(
        cls, points: Cloud, centre: Vector, radii: PerPoint | None = None, *, second: bool = False
    ) -> "Halved":
        """Points ``(n, d)`` as the first or the second factor of products.

        With ``radii`` r, half of r² is added to products: they are positive inside of balls.
        """
        n, d = points.shape
        columns = d + 2 * PIECES
        table = torch.zeros(n, columns + -columns % ALIGNED, dtype=torch.bfloat16)
        norm, lost = centre.new_empty(2, n)
        for part in tiles(n, max(1, tile_bytes(points) // (8 * d))):
            here, centred = table[part], points[part] - centre
            here[:, :d] = centred
            norm[part] = centred.norm(dim=1)
            lost[part] = (centred - here[:, :d]).norm(dim=1)
            rest = norm[part].square() / -2
            if radii is not None:
                rest += radii[part].square() / 2
            for column in range(d, columns, 2):
                here[:, column + second] = rest
                here[:, column + 1 - second] = 1.0
                rest = rest - here[:, column + second]
        return cls(table, norm, lost)

    def off(self, norm: float, lost: float) -> PerPoint:
        """What products with another table may be off before they are rounded, ``(n,)``.

        Args:
            norm: The largest norm of the other points.
            lost: The largest norm of what these lost.
        """
        summed = rounding(self.norm, norm, self.table.shape[1], torch.float32) / 2
        off = (self.norm + self.lost) * lost + self.lost * norm + summed
        largest = torch.finfo(torch.float32).max / 16
        return off.masked_fill((self.norm + norm).square() > largest, torch.inf)


def rounding(norm: PerPoint, radius: float, columns: int, dtype: torch.dtype) -> PerPoint:
    """What squared distances may be off by sums of products, ``(b,)``.

    Args:
        norm: Of each query, float64.
        radius: The largest norm of a key.
        columns: Terms of a product; there are four more roundings, of all numbers in it.
        dtype: In which it is summed.
    """
    terms, digits = max(16, columns + 4), torch.finfo(dtype)
    # what is smaller than the smallest number is none at all
    return terms * (digits.eps / 2 * (norm + radius).square() + 4 * digits.tiny)
