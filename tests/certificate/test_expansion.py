"""The head, below which no score is asked, against quadrature."""

import math

import pytest
import torch
from scipy import integrate

from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.expansion import Expansion
from wasserscore.process import VP

ETA, ERROR = 0.5, 3.0


def expanded(rate):
    constant = OneSided(lambda t: torch.full_like(t, rate), "stated")
    return Expansion.along(VP.constant(beta=1.0), constant, eta=ETA, start=1.0)


def over_the_head(expansion, integrand):
    """Of a function of time and of r, the noise-to-signal ratio's root; g = 1."""
    head = float(expansion.times[0]), float(expansion.times[1])
    noisy = lambda t: integrand(t, math.sqrt(math.expm1(t)))
    return integrate.quad(noisy, *head, epsabs=0, epsrel=1e-10)[0]


@pytest.mark.parametrize("rate", [0.0, 1e8])
def test_the_heads_bound_for_errors_like_one_over_the_noise(rate):
    # for sqrt(b) = c / r it is met where nothing grows, and never below; growth loosens it by at
    # most what it is at the top
    expansion, share = expanded(rate), (1 + ETA**2) / 2
    end = math.sqrt(math.expm1(float(expansion.times[1])))
    exact = over_the_head(
        expansion, lambda t, r: share * math.exp((share * rate - 0.5) * t) * ERROR * end / r
    )
    most, growth = math.exp(expansion.head_bound(ERROR)), share * rate * end**2
    assert exact <= most * (1 + 1e-9)
    assert most <= exact * math.exp(growth) * (1 + 1e-6)


def test_the_heads_likelihood_for_errors_that_stay_bounded():
    expansion = expanded(0.0)
    exact = over_the_head(expansion, lambda t, r: ERROR**2 / 2)
    assert math.exp(expansion.head_likelihood(ERROR)) == pytest.approx(exact, rel=1e-6)


def test_no_error_and_an_early_stop_leave_nothing_of_the_head():
    constant = OneSided(torch.zeros_like, "stated")
    stopped = Expansion.along(VP.constant(beta=1.0), constant, eta=ETA, start=1.0, stop=0.1)
    for expansion, error in ((expanded(0.0), 0.0), (stopped, ERROR)):
        assert expansion.head_bound(error) == expansion.head_likelihood(error) == -math.inf
