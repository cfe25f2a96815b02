"""The paper's chain of ten steps: its constants without training, and the theorem's integrals."""

import math

import pytest
import torch
from benchmarks.paper_chain import Chain, pair
from benchmarks.paper_network import law
from scipy.integrate import quad

from wasserscore.certificate.denoising import denoising_variance
from wasserscore.certificate.jacobian import local

CHAIN = Chain.sigmoid(10)
GAUSSIAN, CLUSTERS, NARROW = (0.0, 0.1), (0.5, 0.01), (0.5, 80.0**-2)


def test_the_betas_are_the_notebook_s():  # A13
    assert float(CHAIN.betas.sum()) == pytest.approx(0.05005, abs=1e-12)
    assert float(CHAIN.kept[-1]) == pytest.approx(0.950978, abs=1e-6)


@pytest.mark.parametrize(
    ("one_sided", "expected"), [(-1.0, -1.165372), (0.0, -1.136098), (50.0, 0.791313)]
)
def test_intercepts_of_flat_constants(one_sided, expected):  # A13
    found = CHAIN.intercept(torch.full_like(CHAIN.betas, one_sided))
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("case", "intercept", "floor"),
    [
        (GAUSSIAN, -1.370232, 2.610982),
        (CLUSTERS, 12.801478, 2.084290),
        (NARROW, 881.215933, 0.789266),
    ],
)
def test_intercepts_and_floors_of_exact_scores(case, intercept, floor):  # A13, A14
    one_sided, squared = pair(CHAIN, *case)
    assert CHAIN.intercept(one_sided) == pytest.approx(intercept, abs=1e-6)
    assert CHAIN.floor(squared) == pytest.approx(floor, abs=1e-6)


def test_constants_and_floors_are_those_of_the_library_s_scores():
    """Steepest at the centre of the plane; c(t) of the denoising target, summed over the steps."""
    score = law("clusters", CHAIN)
    one_sided, squared = pair(CHAIN, *CLUSTERS)
    generator = torch.Generator().manual_seed(0)
    draws = []
    for k, t in enumerate(CHAIN.clock.tolist()):
        steepest = float(local(score, torch.zeros(1, 2, dtype=torch.float64), t))
        assert steepest == pytest.approx(float(one_sided[k]), rel=1e-9)
        c = denoising_variance(score, t, 4000, generator=generator)
        draws.append(CHAIN.betas[k] * c / 2 / score.dim)
    total = sum(draws)
    stderr = float(total.std()) / math.sqrt(len(total))
    assert abs(float(total.mean()) - CHAIN.floor(squared)) < 4 * stderr
    assert stderr < 0.02 * CHAIN.floor(squared)


def test_integrals_in_place_of_sums():
    r"""For a Gaussian of variance v: K = v^2 (1/v - 1/(v + tau)), tau the noise at the end."""
    v, tau = 0.1, float(1 / CHAIN.kept[-1] - 1)
    exact = 0.5 * math.log(2 * v * v * (1 / v - 1 / (v + tau)))
    assert CHAIN.continuous_intercept(0.0, v) == pytest.approx(exact, abs=1e-4)


def test_ten_steps_stand_for_integrals_badly_where_the_score_is_steep():
    """For the clusters by quadrature in the clock: 4.2 more than the sums, on a logarithm."""
    end = float(CHAIN.clock[-1])

    def rate(t):
        kept = math.exp(-t)
        width = kept * 0.01 + 1 - kept
        return 0.5 + kept * 0.25 / width**2 - 1 / width

    mesh = torch.linspace(0, end, 20001, dtype=torch.float64)
    rates = torch.tensor([rate(t) for t in mesh.tolist()], dtype=torch.float64)
    log_growth = torch.cat([mesh.new_zeros(1), torch.cumulative_trapezoid(rates, mesh)])
    top = float(log_growth.max())
    k = float(torch.trapezoid((2 * (log_growth - top)).exp(), mesh))
    exact = top + math.log(2 * k) / 2
    assert CHAIN.continuous_intercept(*CLUSTERS) == pytest.approx(exact, abs=1e-2)
    assert exact - CHAIN.intercept(pair(CHAIN, *CLUSTERS)[0]) == pytest.approx(4.2, abs=0.05)
    assert quad(rate, 0, end, limit=200)[0] == pytest.approx(float(log_growth[-1]), rel=1e-6)


def test_the_sum_before_cauchy_schwarz():
    """Below the line, and on it where sqrt(b) is proportional to I."""
    one_sided, _ = pair(CHAIN, *GAUSSIAN)
    error = (2 * CHAIN.log_growth(one_sided)).exp()
    j = float((CHAIN.betas * error).sum() / 2)
    bound = math.exp(CHAIN.intercept(one_sided)) * math.sqrt(j)
    assert CHAIN.integral(one_sided, error) == pytest.approx(bound, rel=1e-12)
    other = torch.ones_like(error)
    loose = math.exp(CHAIN.intercept(one_sided)) * math.sqrt(float(CHAIN.betas.sum()) / 2)
    assert CHAIN.integral(one_sided, other) < loose
