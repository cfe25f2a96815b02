"""Kernel densities with cross-validated bandwidths, as closed-form scores."""

from typing import Any

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.proximal.bandwidth import KINDS
from wasserscore.proximal.fit import fit_proximal
from wasserscore.score.empirical import EmpiricalScore
from wasserscore.score.proximal import ProximalScore


def fit_kernel(
    points: Any,
    process: Process,
    *,
    kind: str = "isotropic",
    seed: int = 0,
    scaling: Scaling | None = None,
) -> EmpiricalScore | ProximalScore:
    """The kernel density of the points whose bandwidths explain held-out points best.

    The shape of the kernel comes from leave-one-out likelihood, its size from 5-fold
    cross-validation with the shape found again inside each fold.

    Args:
        points: ``(n, *shape)``.
        process: The forward process of the score.
        kind: "isotropic" gives an :class:`EmpiricalScore` with that bandwidth; "columns" (one
            bandwidth per column) and "full" (a covariance) give a :class:`ProximalScore`.
        seed: Decides the folds.
        scaling: Stored with the score.

    Raises:
        InputError: For an unknown kind, or points that cannot be fitted.
    """
    require(kind in KINDS, f"kind must be one of {', '.join(KINDS)}", got=repr(kind))
    score = fit_proximal(points, process, method=kind, seed=seed, scaling=scaling)
    if kind != "isotropic":
        return score
    bandwidth = float(score.covariance.floor[0].sqrt())
    return EmpiricalScore(as_points(points), process, bandwidth=bandwidth, scaling=scaling)
