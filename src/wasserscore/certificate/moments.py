r"""The exact distance for Gaussian laws and linear scores: moments carried through the sampler.

With :math:`s(x, t) = J_t x + c_t` a step of one evaluation is
:math:`x_s = e\,x_t + q\,s(x_t, t) + \sqrt n\,z`, so

.. math:: m_s = (e + q J) m_t + q c, \qquad V_s = (e + q J) V_t (e + q J)^T + n I .

A whole run of any other method is affine as well, in the start and in every noise: its matrices
are read off from a run of the unit starts and the unit noises of every step, and one of the
origin. Either way the output is Gaussian with known moments, and W2 to a Gaussian reference is a
formula: no Monte Carlo, no constant, discretisation and start included.

Source: the recursion is elementary.
"""

import torch
from torch import Tensor

from wasserscore.certificate.affine import AffineScore, affine
from wasserscore.certificate.base import Assumption
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import Bound, Proposal, Run
from wasserscore.core.results import Estimate
from wasserscore.core.typing import Matrix, Noise, Vector
from wasserscore.data import Scaling
from wasserscore.distance import w2_gaussian
from wasserscore.score import GaussianScore

ROWS = 4096
"""Rows of the largest run that is read off."""
SAME = 1e-8
"""How nearly a run of random numbers must be the affine map that was read off."""


def exact_moments(run: Run) -> list[Proposal]:
    """The distance itself, where reference and score are Gaussian and the run is affine."""
    coupling = run.coupling
    score = affine(coupling.score)
    if score is None or not isinstance(coupling.reference, GaussianScore) or not known(coupling):
        return []

    def prove(level: float) -> Bound:
        reference = coupling.reference
        own = getattr(coupling.score, "scaling", reference.scaling)
        mean, covariance, status = output_moments(coupling, score)
        truth = moments_in_data_units(reference.scaling, *reference.moments())
        found = moments_in_data_units(own, mean, covariance)
        value = w2_gaussian(*truth, *found) + sum(a.limit for a in run.fixed if a.name != "stop")
        rests = (Assumption("the sampler's run is affine in start and noise", status),)
        return Bound(value, Estimate(value), "deterministic", "Gaussian laws, by their moments",
                     rests)  # fmt: skip

    return [Proposal("exact moments", prove, limits=0)]


def known(coupling: Coupling) -> bool:
    """Whether the moments of the sampler's output can be had for an affine score."""
    solver = coupling.solver
    return solver.coefficients is not None or (
        solver.eta_law and solver.noises == 1 and _rows(coupling) <= ROWS
    )


def output_moments(coupling: Coupling, score: AffineScore) -> tuple[Vector, Matrix, str]:
    """Mean and covariance of the sampler's output, and whether they are "checked" or "violated".

    Args:
        coupling: The sampler; :func:`known` must hold.
        score: Its score.
    """
    grid, process = coupling.grid, coupling.reference.process
    mean, covariance = start_moments(coupling)
    eye = torch.eye(len(mean)).to(mean)
    if coupling.solver.coefficients is None:
        return _read_off(coupling, score, mean, covariance)
    for _, t, s in grid.pairs():
        e, q, n = (float(c) for c in coupling.solver.coefficients(process, t, s, coupling.eta))
        step, offset = e * eye + q * score.slope(t), score.offset(t)
        mean = step @ mean + q * offset
        covariance = step @ covariance @ step.mT + max(n, 0.0) * eye
    return mean, covariance, "checked"


def start_moments(coupling: Coupling) -> tuple[Vector, Matrix]:
    """Mean and covariance of what the sampler starts from."""
    process, time = coupling.reference.process, coupling.grid.start
    alpha, sigma = (float(v(time)) for v in (process.alpha, process.sigma))
    mean, covariance = (m.double().cpu() for m in coupling.reference.moments())
    started = float(coupling.start == "reference")
    noise = sigma**2 * torch.eye(len(mean)).to(mean)
    return started * alpha * mean, started * alpha**2 * covariance + noise


def moments_in_data_units(
    scaling: Scaling | None, mean: Tensor, covariance: Tensor
) -> tuple[Vector, Matrix]:
    """Moments in data units from those in scaled units."""
    mean, covariance = mean.double(), covariance.double()
    if scaling is None:
        return mean, covariance
    scale = torch.ones_like(mean) * scaling.scale.to(mean)
    return scale * mean + scaling.shift.to(mean), scale[:, None] * covariance * scale


def _rows(coupling: Coupling) -> int:
    """Rows to read off: the origin, the unit starts, the unit noises."""
    noisy = coupling.grid.steps if coupling.eta > 0 else 0
    return 1 + coupling.reference.dim * (1 + noisy)


def _read_off(
    coupling: Coupling, score: AffineScore, mean: Vector, covariance: Matrix
) -> tuple[Vector, Matrix, str]:
    """The moments from one run of units and one of the origin.

    The run of units is without the score's offset: beside a mean far from zero, or data far from
    unit scale, what becomes of a unit would be lost to rounding. Beside the origin goes a row of
    random numbers, to compare.
    """
    d, rows = len(mean), _rows(coupling)
    eye, generator = torch.eye(d, dtype=torch.float64), coupling.streams.generator("moments")
    random = torch.randn((rows - 1) // d, d, generator=generator, dtype=torch.float64)

    def unit(k: int) -> Tensor:
        z = torch.zeros(rows - 1, d, dtype=torch.float64)
        z[d * k : d * (k + 1)] = eye
        return z

    def run(law: AffineScore, start: Tensor, noise: Noise) -> Tensor:
        sampler = coupling.sampler(law)
        return sampler.run(start, noise if sampler.stochastic else None)

    linear = score._replace(offset=lambda t: torch.zeros_like(mean))
    moves = run(linear, unit(0), lambda k: unit(k + 1))
    beside = lambda row: torch.stack([torch.zeros_like(row), row])
    origin, drawn = run(score, beside(random[0]), lambda k: beside(random[k + 1]))
    expected = origin + random.flatten() @ moves
    off = (drawn - expected).norm() / expected.norm().clamp_min(1e-300)
    A, N = moves[:d], moves[d:]
    status = "checked" if float(off) <= SAME else "violated"
    return mean @ A + origin, A.mT @ covariance @ A + N.mT @ N, status
