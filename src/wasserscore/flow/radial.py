"""Streamed softmax sums of any radial kernel, from exact distances.

Slower than the engine's Gaussian, which is one matrix product: distances are made from
differences, so that a kernel with a cusp sees no rounding. Memory: a few tiles.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import tiles
from wasserscore.kernel import Keys

QUERIES, KEYS = 256, 2048
"""Size of one tile."""
Profile = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Squared distances in squared widths to (log of the kernel, slope)."""


class RadialSums(NamedTuple):
    """Pull ``(b, d)``, log of the mean kernel value ``(b,)``, effective sample size ``(b,)``."""

    pull: Tensor
    log_mean: Tensor
    ess: Tensor


def radial_sums(
    z: Tensor, keys: Keys, sigma: float, profile: Profile, leave_one_out: bool = False
) -> RadialSums:
    r"""Sums :math:`\sum_j w_j g_j (y_j - z)` with :math:`w` the softmax of the kernel's log.

    Args:
        z: Queries ``(b, d)``.
        keys: The cloud; its log weights are not used.
        sigma: The width.
        profile: The kernel.
        leave_one_out: Query i does not see key i.

    Raises:
        InputError: For a width that is not positive, or no key to see.
    """
    require(0 < sigma < math.inf, "sigma must be positive and finite", got=sigma)
    seen = len(keys) - leave_one_out
    require(seen > 0, "leave_one_out needs two points", got=len(keys))
    paired = not leave_one_out or len(z) == len(keys)
    require(paired, "leave_one_out needs as many queries as keys",
            got=f"{len(z)} queries and {len(keys)} keys")  # fmt: skip
    parts = [_block(z[rows].double(), keys, sigma, profile, rows.start if leave_one_out else None)
             for rows in tiles(len(z), QUERIES)]  # fmt: skip
    pull, log_sum, ess = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return RadialSums(pull.to(z.dtype), (log_sum - math.log(seen)).to(z.dtype), ess.to(z.dtype))


def _block(
    z: Tensor, keys: Keys, sigma: float, profile: Profile, first: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """One block of queries; query i leaves out key ``first + i``."""
    y = keys.points.double() - keys.centre
    z = z - keys.centre
    top = z.new_full((len(z),), -torch.inf)
    total, squares, slopes = torch.zeros_like(top), torch.zeros_like(top), torch.zeros_like(top)
    sums = torch.zeros_like(z)
    for run in tiles(len(y), KEYS):
        r = torch.cdist(z, y[run], compute_mode="donot_use_mm_for_euclid_dist")
        logs, slope = profile((r / sigma).square())
        if first is not None:
            own = torch.arange(first, first + len(z), device=z.device)
            inside = ((own >= run.start) & (own < run.stop)).nonzero()[:, 0]
            logs[inside, own[inside] - run.start] = -torch.inf
        new = torch.maximum(top, logs.amax(1))
        level = torch.where(new.isfinite(), new, torch.zeros_like(new))  # a run of one hidden key
        fade = (top - level).exp()
        weights = (logs - level[:, None]).exp()
        total = total * fade + weights.sum(1)
        squares = squares * fade.square() + weights.square().sum(1)
        weights = weights * slope
        slopes = slopes * fade + weights.sum(1)
        sums = sums * fade[:, None] + weights @ y[run]
        top = new
    pull = (sums - slopes[:, None] * z) / total[:, None]
    return pull, top + total.log(), total.square() / squares
