"""Acceptance checks of the proximal model that need several rooms, by their numbers.

The others: C1, C2 (A1 to A8) are in ``test_operator.py`` and ``test_grid_game.py``; C3 to C7, C15
and C18 in ``tests/score/test_proximal.py``; C8 to C10 in ``test_objectives.py``; C12 in
``test_fit.py``; C14 and C17 in ``tests/audit``.
"""

import math

import pytest
import torch

from wasserscore.process import VE
from wasserscore.proximal import fit_kernel, fit_proximal, network_fit
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=100.0)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def moons(n, noise, seed):
    g = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(n, generator=g, dtype=torch.float64)
    upper = torch.rand(n, generator=g, dtype=torch.float64) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], 1) + noise * draw(n, 2, seed=seed + 77)


def sliced_w1(x, y):
    directions = torch.nn.functional.normalize(draw(2, 200, seed=9), dim=0)
    gap = (x @ directions).sort(0).values - (y @ directions).sort(0).values
    return float(gap.abs().mean())


@pytest.mark.slow
def test_c11_the_reverse_sde_ends_in_the_law_that_direct_sampling_draws():
    angle = torch.linspace(0, 2 * math.pi, 41, dtype=torch.float64)[:40]
    centres = torch.stack([angle.cos(), angle.sin()], 1)
    along = 0.1 * torch.stack([-angle.sin(), angle.cos()], 1)[:, :, None]
    score = ProximalScore(centres, Spiked(along, torch.full((2,), 2.5e-3).double()), CLOCK)
    n, horizon, steps = 4000, 0.5, 160
    levels = torch.logspace(math.log10(horizon), -4, steps).double()
    levels = torch.cat([levels, torch.zeros(1)])
    x = score.sample_marginal(n, horizon, generator=torch.Generator().manual_seed(1))
    for k in range(steps):
        step = float(levels[k] - levels[k + 1])
        x = x + step * score(x, float(levels[k])) + math.sqrt(step) * draw(n, 2, seed=100 + k)
    direct = score.sample_marginal(40_000, 0.0, generator=torch.Generator().manual_seed(2))
    gap = score.log_prob(x).mean() - score.log_prob(direct).mean()
    assert abs(float(gap)) < 0.05
    assert sliced_w1(x, direct[:n]) < 2 * sliced_w1(direct[-n:], direct[:n])


@pytest.mark.accept
@pytest.mark.timeout(1200)
def test_c13_the_paper_s_regime_beats_the_kernel_density_and_finds_the_tangents(monkeypatch):
    monkeypatch.setattr(network_fit, "FLOORS", (1 / 8,))
    points, held = moons(200, 0.05, 0), moons(4000, 0.05, 1)
    score = fit_proximal(points, CLOCK, method="network", fit_points=moons(20_000, 0.05, 2))
    kernel = fit_kernel(points, CLOCK)
    assert float(score.log_prob(held).mean()) > float(kernel.log_prob(held).mean())
    upper = (points.norm(dim=1) - 1).abs()
    around = torch.tensor([1.0, 0.5], dtype=torch.float64)
    lower = ((points - around).norm(dim=1) - 1).abs()
    radius = torch.where((upper < lower)[:, None], points, points - around)
    covariances = torch.stack([score.covariance.covariance(i) for i in range(200)])
    # centres come sorted; the tangent is at right angles to the radius of its own arc
    order = torch.unique(points, dim=0, return_inverse=True)[1]
    along = torch.linalg.eigh(covariances[order]).eigenvectors[:, :, 1]
    sine = (along * torch.nn.functional.normalize(radius, dim=1)).sum(1).abs()
    assert float(torch.rad2deg(sine.median().asin())) < 10
