"""Denoising forms of the linear Gaussian case: every number of the theory table."""

import math

import numpy as np
import pytest

from wasserscore.certificate.linear import LinearGaussian
from wasserscore.certificate.linear_denoising import denoising_forms
from wasserscore.process import VP

UNIT = VP.constant(beta=1.0, horizon=2.0)


def bias(stop=0.0, dim=1):
    """VP, N(0, I), s = -x + .3 in every coordinate, from the prior."""
    eye, zero = np.eye(dim), np.zeros(dim)
    return LinearGaussian(
        UNIT, zero, eye, lambda t: eye, lambda t: zero + 0.3, zero, eye, stop=stop
    )


@pytest.mark.parametrize(
    ("eps", "expected"), [(0.1, 1.10337750), (1e-3, 3.38142089), (1e-5, 5.68375850)]
)
@pytest.mark.parametrize("dim", [1, 3])
def test_the_offset_diverges_like_half_a_log(eps, expected, dim):  # A7
    found = denoising_forms(bias(eps, dim)).variance / dim
    assert found == pytest.approx(expected, abs=1e-6)
    exact = math.log((1 - math.exp(-2)) / (1 - math.exp(-eps))) / 2
    assert found == pytest.approx(exact, abs=1e-8)


def test_a_weight_that_keeps_both_integrals_finite():  # A8
    weight = lambda t: float(UNIT.g2(t)) * float(UNIT.sigma(t))
    problem = bias()
    found, ladder = (
        denoising_forms(problem, weight),
        problem.ladder(lambda t, _: max(weight(t), 1e-9)),
    )
    assert found.variance == pytest.approx(0.92987350, abs=1e-6)
    assert found.cauchy_schwarz == pytest.approx(1.92411534, abs=1e-6)
    assert found.integral == pytest.approx(1.92194815, abs=1e-6)
    # without c the same weight gives what the score error alone gives
    K, J = 1.85974699, 0.06548229
    assert math.sqrt(2 * K * J) == pytest.approx(0.49351897, abs=1e-6)
    assert ladder.score_matching == pytest.approx(J, abs=1e-6)
    assert math.sqrt(2 * K * (J + found.variance)) == pytest.approx(found.cauchy_schwarz, abs=1e-6)


@pytest.mark.parametrize(
    ("eps", "plain", "denoising"), [(1e-2, 0.39321476, 2.00226351), (1e-4, 0.39449896, 2.82730834)]
)
def test_early_stopping(eps, plain, denoising):
    problem = bias(eps)
    assert problem.ladder().cauchy_schwarz == pytest.approx(plain, abs=1e-6)
    assert denoising_forms(problem).cauchy_schwarz == pytest.approx(denoising, abs=1e-6)
