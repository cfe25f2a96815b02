import math

import pytest
import torch

from wasserscore.certificate.fallback import (
    bolley_villani,
    bounded_support,
    entropy,
    moment_constant,
)
from wasserscore.certificate.offset import start_bounds, start_entropy
from wasserscore.core.errors import AssumptionError
from wasserscore.process import EDM, VP
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)


def kl(v, w):
    """KL(N(0, v) || N(0, w))."""
    return (v / w - 1 - math.log(v / w)) / 2


@pytest.mark.parametrize(("eta2", "truth"), [(1.0, 0.14452), (0.2, 0.28920)])
def test_relative_entropy_of_a_score_of_the_wrong_size(eta2, truth):
    # VP beta = 1, T = 2, N(0, 1), s = -1.5 x, J = .25:
    # dy = (y/2 - 1.5 k y) + eta dB with k = (1 + eta2)/2
    k, variance, h = (1 + eta2) / 2, 1.0, 1e-5
    rate = 2 * (0.5 - 1.5 * k)
    fixed = -eta2 / rate
    variance = fixed + (1 - fixed) * math.exp(2 * rate)
    assert kl(1.0, variance) == pytest.approx(truth, abs=5 * h)
    bound = entropy(0.25, 0.0, math.sqrt(eta2))
    assert bound == pytest.approx(0.25 * (1 + eta2) ** 2 / (4 * eta2))
    assert kl(1.0, variance) <= bound


def test_the_bound_is_smallest_for_the_reverse_process_and_refused_for_the_flow():
    at = {eta: entropy(0.3, 0.1, eta) for eta in (0.3, 0.7, 1.0, 1.5)}
    assert min(at, key=at.get) == 1.0
    assert at[1.0] == pytest.approx(0.4)
    with pytest.raises(AssumptionError, match="probability flow"):
        entropy(0.3, 0.1, 0.0)


def test_the_smaller_of_the_two_published_shapes():  # A15: C = 2.759, H = .10728
    assert bolley_villani(0.10728, 2.759) == pytest.approx(1.703, abs=2e-3)
    tiny = 1e-5
    assert bolley_villani(tiny, 1.0) == pytest.approx(math.sqrt(tiny) + (tiny / 2) ** 0.25)


def test_the_moment_constant_of_gaussian_samples_is_near_its_closed_form():
    # E exp(a |x|^2) = (1 - 2a)^(-d/2); minimise 4 (3/2 - (d/2) log(1 - 2a)) / a
    generator = torch.Generator().manual_seed(0)
    squares = torch.randn(200000, 2, generator=generator, dtype=F64).square().sum(1)
    grid = torch.linspace(0.01, 0.49, 4000, dtype=F64)
    closed = float((2 * ((1.5 - torch.log(1 - 2 * grid)) / grid).sqrt()).min())
    assert moment_constant(squares) == pytest.approx(closed, rel=0.05)


def test_the_moment_constant_scales_with_space():
    squares = torch.rand(100, generator=torch.Generator().manual_seed(1), dtype=F64)
    assert moment_constant(9 * squares) == pytest.approx(3 * moment_constant(squares), rel=1e-5)


def test_bounded_support():
    assert bounded_support(0.02, 3.0) == pytest.approx(3 * 0.1**0.5)
    assert bounded_support(100.0, 3.0) == 3.0


def test_both_bounds_hold_for_shifted_gaussians():
    for shift in (0.05, 0.5, 2.0):
        found = bolley_villani(shift**2 / 2, 2 * math.sqrt(4 * (1.5 + math.log(2) / 2) / 1.5))
        assert shift <= found


@pytest.mark.parametrize("process", [UNIT, EDM(sigma_max=20.0)], ids=lambda p: p.name)
def test_every_start_bound_is_above_the_exact_distance(process):
    mean = torch.tensor([1.0, -0.5], dtype=F64)
    covariance = torch.tensor([[0.6, 0.2], [0.2, 0.3]], dtype=F64)
    sigma = float(process.sigma(process.horizon))
    for std in (sigma, 1.1 * sigma, 0.8 * sigma):
        bounds = start_bounds(GaussianScore(mean, covariance, process), process.horizon, std)
        assert bounds["Gaussian"] <= min(bounds["coupling"], bounds["Talagrand"]) * (1 + 1e-12)


def test_start_bounds_in_closed_form():
    score = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1, 1), 0.25, dtype=F64), UNIT)
    bounds = start_bounds(score, 2.0, 1.0)
    v = 0.25 * math.exp(-2) + 1 - math.exp(-2)
    assert bounds["Gaussian"] == pytest.approx(1 - math.sqrt(v), rel=1e-9)
    sigma = math.sqrt(1 - math.exp(-2))
    assert bounds["coupling"] == pytest.approx(math.hypot(0.5 * math.exp(-1), 1 - sigma), rel=1e-9)
    ratio = 1 - math.exp(-2)
    expected = math.exp(-2) * 0.25 / 2 + (ratio - 1 - math.log(ratio)) / 2
    assert start_entropy(score, 2.0, 1.0) == pytest.approx(expected, rel=1e-9)
    assert kl(v, 1.0) <= expected


def test_a_mixture_has_no_gaussian_start_bound():
    score = MixtureScore(
        torch.ones(1, dtype=F64), torch.zeros(1, 1, dtype=F64), torch.ones(1, dtype=F64), UNIT
    )
    assert set(start_bounds(score, 2.0, 1.0)) == {"coupling", "Talagrand"}
