r"""The kernel Stein discrepancy: how far a cloud is from a law known by its score alone.

With a radial kernel :math:`k = \varphi(v)`, :math:`v = |x - x'|^2 / h^2`, and the score s of q,

.. math:: KSD^2(p, q) = E\, u(X, X'), \qquad
          u(x, x') = \varphi\, s \cdot s'
              - \frac{2 \varphi'}{h^2} (s - s') \cdot (x - x')
              - \frac{4 v \varphi'' + 2 d \varphi'}{h^2},

where X, X' are independent draws of p. Neither samples nor the normalising constant of q enter.
"""

from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.results import Estimate
from wasserscore.core.tensors import as_points, tiles
from wasserscore.distance.clouds import as_cloud, require_squares
from wasserscore.distance.mmd import median_bandwidth
from wasserscore.distance.pairs import jackknife, symmetric_sums

BATCH = 4096
"""Points at which a callable score is asked at once."""


def _gaussian(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    k = (v / -2).exp()
    return k, k / -2, k / 4


def _inverse_multiquadric(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    k = (1 + v).rsqrt()
    cube = k**3
    return k, cube / -2, cube * k.square() * 0.75


KERNELS = {"imq": _inverse_multiquadric, "gaussian": _gaussian}
"""The profile of each kernel and its first two derivatives."""


def ksd(
    x: Any,
    score: Any,
    *,
    kernel: str = "imq",
    bandwidth: float | None = None,
    statistic: str = "u",
) -> Estimate:
    """The *squared* kernel Stein discrepancy of a cloud from the law with this score.

    The inverse multiquadric kernel ``(1 + |x - x'|^2 / h^2)^(-1/2)`` sees mass that has escaped to
    where the law has none; the Gaussian ``exp(-|x - x'|^2 / 2 h^2)`` misses it in many dimensions.
    Both are blind to the weights of modes that are far apart. In float64, in tiles: memory does
    not grow with n^2. Jackknife standard error.

    Source: Liu, Lee and Jordan, A kernelized Stein discrepancy for goodness-of-fit tests, 2016,
    theorem 3.6 and eq. (14); Gorham and Mackey, Measuring sample quality with kernels, 2017
    (inverse multiquadric).

    Args:
        x: Points ``(n, *shape)``, data units.
        score: Gradient of the log density at the points, shaped like them; or a callable that
            gives it for a batch of points, ``lambda x: model(x, t)``.
        kernel: ``"imq"`` or ``"gaussian"``.
        bandwidth: Kernel width h, data units; None takes :func:`median_bandwidth` of ``x``. Fix it
            to compare several clouds.
        statistic: ``"u"`` leaves self pairs out: its mean is the discrepancy at any n, zero under
            the law itself, so it can be negative. ``"v"`` counts them: never negative, biased.

    Raises:
        InputError: On bad points or scores, fewer than three points, or unknown settings.
    """
    require(kernel in KERNELS, "unknown kernel", got=repr(kernel),
            do=f"use one of {', '.join(KERNELS)}")  # fmt: skip
    require(statistic in ("u", "v"), "statistic must be u or v", got=repr(statistic))
    z = as_points(x, "x", minimum=3)
    s = _scores(z, score)
    z = as_cloud(z, "x").double()
    require_squares(z)
    h = median_bandwidth(z) if bandwidth is None else bandwidth
    require(0 < h < float("inf"), "bandwidth must be positive and finite", got=h)
    (n, d), z = z.shape, (z - z.mean(0)) / h
    half, own = z.square().sum(1) / 2, (s * z).sum(1)
    left, right = torch.cat([z, s], 1), torch.cat([s, z], 1)

    def steins(i: slice, j: slice) -> Tensor:
        v = torch.addmm(half[i, None] + half[j], z[i], z[j].mT, alpha=-1).mul_(2).clamp_min_(0)
        k, slope, curve = KERNELS[kernel](v)
        apart = torch.addmm(own[i, None] + own[j], left[i], right[j].mT, alpha=-1)
        bent = (curve.mul_(v).mul_(2) + slope * d).mul_(2 / h**2)
        return (k * (s[i] @ s[j].mT)).sub_(slope.mul_(apart).mul_(2 / h)).sub_(bent)

    _, slope, _ = KERNELS[kernel](half.new_zeros(()))
    self_pairs = s.square().sum(1) - 2 * d * slope / h**2
    rows = symmetric_sums(steins, n, z) - self_pairs
    if statistic == "u":
        value, without = rows.sum() / (n * (n - 1)), (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    else:
        total = (rows + self_pairs).sum()
        value, without = total / n**2, (total - 2 * rows - self_pairs) / (n - 1) ** 2
    return Estimate(
        float(value),
        stderr=jackknife(without),
        n=n,
        units=f"1 / squared data units, {kernel} kernel of bandwidth {h:.4g}",
    )


def _scores(x: Tensor, score: Any) -> Tensor:
    """The scores at the points as a cloud, float64."""
    if callable(score):
        require(not hasattr(score, "process"), "score must be a function of points alone",
                got=f"{type(score).__name__}, which is asked at a time",
                do="pass lambda x: score(x, t)")  # fmt: skip
        score = torch.cat([score(x[part]) for part in tiles(len(x), BATCH)])
    s = as_cloud(score, "score").to(x.device, torch.float64)
    require(s.shape == x.flatten(1).shape, "score needs one vector per point, shaped like x",
            got=tuple(s.shape))  # fmt: skip
    return s
