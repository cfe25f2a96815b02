"""Theorem 1 on problems whose error and constant are known functions of time."""

import math

import pytest
import torch
from scipy.integrate import quad

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import OneSided, from_concavity
from wasserscore.certificate.continuous import continuous_bound, log_weight_integral
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.expansion import Expansion
from wasserscore.certificate.march import log_march
from wasserscore.certificate.theorem import from_log, log_add
from wasserscore.core.random import Streams
from wasserscore.process import VE, VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
VE_UNIT = VE.from_sigmas(sigma_min=0.05, sigma_max=5.0)
NARROW = LogConcave(4.0, 4.0)


def flat(value):
    return OneSided(lambda t: torch.full_like(t, value), "analytic")


def line(variance, process):
    """N(0, variance) in one dimension."""
    return GaussianScore(torch.zeros(1, dtype=F64), torch.full((1, 1), variance, dtype=F64),
                         process)  # fmt: skip


def bound(score, reference, constant, *, eta, start="reference", times=None):
    grid = time_grid(reference.process, 60, "uniform")
    coupling = Coupling(score, reference, solver("exponential"), grid, eta, start, 1, Streams(2))
    return continuous_bound(coupling, constant, n=16, level=0.99, times=times)


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 0.230751), (0.0, 0.452469)])
def test_bias_under_ve(eta, expected):  # A3
    narrow = line(0.25, VE_UNIT)
    biased = lambda x, t: narrow(x, t) + 0.2
    found = bound(biased, narrow, from_concavity(NARROW, VE_UNIT), eta=eta)
    assert expected * (1 - 1e-5) <= found.integral.value <= 1.05 * expected


@pytest.mark.parametrize(
    ("a", "eta", "expected"),
    [(1.5, 0.0, 0.393469), (0.8, 0.0, 0.221403), (1.5, 1.0, 0.432332), (0.8, 1.0, 0.300792)],
)
def test_a_score_of_the_wrong_size(a, eta, expected):  # A4, A5
    standard = line(1.0, UNIT)
    found = bound(lambda x, t: a * standard(x, t), standard, flat(-a), eta=eta, times=1024)
    assert expected * (1 - 1e-5) <= found.integral.value <= 1.06 * expected


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 0.005334), (0.0, 0.027486)])
def test_the_offset_alone(eta, expected):  # A6
    narrow = line(0.25, UNIT)
    found = bound(narrow, narrow, from_concavity(NARROW, UNIT), eta=eta, start="prior")
    v, sigma = 0.25 * math.exp(-2) + 1 - math.exp(-2), math.sqrt(1 - math.exp(-2))
    expected *= (math.sqrt(v) - sigma) / (1 - math.sqrt(v))  # the table starts from N(0, 1)
    assert expected * (1 - 1e-4) <= found.offset <= expected * (1 + 2e-3)


def test_a_weight_that_keeps_the_denoising_bound_finite():  # A8: K of lambda = g^2 sigma
    expansion = Expansion.along(UNIT, flat(-1.0), eta=1.0, start=2.0)
    weight = lambda t: UNIT.g2(t) * UNIT.sigma(t)
    found = from_log(log_weight_integral(expansion, weight))
    assert 1.859747 <= found <= 1.859747 * (1 + 1e-3)


def test_growth_is_a_quadrature_of_the_rate():
    expansion = Expansion.along(UNIT, OneSided(torch.sin, "analytic"), eta=0.5, start=2.0,
                                stop=0.1)  # fmt: skip
    rate = lambda t: 0.5 + 0.625 * math.sin(t)
    expected = quad(rate, 0.1, 2.0)[0]
    assert expected <= float(expansion.log_growth[-1]) <= expected + 1e-3
    assert float(expansion.log_growth[0]) == 0.0


def test_huge_constants_stay_finite_in_logarithms():
    expansion = Expansion.along(UNIT, flat(1e5), eta=1.0, start=2.0)
    log = float(expansion.log_growth[-1])
    assert log == pytest.approx(2e5, rel=1e-4)
    assert from_log(log) == math.inf
    assert from_log(log_add(log, log)) == math.inf
    assert log_add(log, log) == pytest.approx(log + math.log(2), abs=1e-9)
    assert log_add(math.log(2.0), math.log(3.0)) == pytest.approx(math.log(5.0))


def test_marching_one_form_is_the_integral_form():
    """y' = R(t) y + k(t) e(t) from y(0) = 0.3, by quadrature of its known solution."""
    rate, forcing = (lambda t: 0.5 + math.cos(4 * t)), (lambda t: 0.2 + t)
    growth = lambda t: math.exp(-0.5 * t - math.sin(4 * t) / 4)
    times = torch.linspace(0, 2, 4001, dtype=F64)
    expected = quad(lambda t: forcing(t) * growth(t), 0, 2)[0] + 0.3 * growth(2)
    rates = torch.tensor([-rate(t) for t in times.tolist()], dtype=F64)
    forces = torch.tensor([forcing(t) for t in times.tolist()], dtype=F64)
    log = log_march([(rates, forces.log())], times, torch.tensor(0.3).double().log())
    assert from_log(float(log)) == pytest.approx(expected, rel=1e-5)
