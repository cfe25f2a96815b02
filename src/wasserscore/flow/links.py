r"""Diffusion samplers as score-difference steps of one particle.

Where every particle is its own source, :math:`q = \delta_x` and :math:`z = x + \sigma \epsilon`,
the source's denoiser is ``x`` itself, so :math:`\sigma^2` times the score difference is
:math:`D_p(z) - x`: no interaction is left, and a step of the right length is a sampler's step:

.. math:: x' = x + (1 - (s / \sigma)^{1 + \eta^2})\,(D_p(z) - x), \qquad z' = x' + s\,\epsilon',
          \qquad \epsilon' = (s / \sigma)^{\eta^2} \epsilon + \sqrt{1 - (s / \sigma)^{2 \eta^2}}\,n

is DDIM (Euler in sigma) at :math:`\eta = 0` and ancestral sampling (DDPM) at :math:`\eta = 1`,
with fresh noise n. The noise must stay correlated: all of it afresh is another, wrong sampler.

Source: :cite:p:`weber2023` (the claim); :cite:p:`song2021ddim`, :cite:p:`ho2020` (the samplers).
"""

import math

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.flow.sides import Side


def diffusion_step(
    x: Tensor,
    noise: Tensor,
    target: Side,
    sigma: float,
    lower: float,
    *,
    eta: float = 0.0,
    fresh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One sampler step from noise level ``sigma`` down to ``lower``, written as a flow of ``x``.

    Args:
        x: Clean particles ``(n, d)``; the sampler's points are ``x + sigma * noise``.
        noise: Standard normal, like ``x``.
        target: The law to sample.
        sigma: Noise level of the points.
        lower: Where to go, smaller.
        eta: Stochasticity.
        fresh: Standard normal, like ``x``; not used at ``eta = 0``.

    Returns:
        The new clean particles and their noise: the points are ``x' + lower * noise'``.

    Raises:
        InputError: If the level does not fall, or noise is missing.
    """
    require(0 <= lower < sigma, "the noise level must fall", got=f"{sigma} to {lower}")
    require(eta == 0 or fresh is not None, "eta > 0 needs fresh noise", got=None)
    z = x + sigma * noise
    # the score difference of a source that is the particle itself: its pull at z is x - z
    difference = target(z, sigma).pull - (x - z)
    ratio = lower / sigma
    x = x + (1 - ratio ** (1 + eta**2)) * difference
    if eta == 0 or fresh is None:
        return x, noise
    kept = ratio ** (eta**2)
    return x, kept * noise + math.sqrt(1 - kept**2) * fresh
