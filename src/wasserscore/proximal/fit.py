r"""Fit the Wasserstein-proximal kernel score: every choice by held-out likelihood.

The family is a mixture with one centre per row and covariances

.. math:: \Sigma_i = \text{shrink} \cdot V_i \Lambda_i V_i^T + \text{floor} \cdot S,

V and Lambda from local principal components, S the diagonal leave-one-out kernel covariance: the
floor is scaled per column. Its settings, and the choice between it and plain kernel densities,
maximise the 5-fold cross-validated log-likelihood with everything rebuilt inside the folds;
leaving one point out without rebuilding would leak it through its neighbours' covariances. A floor
is always there: without one the likelihood of an anisotropic kernel is unbounded, whether or not
fit points and centres are disjoint.

Source: :cite:p:`zhang2024` sections 4.1, 4.2 for the model; local principal components instead of
a trained precision network.
"""

from collections.abc import Sequence
from typing import Any, overload

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_points
from wasserscore.data import Scaling
from wasserscore.process.base import Process, require_process
from wasserscore.proximal.axes import principal_axes, turned_axes
from wasserscore.proximal.choose import TUNING_ROWS, choose, tried
from wasserscore.proximal.memory import require_room
from wasserscore.proximal.network_fit import NETWORKS
from wasserscore.proximal.sample_rows import distinct, least_variance
from wasserscore.proximal.tuning import METHODS
from wasserscore.score.latent import LatentScore
from wasserscore.score.proximal import ProximalScore


@overload
def fit_proximal(
    points: Any,
    process: Process,
    *,
    method: str = "auto",
    fit_points: Any = None,
    turn: Sequence[int] | None = None,
    seed: int = 0,
    scaling: Scaling | None = None,
) -> ProximalScore: ...


@overload
def fit_proximal(
    points: Any,
    process: Process,
    *,
    method: str = "auto",
    latent: int | float,
    whiten: bool = False,
    seed: int = 0,
    scaling: Scaling | None = None,
) -> LatentScore: ...


def fit_proximal(
    points: Any,
    process: Process,
    *,
    method: str = "auto",
    fit_points: Any = None,
    latent: int | float | None = None,
    whiten: bool = False,
    turn: Sequence[int] | None = None,
    seed: int = 0,
    scaling: Scaling | None = None,
) -> ProximalScore | LatentScore:
    """A proximal kernel score of the points, with its choice explained in ``.fit_report``.

    Lattice data (grey levels, counts) should come dequantised; if not, no kernel gets thinner
    than the lattice. Rows that came several times count as one centre with their weight.

    Args:
        points: ``(n, *shape)``, at least three different rows.
        process: The forward process of the score.
        method: "auto" tries all of: "local_pca", "isotropic", "columns", "full" (the last three
            are kernel densities), and "analysers" (a mixture of factor analysers) where rows
            are fewer than 50 or more than 1500. "network" is the paper's precision network,
            trained by implicit score matching, "network_likelihood" the same by likelihood; both
            for few columns. On 200 points "network" took about 45 times as long as "auto" and
            explained held-out points less well (``benchmarks/proximal.md``), so both are left
            out there.
        fit_points: ``(m, *shape)``, for the networks only: points to train on, the centres
            staying ``points``. Without them every step splits ``points`` anew in two halves.
        latent: Fit on so many principal axes, or on those that hold this share of the variance
            (a number below one); the other directions get isotropic noise of their own variance,
            so that the density stays one in all coordinates. None fits the points as they are.
        whiten: Whether the axes are scaled to unit variance for the fit.
        turn: Columns that are fitted along their principal axes, scaled to unit variance; the
            others stay as they are. For columns that are hardly ever apart, among many others.
        seed: Decides the folds (and the rows for tuning, if there are more than 1500).
        scaling: Stored with the score.

    Returns:
        The score; with ``latent`` a :class:`~wasserscore.score.LatentScore` of it.

    Raises:
        InputError: For no process, an unknown method, points that cannot be fitted, or a fit that
            needs more memory than there is.
    """
    require_process(process)
    names = ("auto", *METHODS, *NETWORKS)
    require(method in names, f"method must be one of {', '.join(names)}", got=repr(method))
    require(fit_points is None or (method in NETWORKS and latent is None),
            "only the networks take fit_points, and on the points as they are",
            got=f"method={method!r}, latent={latent!r}", do="method='network'")  # fmt: skip
    require(latent is not None or not whiten, "whiten scales principal axes, and there are none",
            got="latent=None", do="say how many axes with latent=")  # fmt: skip
    require(turn is None or (latent is None and fit_points is None),
            "turn takes the points as they are, and all of their directions",
            got=f"latent={latent!r}", do="leave out one of them")  # fmt: skip
    x = as_points(points, minimum=2)
    n, d = len(x), x[0].numel()
    candidates = tried(method, n, d) if latent is None else ("principal axes",)
    require_room(n, d, candidates, TUNING_ROWS)
    rows, shape = distinct(x)
    streams = Streams(seed).child("fit_proximal")
    if latent is None and turn is None:
        law, report = choose(rows, method, streams, fit_points)
        return ProximalScore(law.centres, law.covariance, process, law.weights, shape, scaling,
                             report)  # fmt: skip
    least = least_variance(rows)
    if turn is None:
        assert latent is not None
        axes = principal_axes(rows, latent, least, whiten=whiten)
    else:
        axes = turned_axes(rows, turn, least)
    coordinates = axes.coordinates(rows)
    n, d = coordinates.points.shape
    require_room(n, d, tried(method, n, d), TUNING_ROWS)
    law, report = choose(coordinates, method, streams)
    inner = ProximalScore(
        axes.centres(law.centres), axes.covariance(law.covariance), process, law.weights,
        fit_report=report.on_axes(axes.log_likelihood, axes.note),
    )  # fmt: skip
    score = LatentScore(inner, axes.axes, axes.middle, axes.residual, process, shape, scaling)
    return score if turn is None else score.full()
