r"""The maximum mean discrepancy with a Gaussian kernel.

.. math:: MMD^2(p, q) = E k(X, X') + E k(Y, Y') - 2 E k(X, Y),
          \qquad k(x, y) = \exp(-|x - y|^2 / (2 h^2))
"""

import sys
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.distance.clouds import as_cloud, as_clouds, distances, in_unit
from wasserscore.distance.pairs import jackknife, pair_sums

HEURISTIC_POINTS = 1000


def mmd(x: Any, y: Any, *, bandwidth: float | None = None) -> Estimate:
    """The unbiased estimate of the *squared* MMD between two independent samples.

    Self pairs are left out, so its mean is the MMD of the laws at any n, and it can be negative
    when they are close; a cloud compared with itself gives -(2/n)(1 - mean k). Jackknife
    standard error.

    Source: Gretton et al., A kernel two-sample test, 2012, lemma 6, eq. (3).

    Args:
        x: Points ``(n, *shape)``, data units.
        y: Points ``(m, *shape)``.
        bandwidth: Kernel width h in data units; None takes :func:`median_bandwidth` of both
            clouds together. Fix it to compare several models.

    Raises:
        InputError: On bad clouds, fewer than three points, or a bandwidth that is not positive.
    """
    x, y = as_clouds(x, y, minimum=3)
    h = median_bandwidth(x, y) if bandwidth is None else bandwidth
    require(0 < h < float("inf"), "bandwidth must be positive and finite", got=h)
    unit, (x, y) = in_unit(x.double(), y.double())
    width = max(h / unit, sys.float_info.min)
    s = pair_sums(lambda r: (r / width).square().div(-2).exp(), x, y)
    n, m = len(x), len(y)
    xx, yy = s.xx - 1, s.yy - 1
    A, B, C = xx.sum(), yy.sum(), s.xy.sum()
    within_x, within_y = A / (n * (n - 1)), B / (m * (m - 1))
    without_x = (A - 2 * xx) / ((n - 1) * (n - 2)) + within_y - 2 * (C - s.xy) / ((n - 1) * m)
    without_y = within_x + (B - 2 * yy) / ((m - 1) * (m - 2)) - 2 * (C - s.yx) / (n * (m - 1))
    return Estimate(
        float(within_x + within_y - 2 * C / (n * m)),
        stderr=jackknife(without_x, without_y),
        n=min(n, m),
        units=f"squared kernel units, bandwidth {h:.4g}",
    )


def median_bandwidth(*clouds: Any) -> float:
    """The median distance of distinct points of all clouds, from at most 1000 of each.

    Which rows are taken depends on the sizes only, so the order of the clouds does not matter.

    Raises:
        InputError: When all points coincide: no width can be read from them.
    """
    points = torch.cat([_some(as_cloud(c, "points").double()) for c in clouds])
    unit, (points,) = in_unit(points)
    r = distances(points, points)
    r = r[r > 0]
    require(r.numel() > 0, "the median distance needs two different points",
            got="all points equal", do="pass bandwidth")  # fmt: skip
    return unit * float(r.median())


def _some(x: Tensor) -> Tensor:
    """All rows, or ``HEURISTIC_POINTS`` of them without replacement."""
    if len(x) <= HEURISTIC_POINTS:
        return x
    generator = Streams(0).generator("median bandwidth")
    return x[torch.randperm(len(x), generator=generator)[:HEURISTIC_POINTS]]
