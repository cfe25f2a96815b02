"""The convergence theorem as a rung: start, steps and score error of one scheme, a priori.

It is proved for scheme (2.7) alone: Euler steps of the reverse SDE with integrated coefficients
on a uniform grid from the horizon to the data, started in the prior. What it needs to know of the
data is exact for a Gaussian; the score error is asked where the theorem asks it, along the
sampler's own path.
"""

import math

import torch

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.convergence import (
    DataLaw,
    convergence_bound,
    gaussian_time_lipschitz,
)
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import RARE, Bound, Proposal, Run
from wasserscore.certificate.reference import same_units
from wasserscore.certificate.statistics import mean_limit, share
from wasserscore.core.results import Estimate
from wasserscore.score import GaussianScore
from wasserscore.score.base import ClosedFormScore

SCHEME = "integrated_euler"
"""The solver that is scheme (2.7)."""
UNIFORM = 1e-9
"""Relative difference of steps that are the same."""


def converged(run: Run) -> list[Proposal]:
    """The convergence theorem, where the scheme and a Gaussian reference are its own."""
    coupling = run.coupling
    if coupling.solver.name != SCHEME or not isinstance(coupling.reference, GaussianScore):
        return []

    def prove(level: float) -> Bound:
        error = path_error(coupling, run.n, level)
        law = gaussian_law(coupling.reference, error)
        found = convergence_bound(coupling.reference.process, law, coupling.grid.steps)
        scale = coupling.unit
        total = scale * (found.start + found.steps + found.score)
        total += sum(a.limit for a in run.fixed)
        parts = ", ".join(
            f"{name} {scale * value:.3g}"
            for name, value in (("start", found.start), ("steps", found.steps),
                                ("score", found.score))
        )  # fmt: skip
        rests = (RARE, *found.assumptions)
        return Bound(total, Estimate(total, n=run.n), "asymptotic", parts, rests)

    return [Proposal("convergence theorem", prove, obstacle=_obstacle(coupling))]


@torch.no_grad()
def path_error(coupling: Coupling, n: int, level: float) -> float:
    """Upper limit of the largest root-mean-square score error along the sampler's path.

    Args:
        coupling: The sampler.
        n: Number of paths.
        level: Level of the limit, shared by the times (Bonferroni).
    """
    grid, noise = coupling.grid, coupling.noise(n)
    x, advance = coupling.begin(noise), coupling.sampler(coupling.score).stepper()
    each, largest = share(level, grid.steps), 0.0
    for k, t, _ in grid.pairs():
        gap = (coupling.score(x, t) - coupling.reference(x, t)).flatten(1).double()
        squares = gap.square().sum(1).nan_to_num(math.inf, math.inf)
        largest = max(largest, mean_limit(squares, each))
        x = advance(k, x, noise(k))
    return math.sqrt(largest)


def gaussian_law(reference: ClosedFormScore, score_error: float) -> DataLaw:
    """What the theorem needs to know of a Gaussian, exact up to a grid of times."""
    mean, covariance = (m.double() for m in reference.moments())
    eigenvalues, axes = torch.linalg.eigh(covariance)
    rate = gaussian_time_lipschitz(reference.process, axes.mT @ mean, eigenvalues)
    shape = LogConcave(1 / float(eigenvalues[-1]), 1 / float(eigenvalues[0]))
    return DataLaw(shape, reference.dim, math.sqrt(reference.second_moment()), rate, score_error)


def _obstacle(coupling: Coupling) -> str:
    grid = coupling.grid
    steps = -grid.times.diff()
    uniform = bool((steps - steps.mean()).abs().max() <= UNIFORM * steps.mean())
    if coupling.eta != 1 or coupling.start != "prior":
        return "the theorem is for the reverse SDE from the prior"
    if not uniform or grid.stop > 0 or grid.start != coupling.reference.process.horizon:
        return "the theorem is for a uniform grid from the horizon to the data"
    if not same_units(coupling.score, coupling.reference):
        return "score and reference are scaled differently"
    if coupling.reference.least_variance == 0:
        return "the reference has no density"
    return ""
