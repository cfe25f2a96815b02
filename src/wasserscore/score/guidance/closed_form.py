r"""The posterior of a mixture of Gaussians given a linear measurement: again one.

.. math:: w_i' \propto w_i N(y;\, A m_i,\, S_i), \quad m_i' = m_i + K_i (y - A m_i), \quad
          C_i' = C_i - K_i S_i K_i^T, \qquad S_i = A C_i A^T + \sigma_y^2 I, \quad
          K_i = C_i A^T S_i^{-1}
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import symmetric
from wasserscore.score.empirical import EmpiricalScore
from wasserscore.score.grouped import GroupedScore
from wasserscore.score.guidance.posterior import Posterior
from wasserscore.score.latent import LatentScore
from wasserscore.score.mixture import ComponentScore
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

MAX_NUMBERS = 2**28
"""Covariances hold at most this many numbers (2 GiB in float64)."""

SINGULAR = 1e-7
"""Deviations of a measurement that differ by more have lost all digits."""


class _Gaussians(NamedTuple):
    """Log weights ``(k,)``, means ``(k, d)``, and a covariance each or one for all."""

    log_weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Float[Tensor, "one_or_k d d"]


def exact_posterior(score: Any, operator: Any, y: Tensor, noise_std: float) -> ProximalScore:
    """The law of the points that a closed-form score describes, given a measurement.

    What :class:`Posterior` approximates, for every score, is exact here.

    Args:
        score: A Gaussian, mixture, empirical, proximal or latent score.
        operator: As for :class:`Posterior`, and so are the others.
        y: What was measured, once, data units.
        noise_std: Its noise, data units; 0 where every component's measurement has a density.

    Returns:
        A mixture with the process, shape and scaling of the score.

    Raises:
        InputError: If the score has no closed form or too many covariances, or the measurement
            does not fit or needs noise.
    """
    approximate = Posterior(score, operator, y, noise_std)
    measured, y = approximate.measured, approximate.y
    prior = _gaussians(score)
    means, covariances = prior.means.double(), prior.covariances.double()
    unit = torch.eye(means.shape[1]).to(means)
    a = (measured(unit) - measured(torch.zeros_like(unit))).flatten(1).mT
    root, failed = torch.linalg.cholesky_ex(
        symmetric(a @ covariances @ a.mT) + noise_std**2 * torch.eye(len(a)).to(a)
    )
    sides = torch.diagonal(root, dim1=-2, dim2=-1)
    singular = failed.bool() | (sides.amin(-1) <= SINGULAR * sides.amax(-1))
    require(not bool(singular.any()), "the measurement of every component needs a density",
            got=f"noise_std={noise_std} and a singular covariance",
            do="state some noise")  # fmt: skip
    gap = (y.to(means) - measured(means)).flatten(1)[..., None]
    gap = torch.linalg.solve_triangular(root, gap, upper=False)
    gain = torch.linalg.solve_triangular(root, a @ covariances, upper=False)
    shares = (
        prior.log_weights.double() - gap.square().sum((1, 2)) / 2 - sides.log().sum(-1)
    ).softmax(0)
    kept = shares > torch.finfo(prior.means.dtype).tiny
    moved = (means + (gain.mT @ gap)[..., 0])[kept].to(prior.means)
    after = symmetric(covariances - gain.mT @ gain).to(prior.means)
    spiked = (
        Spiked.dense(after[kept])
        if len(after) == len(means)
        else Spiked.pooled(len(moved), after[0], len(unit))
    )
    return ProximalScore(moved, spiked, score.process, weights=shares[kept].to(moved),
                         shape=score.shape, scaling=score.scaling)  # fmt: skip


def _gaussians(score: Any) -> _Gaussians:
    """What the law of a closed-form score is made of."""
    if isinstance(score, LatentScore):
        return _gaussians(score.full())
    if isinstance(score, GroupedScore):
        _require_room(score.components * score.dim**2)  # each of its own, once groups are joined
        groups = [_gaussians(law) for law in score.laws]
        return _Gaussians(
            torch.cat([g.log_weights + w for g, w in
                       zip(groups, score.weights.log(), strict=True)]),
            torch.cat([g.means for g in groups]),
            torch.cat([g.covariances.expand(len(g.means), -1, -1) for g in groups]),
        )  # fmt: skip
    require(isinstance(score, ComponentScore | EmpiricalScore | ProximalScore),
            "the score must be a mixture in closed form", got=type(score).__name__,
            do="use ws.guidance.Posterior")  # fmt: skip
    n, d = score.components, score.dim
    one = isinstance(score, EmpiricalScore) or (
        isinstance(score, ProximalScore) and score.covariance.rank == 0
    )
    _require_room(d * d * (1 if one else n))
    if isinstance(score, ComponentScore):
        return _Gaussians(score.law.log_weights, score.law.means, score.law.dense())
    if isinstance(score, EmpiricalScore):
        points = score.keys.points
        covariance = score.least_variance * torch.eye(d).to(points)
        return _Gaussians(points.new_zeros(n), points, covariance[None])
    each = [score.covariance.covariance(i) for i in range(1 if one else n)]
    return _Gaussians(score.law.weights.log(), score.centres, torch.stack(each))


def _require_room(numbers: int) -> None:
    require(numbers <= MAX_NUMBERS, f"covariances must hold at most {MAX_NUMBERS} numbers",
            got=numbers, do="use ws.guidance.Posterior, or fit fewer centres")  # fmt: skip
