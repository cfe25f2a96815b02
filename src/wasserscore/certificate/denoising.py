r"""What denoising losses add to score-matching losses: the variance of their target.

.. math:: E\,|s - \nabla \log p_{0t}|^2 = b(t) + c(t), \qquad
          c(t) = E \operatorname{tr} \operatorname{Cov}(\nabla \log p_{0t}(x_t | x_0)\,|\,x_t)
               = \frac{\alpha_t^2}{\sigma_t^4} E \operatorname{tr} \operatorname{Cov}(x_0 | x_t),

so b + c, all that a denoising loss sees, makes a weaker bound from the loss alone. In relative
entropy :math:`\tfrac12 \int g^2 c = I(x_0; x_\epsilon) - I(x_0; x_T)`: at most log N for a data
set of N points, and without a limit as :math:`\epsilon \to 0` for a law with a density. Such a
bound stops early.

Source: :cite:p:`kwon2022`, Corollary 3; the mutual information by I-MMSE (Guo, Shamai and Verdu).
"""

import torch

from wasserscore.core.errors import require
from wasserscore.core.random import normal_like
from wasserscore.core.typing import PerPoint, ScoreFn
from wasserscore.score.base import ClosedFormScore


def denoising_variance(
    reference: ClosedFormScore, t: float, n: int, *, generator: torch.Generator
) -> PerPoint:
    """Draws whose mean is c(t), non-negative, shape (n,).

    Args:
        reference: The law; its own smoothing counts as data.
        t: A time with noise.
        n: Number of draws.
        generator: Where they come from.

    Raises:
        InputError: At a time without noise, where the target has no variance to speak of.
    """
    return denoising_squares(reference, reference, t, n, generator=generator)


@torch.no_grad()
def denoising_squares(
    score: ScoreFn, reference: ClosedFormScore, t: float, n: int, *, generator: torch.Generator
) -> PerPoint:
    r"""Draws of :math:`|s(x_t) + z / \sigma_t|^2`, whose mean is b(t) + c(t), shape (n,).

    Args:
        score: The model.
        reference: The law of the data.
        t: A time with noise.
        n: Number of draws.
        generator: Where they come from; the same state gives the same points for every score.

    Raises:
        InputError: At a time without noise.
    """
    alpha, sigma = float(reference.process.alpha(t)), float(reference.process.sigma(t))
    require(sigma > 0, "a denoising target needs noise", got=f"t={t}", do="stop early")
    x0 = reference.sample_marginal(n, generator=generator)
    z = normal_like(x0, generator)
    return (score(alpha * x0 + sigma * z, t) + z / sigma).flatten(1).square().sum(1)
