"""Grid solvers that know no closed form agree with the closed forms, in their own order."""

import math

import pytest
import torch
from tests.proximal.test_operator import CLOCK, line, normal, three_bumps, wide

from wasserscore.core.errors import InputError
from wasserscore.process import OU, VP
from wasserscore.proximal.grid_game import (
    fokker_planck,
    fourier_proximal,
    hamilton_jacobi_bellman,
    heat,
    residual,
    solve_game,
)
from wasserscore.proximal.operator import Grid, noised, wasserstein_proximal
from wasserscore.score.mixture import MixtureScore
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked


def bumps() -> MixtureScore:
    return MixtureScore(
        wide([0.35, 0.45, 0.2]),
        wide([[-2.0], [0.5], [3.0]]),
        wide([0.3, 0.5, 0.4]).square(),
        CLOCK,
    )


class Flawed(ProximalScore):
    """A model whose score is a little too long."""

    def __call__(self, x, t):
        return 1.01 * super().__call__(x, t)


def order(errors):
    return math.log2(errors[0] / errors[1])


def test_a3_the_kernel_solves_the_fokker_planck_equation():
    pi, errors = three_bumps(), []
    velocity = lambda middle, level: pi(middle[:, None], level)[:, 0]
    for n, steps in ((361, 100), (721, 200)):
        grid = line(-9, 9, n)
        start = normal(grid.axes[0], 0.3, 1.44)
        density = fokker_planck(start, grid, velocity, 1.0, steps)
        assert abs(float(density.sum()) * grid.cell - 1) < 1e-10
        kernel = wasserstein_proximal(pi.log_prob(grid.points), start, grid, CLOCK, 1.0)
        errors.append(float((density - kernel.exp()).abs().sum()) * grid.cell)
    assert errors[0] < 5e-3
    assert 1.8 < order(errors) < 2.2


def test_a4_minus_log_density_solves_the_hamilton_jacobi_bellman_equation():
    pi, errors, slopes = bumps(), [], []
    for n, steps in ((151, 1000), (301, 2000)):
        grid = line(-4, 5, n)
        value = hamilton_jacobi_bellman(pi, grid, 1.0, steps)[-1]
        errors.append(float((value + pi.log_prob(grid.points, 1.0)).abs().max()))
        score = -(value[2:] - value[:-2]) / (2 * grid.cell)
        slopes.append(float((score - pi(grid.points, 1.0)[1:-1, 0]).abs().max()))
    assert errors[1] < 3e-3
    assert 1.8 < order(errors) < 2.2
    assert 1.8 < order(slopes) < 2.2


@pytest.mark.slow
def test_the_coupled_equations_end_where_the_kernel_says():
    pi, errors = bumps(), []
    for n, steps in ((131, 1000), (261, 2000)):
        grid = line(-6, 7, n)
        start = normal(grid.axes[0], 0.3, 1.44)
        solution = solve_game(pi, start, grid, 1.0, steps)
        kernel = wasserstein_proximal(pi.log_prob(grid.points), start, grid, CLOCK, 1.0)
        errors.append(float((solution.density - kernel.exp()).abs().sum()) * grid.cell)
        assert torch.equal(solution.values[0], -pi.log_prob(grid.points))
    assert errors[1] < 5e-3
    assert 1.7 < order(errors) < 2.3


def test_steps_that_would_blow_up_are_refused():
    with pytest.raises(InputError, match="at least 1459 steps"):
        hamilton_jacobi_bellman(bumps(), line(-4, 5, 301), 1.0, 100)


def test_a7_two_dimensions_by_fourier_transform():
    axis = torch.linspace(-8, 8, 128, dtype=torch.float64)
    grid, g = Grid((axis, axis)), torch.Generator().manual_seed(0)
    roots = 0.35 * torch.randn(3, 2, 2, generator=g, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.15 * torch.eye(2).double()
    pi = ProximalScore(
        wide([[-1.0, 0.3], [1.2, 1.0], [0.2, -1.4]]), Spiked.dense(covariances), CLOCK
    )
    target = grid.log_density(pi.log_prob(grid.points))
    exact = grid.log_density(pi.log_prob(grid.points, 0.8)).exp()
    assert (heat(target.exp(), grid, 0.8) - exact).abs().max() < 1e-9
    assert (noised(target, grid, CLOCK, 0.8).exp() - exact).abs().max() < 1e-9
    start = normal(axis, 0.2, 0.5)[:, None] + normal(axis, -0.1, 0.6)
    result = wasserstein_proximal(target, start, grid, CLOCK, 0.8)
    assert abs(grid.log_mass(result)) < 1e-9
    assert (fourier_proximal(target, start, grid, 0.8) - result.exp()).abs().max() < 1e-9


@pytest.mark.parametrize("process", [CLOCK, OU(alpha=1.0, sigma=1.3), VP.linear(a=0.2, b=1.5)])
def test_a6_the_model_leaves_no_residual_in_any_process(process):
    g = torch.Generator().manual_seed(1)
    factors = 0.5 * torch.randn(6, 3, 2, generator=g, dtype=torch.float64)
    centres, x = torch.randn(2, 6, 3, generator=g, dtype=torch.float64)
    law = ProximalScore(centres, Spiked(factors, wide([0.2, 0.3, 0.1])), process)
    assert float(residual(law, x, 0.7).abs().max()) < 1e-6
    flawed = Flawed(centres, law.covariance, process)
    assert float(residual(flawed, x, 0.7).abs().min()) > 1e-4
    with pytest.raises(InputError, match="two steps from 0"):
        residual(law, x, 0.001)
