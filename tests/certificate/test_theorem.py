"""Theorem 1 on problems whose error and constant are known functions of time."""

import math

import pytest
import torch
from scipy import integrate

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import OneSided, from_concavity
from wasserscore.certificate.march import log_march
from wasserscore.certificate.theorem import Growth, from_log, log_add, nodes
from wasserscore.process import VE, VP

UNIT = VP.constant(beta=1.0, horizon=2.0)
VE_UNIT = VE.from_sigmas(sigma_min=0.05, sigma_max=5.0)
COUNT = 4001


def known(value):
    return OneSided(value, "analytic")


def flat(value):
    return known(lambda t: torch.full_like(t, value))


def bounds(process, constant, b, *, eta=1.0, stop=0.0, start=0.0, weight=None):
    times = nodes(process, COUNT, stop=stop)
    growth = Growth.along(process, constant, eta=eta, times=times, stop=stop)
    error = b(times)
    offset = from_log(growth.log_offset(start))
    lam = None if weight is None else weight(times).log()
    return (
        from_log(growth.log_integral(error.sqrt())) + offset,
        from_log(growth.log_cauchy_schwarz(error, lam)) + offset,
    )


def test_bias_under_vp():  # A1, A2
    b = lambda t: torch.full_like(t, 0.09)
    assert bounds(UNIT, flat(-1.0), b) == pytest.approx((0.379272, 0.394512), abs=1e-6)
    assert bounds(UNIT, flat(-1.0), b, eta=0.0) == pytest.approx((0.3, 0.3), abs=1e-6)


def test_bias_under_ve():  # A3
    constant = from_concavity(LogConcave(4.0, 4.0), VE_UNIT)
    b = lambda t: torch.full_like(t, 0.04)
    assert bounds(VE_UNIT, constant, b)[0] == pytest.approx(0.230751, abs=1e-6)
    assert bounds(VE_UNIT, constant, b, eta=0.0)[0] == pytest.approx(0.452469, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "eta", "expected"),
    [(1.5, 0.0, 0.393469), (0.8, 0.0, 0.221403), (1.5, 1.0, 0.432332), (0.8, 1.0, 0.300792)],
)
def test_a_score_of_the_wrong_size(a, eta, expected):  # A4, A5
    b = lambda t: torch.full_like(t, (1 - a) ** 2)
    assert bounds(UNIT, flat(-a), b, eta=eta)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 0.005334), (0.0, 0.027486)])
def test_the_offset_alone(eta, expected):  # A6
    constant = from_concavity(LogConcave(4.0, 4.0), UNIT)
    start = 1 - math.sqrt(0.25 * math.exp(-2) + 1 - math.exp(-2))
    b = lambda t: torch.full_like(t, 1e-300)
    assert bounds(UNIT, constant, b, eta=eta, start=start)[0] == pytest.approx(expected, abs=1e-6)


def test_the_denoising_offset_diverges_like_half_a_log():  # A7
    for eps, expected in ((0.1, 1.103377), (1e-3, 3.381421), (1e-5, 5.683758)):
        times = nodes(UNIT, COUNT, stop=eps)
        growth = Growth.along(UNIT, flat(-1.0), eta=1.0, times=times, stop=eps)
        c = 1 / UNIT.variance(times) - 1
        assert from_log(growth.log_score_matching(c, growth.g2.log())) == pytest.approx(
            expected, abs=2e-5
        )


def test_a_weight_that_keeps_the_denoising_bound_finite():  # A8
    times = nodes(UNIT, COUNT, least=1e-6)
    growth = Growth.along(UNIT, flat(-1.0), eta=1.0, times=times)
    b, c = torch.full_like(times, 0.09), 1 / UNIT.variance(times) - 1
    lam = (UNIT.g2(times) * UNIT.sigma(times)).log()
    found = [
        growth.log_weight_integral(lam),
        growth.log_score_matching(b, lam),
        growth.log_score_matching(c, lam),
        growth.log_cauchy_schwarz(b, lam),
        growth.log_cauchy_schwarz(b + c, lam),
        growth.log_integral((b + c).sqrt()),
    ]
    expected = [1.859747, 0.065482, 0.929874, 0.493519, 1.924115, 1.921948]
    assert [from_log(v) for v in found] == pytest.approx(expected, abs=4e-6)


def test_the_cauchy_schwarz_form_is_never_below_the_integral_form():
    constant = known(lambda t: torch.cos(5 * t))
    b = lambda t: 0.1 + torch.sin(3 * t) ** 2
    for weight in (None, lambda t: 1 + t, lambda t: torch.exp(-3 * t)):
        integral, cauchy_schwarz = bounds(UNIT, constant, b, weight=weight)
        assert integral <= cauchy_schwarz


def test_the_best_weight_makes_both_forms_equal():
    times = nodes(UNIT, COUNT)
    growth = Growth.along(UNIT, flat(0.3), eta=1.0, times=times)
    b = 0.1 + times
    best = growth.g2.log() + growth.log_growth - b.log() / 2
    assert growth.log_cauchy_schwarz(b, best) == pytest.approx(
        growth.log_integral(b.sqrt()), abs=1e-9
    )


def test_growth_is_a_quadrature_of_the_rate():
    constant = known(lambda t: torch.sin(t))
    times = nodes(UNIT, COUNT, stop=0.1)
    growth = Growth.along(UNIT, constant, eta=0.5, times=times, stop=0.1)
    rate = lambda t: 0.5 + 0.625 * math.sin(t)
    expected = integrate.quad(rate, 0.1, 2.0)[0]
    assert float(growth.log_growth[-1]) == pytest.approx(expected, abs=1e-6)
    assert float(growth.log_growth[0]) == 0.0


def test_huge_constants_stay_finite_in_logarithms():
    times = nodes(UNIT, 101)
    growth = Growth.along(UNIT, flat(1e5), eta=1.0, times=times)
    log = growth.log_integral(torch.ones_like(times))
    assert math.isfinite(log)
    assert log == pytest.approx(2e5, rel=0.02)
    assert from_log(log) == math.inf
    assert log_add(log, growth.log_offset(1.0)) >= log


def test_halving_the_nodes_shows_the_quadrature_error():
    times = nodes(UNIT, 65)
    growth = Growth.along(UNIT, flat(-1.0), eta=1.0, times=times)
    ones = torch.full_like(times, 0.3)
    fine, coarse = growth.log_integral(ones), growth.halved().log_integral(ones[::2])
    gap = abs(from_log(fine) - from_log(coarse))
    assert abs(from_log(fine) - 0.3792723) < gap < 0.01


def test_marching_one_form_is_the_integral_form():
    times = nodes(UNIT, COUNT)
    constant = known(lambda t: torch.cos(4 * t))
    growth = Growth.along(UNIT, constant, eta=1.0, times=times)
    error = 0.2 + times
    integral = from_log(growth.log_integral(error)) + from_log(growth.log_offset(0.3))
    start = torch.tensor(0.3).double().log()
    log = log_march([(growth.rate, (growth.forcing * error).log())], times, start)
    assert from_log(float(log)) == pytest.approx(integral, rel=1e-5)


def test_a_larger_error_is_a_larger_bound():
    times = nodes(UNIT, 101)
    growth = Growth.along(UNIT, flat(0.5), eta=1.0, times=times)
    assert growth.log_integral(0.2 + times) < growth.log_integral(0.3 + times)


def test_an_analytic_constant_is_the_gaussian_one():
    constant = from_concavity(LogConcave(4.0, 4.0), UNIT)
    t = torch.tensor([0.1, 1.0], dtype=torch.float64)
    expected = -1 / (UNIT.alpha(t) ** 2 / 4 + UNIT.variance(t))
    assert torch.allclose(constant.value(t), expected, rtol=1e-12)
