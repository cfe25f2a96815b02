"""Problems made to break a certificate: each once had a rung below the true distance.

All are Gaussian with affine scores, so that the truth is exact. Names begin with the defect: B1 a
grid below the horizon, B2 two scalings, B3 a solver without an eta law, B4 a wrong constant, B5
structure between fixed nodes.
"""

import math
from collections.abc import Callable

import torch
from tests.problems.base import Problem
from tests.problems.gaussian import truth

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import OneSided, from_concavity
from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, VP
from wasserscore.sampling.churn import heun_churn
from wasserscore.score import GaussianScore

F64 = torch.float64
LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)
UNIT = VP.constant(beta=1.0, horizon=2.0)


def line(mean: float, variance: float, process, scaling=None) -> GaussianScore:
    """N(mean, variance) on the line."""
    return GaussianScore(torch.tensor([mean], dtype=F64), torch.tensor([[variance]], dtype=F64),
                         process, scaling=scaling)  # fmt: skip


def slope(value: Callable, kind: str = "stated") -> OneSided:
    return OneSided(lambda t: value(t) * torch.ones_like(t), kind)


def marginal_variance(process, variance):
    return lambda t: process.alpha(t) ** 2 * variance + process.variance(t)


def late_start(process, start: float, name: str) -> Problem:
    """The true score, a grid that begins far below the horizon: all of the error is the start."""
    score, v = line(2.0, 0.25, process), marginal_variance(process, 0.25)
    grid = TimeGrid(torch.linspace(start, 0, 61, dtype=F64))
    return Problem(f"B1 {name}", score, score, truth, "exponential", 60, grid, 1.0,
                   options={"constant": slope(lambda t: -1 / v(t))})  # fmt: skip


def two_scalings() -> Problem:
    """One scaled law, two units: the laws differ by a factor of two."""
    scale = lambda k: Scaling(torch.zeros(1, dtype=F64), torch.tensor([k], dtype=F64))
    reference, model = (line(0.0, 1.0, UNIT, scale(k)) for k in (2.0, 1.0))
    return Problem("B2 different scalings", model, reference, lambda _: 1.0, "exponential", 100,
                   "uniform", 1.0, options={"constant": slope(lambda t: -1.0)})  # fmt: skip


def churned(churn: float) -> Problem:
    """A sampler whose limit is not the law of its eta."""
    reference, v = line(1.0, 0.25, LINEAR), marginal_variance(LINEAR, 0.25)
    model = lambda x, t: -(1.3 / v(t)) * (x - LINEAR.alpha(t))
    return Problem(f"B3 churn {churn:g}", model, reference, truth, heun_churn(churn), 100,
                   "karras", 1.0, options={"constant": slope(lambda t: -1.3 / v(t))})  # fmt: skip


def wrong_constant(constant: OneSided, name: str) -> Problem:
    """A model much less contractive than the constant says."""
    reference = line(0.0, 1.0, UNIT)
    return Problem(f"B4 {name}", lambda x, t: 0.3 * reference(x, t), reference, truth,
                   "exponential", 40, "uniform", 1.0, "reference",
                   options={"constant": constant, "n": 512})  # fmt: skip


def bump(eta: float) -> Problem:
    """An error that is only there between two nodes of a fixed quadrature."""
    ratio = float(UNIT.noise_to_signal(UNIT.horizon)) ** 0.5
    t = UNIT.time_at(torch.linspace(1e-4 ** (1 / 7), ratio ** (1 / 7), 65, dtype=F64) ** 14)
    middle, width = float((t[50] + t[51]) / 2), float(t[51] - t[50]) / 8
    reference = line(0.0, 1.0, UNIT)

    def model(x, t):
        away = (torch.as_tensor(t, dtype=F64) - middle) / width
        return reference(x, t) + 2 * torch.exp(-(away**2) / 2)

    return Problem(f"B5 bump, eta {eta:g}", model, reference, truth, "exponential", 400,
                   "uniform", eta, "reference",
                   options={"constant": slope(lambda t: -1.0)})  # fmt: skip


def thin(eta: float) -> Problem:
    """A smooth error and a thin law: more than fixed nodes resolve."""
    process = EDM(sigma_max=80.0)
    reference, v = line(0.0, 1e-4, process), marginal_variance(process, 1e-4)
    model = lambda x, t: reference(x, t) + 0.2
    return Problem(f"B5 thin law, eta {eta:g}", model, reference, truth, "exponential", 400,
                   "karras", eta, "reference",
                   options={"constant": slope(lambda t: -1 / v(t))})  # fmt: skip


def problems() -> list[Problem]:
    edm = EDM(sigma_max=80.0)
    of_truth = from_concavity(LogConcave(1.0, 1.0), UNIT)
    return [
        late_start(LINEAR, 0.15, "late start, VP"),
        late_start(edm, 1.0, "late start, EDM"),
        two_scalings(),
        churned(0.1),
        wrong_constant(of_truth, "the reference's constant for the model's"),
        wrong_constant(slope(lambda t: -1.0), "a constant stated too small"),
        wrong_constant(slope(lambda t: -math.e, "analytic"), "an impossible constant"),
        bump(1.0),
        bump(0.0),
        thin(0.0),
    ]
