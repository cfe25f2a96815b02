"""The theorem for Gaussian laws and affine scores, in its sharper forms: no Monte Carlo.

With matrices in place of one constant (*matrix form*), and with the error projected on gradient
fields, of which alone a distance between laws takes notice (*projected error*). Both are bounds on
the sampler of infinitely many steps; what its grid adds is exact too, by moments.

Source: :mod:`wasserscore.certificate.linear` and docs/theory/certificate.md.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from wasserscore.certificate.affine import AffineScore, affine
from wasserscore.certificate.base import Assumption
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.linear import COARSE, Array, LinearGaussian, LinearLadder
from wasserscore.certificate.moments import known, output_moments, start_moments
from wasserscore.certificate.proposal import Bound, Proposal, Run
from wasserscore.certificate.theorem_rungs import obstacle
from wasserscore.core.results import Estimate
from wasserscore.distance import w2_gaussian
from wasserscore.score import GaussianScore

SLACK = 1e-6
"""Relative error that the integration in time may have."""
LARGEST = 32
"""Dimensions beyond which the matrix equations cost more than the coupling."""
AFFINE = Assumption("Gaussian reference, affine score", "checked", "by their types")


def linear(run: Run) -> list[Proposal]:
    """Matrix form and projected error, beside the theorem's other rungs."""
    coupling = run.coupling
    score = affine(coupling.score)
    if run.constant is None or score is None or not isinstance(coupling.reference, GaussianScore):
        return []
    solved = cache(lambda: _solved(coupling, score))
    scale = coupling.unit

    def rung(name: str, note: str, pick: Callable[[LinearLadder], float]) -> Proposal:
        def prove(level: float) -> Bound:
            found, gap, status = solved()
            limit = scale * (pick(found) * (1 + SLACK) + gap) + sum(a.limit for a in run.fixed)
            rests = (AFFINE, Assumption("the run is affine in start and noise", status))
            return Bound(limit, Estimate(limit), "deterministic",
                         f"{note}; {scale * gap:.3g} of it for the steps", rests)  # fmt: skip

        return Proposal(name, prove, limits=0, obstacle=_obstacle(run))

    return [
        rung("theorem, matrix form", "a matrix in place of the constant", lambda f: f.matrix),
        rung("theorem, projected error", "gradient part of the error", lambda f: f.projected),
    ]


def linear_problem(coupling: Coupling, score: AffineScore) -> LinearGaussian:
    """The continuous-time sampler of an affine score against a Gaussian reference."""
    process, grid = coupling.reference.process, coupling.grid
    mean, covariance = (_array(m) for m in coupling.reference.moments())
    started, spread = (_array(m) for m in start_moments(coupling))
    return LinearGaussian(
        process, mean, covariance,
        lambda t: -_array(score.slope(t)), lambda t: _array(score.offset(t)),
        started, spread, eta=coupling.eta, stop=grid.stop, begin=grid.start,
    )  # fmt: skip


def _solved(coupling: Coupling, score: AffineScore) -> tuple[LinearLadder, float, str]:
    """All rungs and the distance of the actual output from the continuous one, scaled units."""
    found = linear_problem(coupling, score).ladder(solver=COARSE)
    mean, covariance, status = output_moments(coupling, score)
    limit = torch.from_numpy(found.mean), torch.from_numpy(found.covariance)
    return found, w2_gaussian(*limit, mean, covariance), status


def _obstacle(run: Run) -> str:
    coupling = run.coupling
    if coupling.reference.dim > LARGEST:
        return f"more than {LARGEST} dimensions"
    if not known(coupling):
        return "the sampler's moments are not known"
    return obstacle(run)


def _array(x: Tensor) -> Array:
    return x.double().cpu().numpy()
