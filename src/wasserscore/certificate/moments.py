r"""The exact distance for Gaussian laws and linear scores: moments carried through the sampler.

With :math:`s(x, t) = J_t x + c_t` and a step :math:`x_s = e\,x_t + q\,s(x_t, t) + \sqrt n\,z`,

.. math:: m_s = (e + q J) m_t + q c, \qquad V_s = (e + q J) V_t (e + q J)^T + n I,

so the sampler's output is Gaussian with known moments, and W2 to a Gaussian reference is a
formula: no Monte Carlo, no constant, discretisation and start included.

Source: the recursion is elementary.
"""

import torch
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import Bound, Proposal, Run
from wasserscore.certificate.reference import data_units
from wasserscore.core.results import Estimate
from wasserscore.distance import w2_gaussian
from wasserscore.score import GaussianScore
from wasserscore.score.base import ClosedFormScore


def exact_moments(run: Run) -> list[Proposal]:
    """The distance itself, where reference and score are Gaussian and the solver is affine."""
    coupling = run.coupling
    linear = isinstance(coupling.score, GaussianScore) and coupling.solver.coefficients is not None
    if not (linear and isinstance(coupling.reference, GaussianScore)):
        return []

    def prove(level: float) -> Bound:
        assert isinstance(coupling.score, GaussianScore)
        truth = _data_units(coupling.reference, *coupling.reference.moments())
        found = _data_units(coupling.score, *output_moments(coupling, coupling.score))
        value = w2_gaussian(*truth, *found) + sum(a.limit for a in run.fixed if a.name != "stop")
        return Bound(value, Estimate(value), "deterministic", "Gaussian laws, by their moments")

    return [Proposal("exact moments", prove, limits=0)]


def output_moments(coupling: Coupling, score: GaussianScore) -> tuple[Tensor, Tensor]:
    """Mean and covariance of what the sampler returns, in the score's own units."""
    grid, process = coupling.grid, coupling.reference.process
    alpha, sigma = (float(v(grid.start)) for v in (process.alpha, process.sigma))
    mean, covariance = (m.double() for m in coupling.reference.moments())
    eye = torch.eye(len(mean)).to(mean)
    started = float(coupling.start == "reference")
    mean, covariance = (
        started * alpha * mean,
        started * alpha**2 * covariance + sigma**2 * eye,
    )
    assert coupling.solver.coefficients is not None
    for _, t, s in grid.pairs():
        e, q, n = (float(c) for c in coupling.solver.coefficients(process, t, s, coupling.eta))
        offset = score(torch.zeros_like(eye[:1]), t)[0]
        step = e * eye + q * (score(eye, t) - offset).mT
        mean = step @ mean + q * offset
        covariance = step @ covariance @ step.mT + max(n, 0.0) * eye
    return mean, covariance


def _data_units(score: ClosedFormScore, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    mean, covariance = mean.double(), covariance.double()
    scale = data_units(score, mean)
    shift = 0.0 if score.scaling is None else score.scaling.shift.to(mean)
    return scale * mean + shift, scale[:, None] * covariance * scale
