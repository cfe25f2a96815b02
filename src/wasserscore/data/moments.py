"""Mean, variance and range of rows that are read part by part, in one pass."""

import math
from typing import Any, NamedTuple

import torch

from wasserscore.core.errors import require
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Vector

CHUNK_NUMBERS = 2**20
"""Numbers that one streaming pass reads at a time, 8 MiB in float64: larger arrays are mapped anew
by the system every time, which took most of the pass."""


class Moments(NamedTuple):
    """Of all rows and every coordinate, model units, float64."""

    mean: Vector
    variance: Vector  # divided by n
    square: float  # mean of all squares
    low: Vector
    high: Vector


def moments_of(rows: Any) -> Moments:
    r"""Mean, variance and range of every coordinate, in one pass.

    With chunks a and b, :math:`M = \sum (x - \bar x)^2` and
    :math:`\delta = \bar x_b - \bar x_a`,

    .. math:: \bar x = \bar x_a + \delta \frac{n_b}{n}, \qquad
              M = M_a + M_b + \delta^2 \frac{n_a n_b}{n}.

    Source: Chan, Golub and LeVeque (1983), eq. (2.1).

    Args:
        rows: Points ``(n, *shape)`` on disk: they have a shape, and slices of them are tensors.

    Raises:
        InputError: If a number is missing or not finite.
    """
    d = math.prod(rows.shape[1:])
    mean, squares, square, seen = torch.zeros(d).double(), torch.zeros(d).double(), 0.0, 0
    low, high = torch.full((2, d), math.inf).double() * torch.tensor([[1.0], [-1.0]])
    for part in tiles(len(rows), max(1, CHUNK_NUMBERS // d)):
        x = rows[part].flatten(1).double()
        here, total = x.mean(0), seen + len(x)
        require(bool(torch.isfinite(here).all()), "a mapped file must be finite in every cell",
                got=f"NaN or infinity in rows {part.start} to {part.stop - 1}",
                do="drop or fill these cells")  # fmt: skip
        low, high = low.minimum(x.amin(0)), high.maximum(x.amax(0))
        apart = here - mean
        mean = mean + apart * (len(x) / total)
        square += (float(x.square().mean()) - square) * (len(x) / total)
        squares += x.sub_(here).square_().sum(0) + apart**2 * (seen * len(x) / total)
        seen = total
    return Moments(mean, squares / seen, square, low, high)
