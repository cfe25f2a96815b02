"""The Wasserstein proximal operator: closed forms, the equations it solves, and identities.

rho is the solution of the game, eta the noised target; A3, A4, A7 are in test_grid_game.py.
"""

import math

import numpy as np
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.process import OU, VE, VP
from wasserscore.proximal.operator import Grid, noised, optimal_value, wasserstein_proximal
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=100.0)


def wide(value) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def line(low: float, high: float, n: int) -> Grid:
    return Grid((torch.linspace(low, high, n, dtype=torch.float64),))


def three_bumps(process=CLOCK) -> ProximalScore:
    variances = wide([0.3**2, 0.5**2, 0.4**2])
    return ProximalScore(
        wide([[-2.0], [0.5], [3.0]]), Spiked.dense(variances[:, None, None]), process,
        weights=wide([0.35, 0.45, 0.2]),
    )  # fmt: skip


def normal(x: torch.Tensor, mean: float, variance: float | torch.Tensor) -> torch.Tensor:
    variance = torch.as_tensor(variance, dtype=torch.float64)
    return -(x - mean).square() / (2 * variance) - (2 * math.pi * variance).log() / 2


def l1(grid: Grid, a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.exp() - b.exp()).abs().sum()) * grid.cell


def test_a1_it_inverts_noising():
    grid, pi = line(-15, 15, 1501), three_bumps()
    target = pi.log_prob(grid.points)
    # The start comes from the closed form, the denominator inside from quadrature.
    for s in (0.0, 0.4):
        result = wasserstein_proximal(target, pi.log_prob(grid.points, 1.0), grid, CLOCK, 1.0, s)
        assert l1(grid, result, pi.log_prob(grid.points, s)) < 1e-10
    other = wasserstein_proximal(target, normal(grid.axes[0], 0.3, 4.0), grid, CLOCK, 1.0)
    assert l1(grid, other, target) > 0.1


@pytest.mark.parametrize("process", [CLOCK, OU(alpha=1.0, sigma=1.0), VP.constant(beta=1.0)])
def test_a2_gaussians_stay_gaussian(process):
    grid, t = line(-25, 25, 2001), 0.8
    x, mean, variance, start, start_variance = grid.axes[0], 0.7, 0.6, -0.4, 1.1
    alpha, noise = float(process.alpha(t)), float(process.variance(t))
    gain = alpha * variance / (alpha**2 * variance + noise)
    result = wasserstein_proximal(
        normal(x, mean, variance), normal(x, start, start_variance), grid, process, t
    )
    expected = normal(
        x,
        mean + gain * (start - alpha * mean),
        gain**2 * start_variance + variance * noise / (alpha**2 * variance + noise),
    )
    assert l1(grid, result, expected) < 1e-10


def test_a5_value_of_a_mismatched_start():
    grid, pi = line(-15, 15, 1501), three_bumps()
    value = optimal_value(
        pi.log_prob(grid.points), normal(grid.axes[0], 0.3, 1.44), grid, CLOCK, 1.0
    )
    assert value == pytest.approx(1.8995935063, abs=1e-8)
    # From the noised target itself it is an entropy.
    start = pi.log_prob(grid.points, 1.0)
    entropy = -grid.expectation(start, start)
    own = optimal_value(pi.log_prob(grid.points), start, grid, CLOCK, 1.0)
    assert own == pytest.approx(entropy, abs=1e-10)


@pytest.mark.parametrize("process", [OU(alpha=1.0, sigma=1.3), VP.linear(a=0.2, b=1.5)])
def test_a6_other_linear_processes(process):
    grid, pi = line(-15, 15, 1501), three_bumps(process)
    target, t = pi.log_prob(grid.points), 1.5
    start = pi.log_prob(grid.points, t)
    assert l1(grid, noised(target, grid, process, t), start) < 1e-10
    for s in (0.0, 0.5):
        result = wasserstein_proximal(target, start, grid, process, t, s)
        assert l1(grid, result, pi.log_prob(grid.points, s)) < 1e-10
    # The value function U = -log eta: d_s U = b U' + g2 (U'' - U'^2) / 2 + b' with b = -f x.
    x, s, h = torch.linspace(-3, 4, 29, dtype=torch.float64)[:, None], 0.7, 1e-3
    shift = [(pi.log_prob(x, s + k * h) * c).neg()
             for k, c in ((-2, 1), (-1, -8), (1, 8), (2, -1))]  # fmt: skip
    rate = sum(shift) / (12 * h)
    f, g2 = float(process.f(s)), float(process.g2(s))
    slope, bend = -pi(x, s)[:, 0], -pi.divergence(x, s)
    expected = f * x[:, 0] * slope + g2 / 2 * (bend - slope.square()) - f
    torch.testing.assert_close(rate, expected, atol=1e-6, rtol=0)


def test_a8_de_bruijn_links_likelihood_to_scores_at_all_times():
    # KL at 0 minus KL at T is the integral of (1/2) E |difference of scores|^2 over noise levels.
    grid, pi = line(-14, 14, 1401), three_bumps()
    model = ProximalScore(
        wide([[-1.5], [1.0]]), Spiked.dense(wide([0.8, 1.3])[:, None, None]), CLOCK
    )
    x = grid.points

    def relative_entropy(tau: float) -> float:
        own = pi.log_prob(x, tau)
        return grid.expectation(own, own - model.log_prob(x, tau))

    def speed(tau: float) -> float:
        gap = (pi(x, tau) - model(x, tau)).square()[:, 0]
        return grid.expectation(pi.log_prob(x, tau), gap) / 2

    nodes, weights = np.polynomial.legendre.leggauss(40)
    integral = sum(w / 2 * speed((z + 1) / 2) for z, w in zip(nodes, weights, strict=True))
    assert relative_entropy(0.0) - relative_entropy(1.0) == pytest.approx(integral, abs=1e-8)


def test_c2_columns_of_the_kernel_are_densities():
    grid, pi = line(-15, 15, 1501), three_bumps()
    target = pi.log_prob(grid.points)
    inside = (noised(target, grid, CLOCK, 1.0) > math.log(1e-12)).nonzero()[:, 0]
    for index in (*inside[::80].tolist(), int(inside[-1])):
        spike = torch.full_like(grid.axes[0], -torch.inf)
        spike[index] = -math.log(grid.cell)
        assert abs(grid.log_mass(wasserstein_proximal(target, spike, grid, CLOCK, 1.0))) < 1e-10


def test_heavy_tails_of_the_start_lose_no_mass():
    # The start is wider than the noised target: a quotient of densities would overflow or clip.
    grid, pi = line(-40, 40, 1601), three_bumps()
    start = normal(grid.axes[0], 0.3, 4.0)
    result = wasserstein_proximal(pi.log_prob(grid.points), start, grid, CLOCK, 1.0)
    assert abs(grid.log_mass(result)) < 1e-10


def test_uneven_axes_and_wrong_times_are_refused():
    with pytest.raises(InputError, match="equal steps"):
        Grid((wide([0.0, 1.0, 3.0]),))
    grid = line(-1, 1, 5)
    with pytest.raises(InputError, match="0 <= s < t"):
        noised(torch.zeros(5).double(), grid, CLOCK, 0.5, 0.5)
