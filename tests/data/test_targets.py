import math

import pytest
import torch
from scipy.stats import kstest

from wasserscore.core.errors import InputError
from wasserscore.data import targets


@pytest.mark.parametrize("make", [targets.eight_gaussians, targets.twenty_five_gaussians])
def test_mixture_samples_have_the_moments_of_the_mixture(make, generator):
    weights, means, covariances = target = make()
    assert float(weights.sum()) == pytest.approx(1)
    x = targets.sample_mixture(target, 40_000, generator=generator)
    mean = weights @ means
    spread = torch.einsum("k,kij->ij", weights, covariances) + (means - mean).T @ (
        weights[:, None] * (means - mean)
    )
    assert torch.allclose(x.mean(0), mean, atol=5 * float(spread.diagonal().max().sqrt()) / 200)
    assert torch.allclose(torch.cov(x.T), spread, atol=0.05)


def test_component_covariance_is_respected(generator):
    covariance = torch.tensor([[2.0, 1.2], [1.2, 1.0]]).double()
    target = (torch.ones(1).double(), torch.zeros(1, 2).double(), covariance[None])
    x = targets.sample_mixture(target, 50_000, generator=generator)
    assert torch.allclose(torch.cov(x.T), covariance, atol=0.05)


def test_moons_lie_on_two_half_circles(generator):
    x = targets.two_moons(4000, noise=0.0, generator=generator)
    upper = x.norm(dim=1)
    lower = (x - torch.tensor([1.0, 0.5])).norm(dim=1)
    on_upper = (upper - 1).abs() < 1e-12
    on_lower = (lower - 1).abs() < 1e-12
    assert bool((on_upper | on_lower).all())
    assert float(on_upper.double().mean()) == pytest.approx(0.5, abs=0.05)
    assert bool((x[on_upper & ~on_lower, 1] >= 0).all())


def test_spiral_radius_gives_the_angle(generator):
    x = targets.spiral(500, noise=0.0, turns=1.5, generator=generator)
    radius = x.norm(dim=1)
    angle = torch.atan2(x[:, 1], x[:, 0])
    turns = (angle - 3 * math.pi * radius) / math.pi
    assert torch.allclose(turns, turns.round(), atol=1e-6)


def test_swiss_roll_radius_is_proportional_to_the_angle(generator):
    x = targets.swiss_roll(500, noise=0.0, generator=generator)
    unrolled = x.norm(dim=1) * 4.5 * math.pi
    assert torch.allclose(torch.cos(unrolled), x[:, 0] / x.norm(dim=1), atol=1e-6)


def test_checkerboard_is_uniform_on_the_dark_cells(generator):
    x = targets.checkerboard(4000, generator=generator)
    cell = (x + 2).floor()
    assert bool(((cell.sum(1) % 2) == 0).all())
    assert float(x.abs().max()) <= 2
    assert kstest(x[:, 0].numpy(), "uniform", args=(-2, 4)).pvalue > 1e-3
    with pytest.raises(InputError, match="even"):
        targets.checkerboard(5, cells=3, generator=generator)


@pytest.mark.parametrize("draw", [targets.two_moons, targets.spiral, targets.swiss_roll])
def test_noise_blurs_by_its_standard_deviation(draw):
    sharp, blurred = (
        draw(3000, noise=noise, generator=torch.Generator().manual_seed(5)) for noise in (0.0, 0.3)
    )
    assert float((blurred - sharp).std()) == pytest.approx(0.3, rel=0.05)
