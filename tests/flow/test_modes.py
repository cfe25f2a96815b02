"""Planar modes: the measure itself, and what the flow and its controls reach (seed 1)."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data import targets
from wasserscore.distance import w2
from wasserscore.flow import MMD, Annealing, ParticleFlow, ScoreDifferenceFlow, mode_quality

GRID = (targets.twenty_five_gaussians(spacing=2.0, std=0.1), 0.1)
RING = (targets.eight_gaussians(radius=4.0, std=0.2), 0.2)
GEOMETRIC = Annealing("geometric", 300, 3.0, 0.15)


def sample(law, n, seed):
    generator = torch.Generator().manual_seed(seed)
    return targets.sample_mixture(law[0], n, generator=generator)


def quality(x, law):
    return mode_quality(x, law[0][1], law[1])


def unsquared_mmd(x, y):
    k = lambda a, b: (-torch.cdist(a, b).square() / 2).exp().mean()
    return math.sqrt(float(k(x, x) + k(y, y) - 2 * k(x, y)))


def reached(flow, law, targets_seen=1000):
    start = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return flow.run(start, sample(law, targets_seen, 2), seed=0).particles


@pytest.mark.parametrize("law", [GRID, RING], ids=["grid", "ring"])
def test_a_perfect_sampler(law):
    """98.9 % within three standard deviations in the plane, the spread trimmed to .974."""
    found = quality(sample(law, 40_000, 0), law)
    assert found.hit == found.modes
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    assert found.spread / law[1] == pytest.approx(0.973, abs=0.01)
    assert found.kl < 0.002


def test_the_measure_by_hand():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [30.0, 0.0]]).double()
    x = torch.cat([torch.zeros(6, 2), torch.tensor([[10.0, 0.0], [10.2, 0.0], [10.4, 0.0]]),
                   torch.tensor([[20.5, 0.0]])]).double()  # fmt: skip
    found = mode_quality(x, centres, 0.15)
    assert (found.hit, found.modes, found.high_quality) == (2, 4, 0.9)
    assert found.kl == pytest.approx(
        0.6 * math.log(2.4) + 0.3 * math.log(1.2) + 0.1 * math.log(0.4)
    )
    assert found.spread == pytest.approx(0.05)  # .2 in one of two coordinates of one of two modes
    with pytest.raises(InputError, match="std must be positive"):
        mode_quality(x, centres, 0.0)


def test_particles_far_from_zero_are_measured_alike():
    x = (sample(GRID, 400, 0).float() * 2**10).round() / 2**10
    centres = GRID[0][1].float()
    far, here = (mode_quality(x + shift, centres + shift, 0.1) for shift in (4096.0, 0.0))
    assert (far.hit, far.high_quality, far.kl) == (here.hit, here.high_quality, here.kl)


@pytest.mark.slow
def test_C19_grid():
    x = reached(ScoreDifferenceFlow(GEOMETRIC, self_interaction="keep"), GRID)
    found, fresh = quality(x, GRID), sample(GRID, 1000, 3)
    assert found.hit == 25
    assert found.high_quality >= 0.97
    assert found.kl <= 0.03
    assert 0.085 <= found.spread <= 0.105
    assert float(w2(x, fresh)) <= 0.80
    assert unsquared_mmd(x, fresh) <= 0.06


@pytest.mark.slow
def test_C19_grid_with_fresh_batches():
    flow = ScoreDifferenceFlow(GEOMETRIC, self_interaction="keep", step=0.5, batch=256)
    found = quality(reached(flow, GRID, 4000), GRID)
    assert (found.hit, found.high_quality >= 0.97) == (25, True)
    assert found.kl <= 0.01


@pytest.mark.slow
def test_C20_ring():
    x = reached(ScoreDifferenceFlow(GEOMETRIC, self_interaction="keep"), RING)
    found = quality(x, RING)
    assert found.hit == 8
    assert found.high_quality >= 0.97
    assert 0.175 <= found.spread <= 0.205
    assert float(w2(x, sample(RING, 1000, 3))) <= 0.75


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "most"), [(0.15, 12), (0.5, 20)])
def test_C21_one_width_misses_modes(sigma, most):
    flow = ScoreDifferenceFlow([sigma] * 300, self_interaction="keep", step=0.5)
    assert quality(reached(flow, GRID), GRID).hit <= most


@pytest.mark.slow
def test_C21_the_MMD_flow_leaves_particles_between_modes():
    flow = ParticleFlow([1.0] * 300, drift=MMD(), step=2.0)
    assert quality(reached(flow, GRID), GRID).high_quality < 0.9


@pytest.mark.slow
def test_K2_leaving_particles_out_spreads_them_between_modes():
    flow = ScoreDifferenceFlow(GEOMETRIC, self_interaction="leave_one_out")
    found = quality(reached(flow, GRID), GRID)
    assert 0.75 < found.high_quality < 0.93
