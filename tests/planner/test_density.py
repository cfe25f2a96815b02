"""The step weight and the grids it asks for."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from wasserscore.planner import density
from wasserscore.planner.density import optimal_density, step_weight
from wasserscore.planner.recursion import gaussian_recursion
from wasserscore.process import EDM, VE, VP
from wasserscore.sampling import time_grid

ZERO, ONE = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)


def constant(process, value):
    times = torch.linspace(0, process.horizon, 100_001, dtype=torch.float64)
    weight = step_weight(process, times, torch.tensor([value], dtype=torch.float64))
    return float(torch.trapezoid(weight[:, 0], times))


@pytest.mark.parametrize(
    ("process", "value", "c0", "within"),
    [
        (VP.constant(beta=1.0, horizon=math.log(1 + 1e6)), 0.25, 0.4711, 5e-4),
        (VE.exponential(a=1.0, b=1.0, horizon=math.log(1 + 4e4) / 2), 0.25, 0.75, 1e-3),
        (VP.constant(beta=1.0, horizon=math.log(1 + 1e6)), 1.5, 0.044, 1e-3),
        (VP.constant(beta=1.0, horizon=math.log(1 + 1e6)), 2.0, -0.193, 1e-3),
        (VP.constant(beta=1.0, horizon=math.log(1 + 1e6)), 4.0, -1.348, 1e-3),
    ],
)
def test_leading_constants(process, value, c0, within):
    """C4, C5 and K8."""
    assert constant(process, value) == pytest.approx(c0, abs=within)


def test_leading_constant_of_the_time_integrated_scheme():
    """C5, second number: int Phi f (g2 - f v), what is left without the frozen score."""
    process, value = VP.constant(beta=1.0, horizon=math.log(1 + 1e6)), 0.25
    times = torch.linspace(0, process.horizon, 100_001, dtype=torch.float64)
    f, g2 = process.f(times), process.g2(times)
    v = process.alpha(times) ** 2 * value + process.variance(times)
    frozen = g2 * (g2 - 2 * f * v) / v
    full = step_weight(process, times, torch.tensor([value], dtype=torch.float64))[:, 0]
    phi = torch.exp(2 * process.integrated_f(times))
    phi = phi * (value / (value + process.noise_to_signal(times))) ** 2
    assert float(torch.trapezoid(full - phi * frozen, times)) == pytest.approx(0.0961, abs=5e-4)


def w2(process, grid, value):
    _, variance = gaussian_recursion(process, "integrated_euler", grid, ZERO, value * ONE)
    return abs(float(variance) ** 0.5 - value**0.5)


def test_under_vp_it_is_uniform_in_the_signal_factor():
    """C6: for unit variance the optimal grid has W2 K = 1/2."""
    process = VP.linear(a=1.0, b=0.1, horizon=float(VP.linear(a=1.0, b=0.1).time_at(6.4e5)))
    grid = optimal_density(process, process.horizon, ONE, ONE).grid(400)
    signal = process.alpha(grid.times)
    torch.testing.assert_close(signal.diff(), signal.diff().mean().expand(400), rtol=2e-2, atol=0)
    assert 400 * w2(process, grid, 1.0) == pytest.approx(0.5, abs=0.005)


def test_under_ve_it_is_uniform_in_the_inverse_root():
    process = EDM(sigma_max=40.0)
    grid = optimal_density(process, 40.0, 0.25 * ONE, ONE).grid(400)
    clock = (0.25 + process.variance(grid.times)) ** -0.5
    torch.testing.assert_close(clock.diff(), clock.diff().mean().expand(400), rtol=2e-2, atol=0)


def test_it_needs_far_fewer_steps_than_uniform_b():
    process = VP.constant(beta=1.0, horizon=12.0)
    uniform = w2(process, time_grid(process, 500, "uniform"), 1.0)
    optimal = w2(process, optimal_density(process, 12.0, ONE, ONE).grid(200), 1.0)
    assert optimal < uniform


def test_several_eigenvalues_share_one_grid():
    """At leading order no grid uniform for one eigenvalue does better for the whole spectrum."""
    process = EDM(sigma_max=100.0)
    values = torch.tensor([0.01, 0.3, 4.0], dtype=torch.float64)

    def error(grid):
        _, variance = gaussian_recursion(process, "integrated_euler", grid, 0 * values, values)
        return float((variance.sqrt() - values.sqrt()).norm())

    joint = error(optimal_density(process, 100.0, values, torch.ones(3).double()).grid(300))
    for value in values:
        single = optimal_density(process, 100.0, value[None], ONE).grid(300)
        assert joint < error(single) * 1.001
    assert joint < error(time_grid(process, 300, "karras"))


def test_the_density_solves_its_equation():
    """rho^2 is proportional to sum A_i omega_i / (4 l_i), with A_i = int omega_i / rho."""
    process = EDM(sigma_max=100.0)
    values = torch.tensor([0.01, 0.3, 4.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    made = optimal_density(process, 100.0, values, weights)
    gap = made.times.diff()
    density = made.total.diff() / gap
    omega = step_weight(process, (made.times[1:] + made.times[:-1]) / 2, values)
    cost = (omega / density.unsqueeze(-1) * gap.unsqueeze(-1)).sum(0)
    ratio = density**2 / (omega @ (cost * weights / (4 * values)))
    middle = ratio[20:-20]
    torch.testing.assert_close(middle / middle.mean(), torch.ones_like(middle), rtol=0.02, atol=0)


class Tables(TorchDispatchMode):
    """Counts the tables of times x eigenvalues that are made."""

    def __init__(self, columns):
        super().__init__()
        self.columns, self.made = columns, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        shape = getattr(out, "shape", ())
        self.made += len(shape) == 2 and shape[0] > 100 and shape[1] == self.columns
        return out


def test_sweeps_are_trapezoids_and_make_no_tables(monkeypatch):
    """Equal to the sums over times written out; sweeps cost products, whatever their number."""
    process = VP.linear(a=19.9, b=0.1)
    values = torch.logspace(-3, 1, 37, dtype=torch.float64)
    weights = torch.linspace(0.5, 2.0, 37, dtype=torch.float64)
    made = {}
    for sweeps in (1, 3):
        monkeypatch.setattr(density, "SWEEPS", sweeps)
        with Tables(37) as tables:
            found = optimal_density(process, 1.0, values, weights)
        made[sweeps] = tables.made
    assert made[3] == made[1] > 0

    omega = step_weight(process, found.times, values).abs()
    rho = (omega @ (weights / values / 4)).sqrt()
    for _ in range(3):
        rho = rho.clamp_min(1e-6 * float(rho.max()))
        cost = torch.trapezoid(omega / rho[:, None], found.times, dim=0)
        new = (omega @ (cost * weights / values / 4)).sqrt()
        rho = (rho * new / new.max() * rho.max()).sqrt()
    total = torch.cumulative_trapezoid(rho, found.times)
    torch.testing.assert_close(found.total[1:], total, rtol=1e-12, atol=0)
