r"""A Gaussian mixture as the data's stand-in: where steps see modes, not one wide Gaussian.

Late steps see the component a sample ends in, early ones only the whole cloud. The directions of
every component :math:`N(m_j, C_j)`, with weight :math:`\pi_j`, are stacked below those of the
global Gaussian, and each runs its own exact recursion:

.. math:: W_2^2(K) \approx W_2^2(K)\bigl[N(m, C)\bigr]
          + \sum_j \pi_j\, W_2^2(K)\bigl[N(m_j, C_j)\bigr] .

That says where to look. A solver without noise is then run on the mixture's own score
(:mod:`wasserscore.planner.rehearsal`), because samples that end in the wrong mode are in neither
term. Source: our derivation; the sum over components alone follows from :cite:p:`gao2025`,
section 5, for modes that are far apart.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points
from wasserscore.data import Scaling
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import VE
from wasserscore.score import GaussianScore, MixtureScore

COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of components that are compared by the Bayesian information criterion."""
FLOOR = 1e-6
"""Smallest variance of a component, in units of the largest variance of a column."""


def fit_mixture(points: Any, scaling: Scaling | None = None) -> MixtureScore:
    """A mixture of full Gaussians, as many as the Bayesian information criterion asks for.

    Args:
        points: ``(n, ...)``, in the coordinates in which the model is trained.
        scaling: The model's way back to data units.

    Raises:
        InputError: If there are fewer than 20 points, or all are the same.
    """
    from sklearn.mixture import GaussianMixture

    rows = as_points(points, minimum=20).flatten(1).to("cpu", torch.float64).numpy()
    n, d = rows.shape
    floor = FLOOR * float(rows.var(0).max())
    require(floor > 0, "the data must not be a single point", got="zero variance")
    fits = [
        GaussianMixture(k, reg_covar=floor, n_init=2, random_state=0).fit(rows)
        for k in COMPONENTS
        if k == 1 or 2 * k * (d + 1) <= n
    ]
    best = min(fits, key=lambda fit: float(fit.bic(rows)))
    tensor = lambda value: torch.from_numpy(np.asarray(value, dtype=np.float64))
    weights, means, covariances = map(tensor, (best.weights_, best.means_, best.covariances_))
    return MixtureScore(weights, means, covariances, VE.constant(a=1.0), scaling=scaling)


def stacked(law: MixtureScore, n: int | None = None) -> Surrogate:
    """The directions of the global Gaussian and of every component, weighted.

    Args:
        law: The mixture, in the coordinates that the process sees.
        n: How many points it was fitted to; None where it is exact.
    """
    whole, shares = Surrogate.of(law), law.law.log_weights.exp().tolist()
    parts = [whole]
    for share, mean, covariance in zip(shares, law.means, law.law.dense(), strict=True):
        if len(shares) > 1:
            part = Surrogate.of(GaussianScore(mean, covariance, law.process, scaling=law.scaling))
            shared = None if part.frames is None else share**0.5 * part.frames
            parts.append(replace(part, weights=share * part.weights, frames=shared))
    frames = [part.frames for part in parts if part.frames is not None]
    source = f"a mixture of {len(shares)} Gaussians"
    source += "" if n is None else f" fitted to {n} points"
    return replace(
        whole, n=n, source=source, width=whole.spread,
        mean=torch.cat([part.mean for part in parts]),
        eigenvalues=torch.cat([part.eigenvalues for part in parts]),
        weights=torch.cat([part.weights for part in parts]),
        frames=torch.cat(frames) if frames else None,
    )  # fmt: skip
