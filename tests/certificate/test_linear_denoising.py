"""Denoising forms of the linear Gaussian case: every number of the theory table."""

import math

import numpy as np
import pytest
import torch

from wasserscore.certificate.linear import LinearGaussian
from wasserscore.certificate.linear_denoising import denoising_forms
from wasserscore.certificate.offset import stopping
from wasserscore.process import VP
from wasserscore.score import GaussianScore

UNIT = VP.constant(beta=1.0, horizon=2.0)


def bias(stop=0.0, dim=1):
    """VP, N(0, I), s = -x + .3 in every coordinate, from the prior."""
    eye, zero = np.eye(dim), np.zeros(dim)
    shift = zero + 0.3
    return LinearGaussian(UNIT, zero, eye, lambda t: eye, lambda t: shift, zero, eye, stop=stop)


@pytest.mark.parametrize(
    ("eps", "expected", "dim"),
    [(0.1, 1.10337750, 3), (1e-3, 3.38142089, 1), (1e-5, 5.68375850, 1)],
)
def test_the_offset_diverges_like_half_a_log(eps, expected, dim):  # A7
    found = denoising_forms(bias(eps, dim)).variance / dim
    assert found == pytest.approx(expected, abs=1e-6)
    exact = math.log((1 - math.exp(-2)) / (1 - math.exp(-eps))) / 2
    assert found == pytest.approx(exact, abs=1e-8)


def test_a_weight_that_keeps_both_integrals_finite():  # A8
    found = denoising_forms(bias(), lambda t: float(UNIT.g2(t)) * float(UNIT.sigma(t)))
    assert found.variance == pytest.approx(0.92987350, abs=1e-6)
    assert found.cauchy_schwarz == pytest.approx(1.92411534, abs=1e-6)
    assert found.integral == pytest.approx(1.92194815, abs=1e-6)
    # K and J of the table are what is left of it without c
    K, J = 1.85974699, 0.06548229
    assert math.sqrt(2 * K * (J + found.variance)) == pytest.approx(found.cauchy_schwarz, abs=1e-6)


@pytest.mark.parametrize(("eps", "expected"), [(1e-2, 2.00226351), (1e-4, 2.82730834)])
def test_early_stopping(eps, expected):
    assert denoising_forms(bias(eps)).cauchy_schwarz == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("eps", "expected"), [(1e-2, 0.09987513), (1e-4, 0.00999988)])
def test_what_an_early_stop_costs(eps, expected):
    law = GaussianScore(torch.zeros(1), torch.ones(1), UNIT)
    assert stopping(law, eps).value == pytest.approx(expected, abs=1e-8)
