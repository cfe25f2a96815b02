"""What every distance takes: two clouds of flat points, with or without weights."""

import math
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points, require_alike, tiles

FEW = 8
"""Up to so many coordinates differences are faster than products."""
ORDINARY = 200
"""Powers of two, up or down, within which sums of squares keep all their digits."""
LARGE, SMALL = 1e150, 1e-150
"""Sizes of a cloud between which squared distances are numbers."""
NEAR = 1e-4
"""Squared distance, in squared sizes of the clouds, below which products lose too many digits."""

CACHED = 2**18
"""Differences that are taken at once: 2 MiB, which stay in a processor's cache."""


def as_cloud(x: Any, name: str, *, minimum: int = 1) -> Tensor:
    """Points ``(n, *shape)`` (tensor, array or DataFrame) as a detached cloud ``(n, d)``."""
    return as_points(x, name, minimum=minimum).flatten(1)


def as_clouds(
    x: Any, y: Any, *, minimum: int = 1, names: tuple[str, str] = ("x", "y")
) -> tuple[Tensor, Tensor]:
    """Two clouds in the same space: on x's device, in the wider of the two dtypes.

    Args:
        x: Points ``(n, *shape)``.
        y: Points ``(m, *shape)``.
        minimum: Fewest points.
        names: What the caller calls them.

    Raises:
        InputError: When a cloud is not finite numbers, too small, or the dimensions differ; and of
            images, when their axes do.
    """
    require_alike(**dict(zip(names, (x, y), strict=True)))
    first, second = (as_cloud(cloud, name, minimum=minimum)
                     for cloud, name in zip((x, y), names, strict=True))  # fmt: skip
    require(
        first.shape[1] == second.shape[1],
        "both clouds must have the same dimension",
        got=f"{first.shape[1]} and {second.shape[1]}",
        do="compare the same columns",
    )
    dtype = torch.promote_types(first.dtype, second.dtype)
    return first.to(dtype), second.to(first.device, dtype)


def in_unit(*clouds: Tensor) -> tuple[float, list[Tensor]]:
    """Clouds in a unit in which squares neither overflow nor vanish, and the unit: mostly one.

    Else it is an even power of two near the largest entry, so no digit changes.
    """
    exponent = math.frexp(_size(*clouds))[1]
    if abs(exponent) <= ORDINARY:
        return 1.0, list(clouds)
    unit = math.ldexp(1.0, max(-1000, min(1000, exponent // 2 * 2)))
    return unit, [cloud / unit for cloud in clouds]


def require_squares(*clouds: Tensor) -> None:
    """Refuse clouds of a size at which squared distances are no numbers any more.

    Raises:
        InputError: On a largest entry beyond :data:`LARGE`, or below :data:`SMALL` and not zero.
    """
    size = _size(*clouds)
    require(size == 0 or SMALL <= size <= LARGE, "the largest coordinate must be between "
            f"{SMALL:.0e} and {LARGE:.0e}, for squares are summed", got=f"{size:.3g}",
            do="give the points in another unit")  # fmt: skip


def _size(*clouds: Tensor) -> float:
    return max(float(cloud.abs().max()) for cloud in clouds)


def as_weights(weights: Any, n: int, name: str) -> Tensor:
    """Weights of ``n`` points as float64 with sum one; ``None`` means equal weights.

    Raises:
        InputError: On a wrong length, a negative or infinite weight, or no mass at all.
    """
    if weights is None:
        return torch.full((n,), 1 / n, dtype=torch.float64)
    w = torch.as_tensor(weights).detach().to("cpu", torch.float64)
    require(w.shape == (n,), f"{name} must have one weight per point, {n}", got=tuple(w.shape))
    require(
        bool(torch.isfinite(w).all() and (w >= 0).all() and w.sum() > 0),
        f"{name} must be finite, non-negative and not all zero",
        got=f"smallest {w.min().item()}, sum {w.sum().item()}",
    )
    return w / w.sum()


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (n, m), right to about 1e-11 each: exactly zero for equal rows.

    In more than a few coordinates from |x|^2 + |y|^2 - 2xy, which is faster but loses the digits
    of a small distance between large points; the near pairs come from differences.
    """
    if x.shape[1] > FEW:
        centre = x.mean(0)
        a, b = x - centre, y - centre
        half_a, half_b = (c.square().sum(1) / 2 for c in (a, b))
        squares = torch.addmm(half_a[:, None] + half_b, a, b.mT, alpha=-1).mul_(2)
        i, j = (squares <= NEAR * (half_a.max() + half_b.max())).nonzero(as_tuple=True)
        if len(i) <= squares.numel() // FEW:
            for part in tiles(len(i), max(1, CACHED // x.shape[1])):
                a, b = i[part], j[part]
                squares[a, b] = (x[a] - y[b]).square().sum(1)
            return squares.sqrt_()
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def variance_of_mean(values: Tensor, weights: Tensor) -> float:
    """Variance of the weighted mean of ``values (n,)``, from their spread (Kish's effective n)."""
    mean = weights @ values
    return float((weights @ (values - mean).square()) * weights.square().sum())
