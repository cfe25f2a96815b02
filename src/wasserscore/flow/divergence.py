r"""Weights of the score difference: one field, many divergences and many GAN losses.

With :math:`r = q / p` the Wasserstein gradient flow of :math:`\int p f(r)` has the velocity
:math:`r f''(r) (\nabla \log p - \nabla \log q)`: every f-divergence moves particles along the
score difference, with a weight of its own. So does a GAN's generator at the optimal discriminator
:math:`D = p / (p + q) = 1 / (1 + r)`: ascending :math:`h(D(x))` moves ``x`` along
:math:`c(x)` times the score difference.

======================  =========================  ==========================================
name                    weight c                   what it is
======================  =========================  ==========================================
reverse_kl              1                          f = r log r; the logit log D - log(1-D)
forward_kl              1 / r                      f = -log r; ascending p/q = exp(logit)
chi_squared             2 r                        f = (r - 1)^2
jensen_shannon          1 / (2 (1 + r))            f = (r log r - (r+1) log((r+1)/2)) / 2
gan_saturating          D                          ascending -log(1 - D)
gan_non_saturating      1 - D                      ascending log D
gan_least_squares       D (1 - D)^2                ascending -(D - 1)^2 / 2
gan_discriminator       D (1 - D)                  ascending D
======================  =========================  ==========================================

Source: :cite:p:`weber2023` (the claim); the constants are checked by automatic differentiation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from wasserscore.core.errors import require

LARGEST_LOG_RATIO = 20.0
"""Log ratios are cut here, where a weight could only push a particle out of sight."""

WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "reverse_kl": torch.ones_like,
    "forward_kl": lambda log_r: (-log_r).exp(),
    "chi_squared": lambda log_r: 2 * log_r.exp(),
    "jensen_shannon": lambda log_r: (-log_r).sigmoid() / 2,
    "gan_saturating": lambda log_r: (-log_r).sigmoid(),
    "gan_non_saturating": lambda log_r: log_r.sigmoid(),
    "gan_least_squares": lambda log_r: (-log_r).sigmoid() * log_r.sigmoid().square(),
    "gan_discriminator": lambda log_r: (-log_r).sigmoid() * log_r.sigmoid(),
}


def known_divergence(name: str) -> str:
    """``name``, if there is such a weight.

    Raises:
        InputError: If there is not.
    """
    require(name in WEIGHTS, "unknown divergence", got=repr(name),
            do=f"use one of {', '.join(WEIGHTS)}")  # fmt: skip
    return name


def weight(name: str, log_ratio: Tensor) -> Tensor:
    r"""The weight at :math:`\log r = \log q - \log p`, ``(b,)``.

    Args:
        name: A row of the table.
        log_ratio: Log of q over p.
    """
    clipped = log_ratio.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    return WEIGHTS[known_divergence(name)](clipped)
