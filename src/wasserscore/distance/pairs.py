"""Two-sample statistics that are means over pairs: streamed row sums and their jackknife.

Energy distance and MMD are the same statistic of three sums over pairs: x with x, y with y, and
x with y. No n x m array is kept; the sums per point also give the standard error for free.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.distance.clouds import distances

TILE_BYTES = 2**25


class PairSums(NamedTuple):
    """Sums of h(|a - b|) per point: each x over the x's, each y over the y's, and across."""

    xx: Tensor
    yy: Tensor
    xy: Tensor
    yx: Tensor


def pair_sums(h: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> PairSums:
    """Row sums, in float64, of ``h`` of the distances of all pairs, self pairs included."""
    x, y = x.double(), y.double()
    (xx, _), (yy, _), (xy, yx) = _sums(h, x, x), _sums(h, y, y), _sums(h, x, y)
    return PairSums(xx, yy, xy, yx)


def _sums(h: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    rows, over_x = [], y.new_zeros(len(y))
    for part in tiles(len(x), max(1, TILE_BYTES // (8 * len(y)))):
        values = h(distances(x[part], y))
        rows.append(values.sum(1))
        over_x += values.sum(0)
    return torch.cat(rows), over_x


def jackknife(without_x: Tensor, without_y: Tensor) -> float:
    """Standard error from the statistic without each x in turn, and without each y.

    Its expectation is at least the true variance for statistics of pairs (Efron and Stein 1981),
    also where the first-order term vanishes because both laws are the same.
    """

    def variance(values: Tensor) -> Tensor:
        n = len(values)
        return (n - 1) / n * (values - values.mean()).square().sum()

    return math.sqrt(float(variance(without_x) + variance(without_y)))
