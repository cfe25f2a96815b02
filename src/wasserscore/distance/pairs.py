"""Two-sample statistics that are means over pairs: streamed row sums and their jackknife.

Energy distance and MMD are the same statistic of three sums over pairs: x with x, y with y, and
x with y. No n x m array is kept; the sums per point also give the standard error for free.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.distance.clouds import distances

SIDE = 512
"""Points on each side of a tile: 2 MB of pairs, which stay in a processor's cache."""


class PairSums(NamedTuple):
    """Sums of h(|a - b|) per point: each x over the x's, each y over the y's, and across."""

    xx: Tensor
    yy: Tensor
    xy: Tensor
    yx: Tensor


def pair_sums(h: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> PairSums:
    """Row sums, in float64, of ``h`` of the distances of all pairs, self pairs included."""
    x, y = x.double(), y.double()
    xx = symmetric_sums(lambda i, j: h(distances(x[i], x[j])), len(x), x)
    yy = symmetric_sums(lambda i, j: h(distances(y[i], y[j])), len(y), y)
    xy, yx = x.new_zeros(len(x)), y.new_zeros(len(y))
    for i in tiles(len(x), SIDE):
        for j in tiles(len(y), SIDE):
            values = h(distances(x[i], y[j]))
            xy[i] += values.sum(1)
            yx[j] += values.sum(0)
    return PairSums(xx, yy, xy, yx)


def symmetric_sums(values: Callable[[slice, slice], Tensor], n: int, like: Tensor) -> Tensor:
    """Row sums of a symmetric table, ``(n,)``, of which only the tiles on one side are asked.

    Args:
        values: The table between two runs of points.
        n: Number of points.
        like: Gives dtype and device.
    """
    sums = like.new_zeros(n)
    for i in tiles(n, SIDE):
        for j in tiles(i.stop, SIDE):
            tile = values(i, j)
            sums[i] += tile.sum(1)
            if j.start < i.start:
                sums[j] += tile.sum(0)
    return sums


def jackknife(*without: Tensor) -> float:
    """Standard error from the statistic without each point in turn, one tensor per sample.

    Its expectation is at least the true variance for statistics of pairs (Efron and Stein 1981),
    also where the first-order term vanishes because both laws are the same.
    """

    def variance(values: Tensor) -> Tensor:
        n = len(values)
        return (n - 1) / n * (values - values.mean()).square().sum()

    return math.sqrt(sum(float(variance(values)) for values in without))
