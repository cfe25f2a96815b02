"""The Wasserstein proximal operator: closed forms, the equations it solves, and identities.

rho is the solution of the game, eta the noised target; PDE solvers here only verify.
"""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import solve_banded

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


def test_a3_it_solves_the_fokker_planck_equation():
    # Conservative central differences and Crank-Nicolson for d rho + d(rho v) = rho'' / 2.
    pi, errors = three_bumps(), []
    for n, steps in ((361, 100), (721, 200)):
        grid = line(-9, 9, n)
        x, h, dt = grid.axes[0], grid.cell, 1 / steps
        rho = normal(x, 0.3, 1.44).exp()
        middle = (x[1:] + x[:-1])[:, None] / 2
        for k in range(steps):
            velocity = pi(middle, 1 - (k + 0.5) * dt)[:, 0]
            # flux at i + 1/2: left[i] rho_i + right[i] rho_{i+1}
            left, right = velocity / 2 + 0.5 / h, velocity / 2 - 0.5 / h
            diagonal = torch.zeros_like(x)
            diagonal[:-1] -= left / h
            diagonal[1:] += right / h
            upper, lower = -right / h, left / h
            rate = diagonal * rho
            rate[:-1] += upper * rho[1:]
            rate[1:] += lower * rho[:-1]
            bands = torch.zeros(3, n, dtype=torch.float64)
            bands[0, 1:], bands[1], bands[2, :-1] = upper, diagonal, lower
            system = -dt / 2 * bands
            system[1] += 1
            rho = torch.from_numpy(
                solve_banded((1, 1), system.numpy(), (rho + dt / 2 * rate).numpy())
            )
        assert abs(float(rho.sum()) * h - 1) < 1e-10
        kernel = wasserstein_proximal(
            pi.log_prob(grid.points), normal(x, 0.3, 1.44), grid, CLOCK, 1.0
        )
        errors.append(float((rho - kernel.exp()).abs().sum()) * h)
    assert errors[0] < 5e-3
    assert 1.8 < math.log2(errors[0] / errors[1]) < 2.2


def test_a4_minus_log_density_solves_the_hamilton_jacobi_bellman_equation():
    # d_s U + |U'|^2 / 2 = U'' / 2 with s the noise variance: Crank-Nicolson and Adams-Bashforth.
    pi, errors = three_bumps(), []
    for n, steps in ((151, 1000), (301, 2000)):
        x = torch.linspace(-4, 5, n, dtype=torch.float64)
        h, dt = float(x[1] - x[0]), 1 / steps
        value, last = -pi.log_prob(x[:, None]), None
        times = torch.arange(1, steps + 1, dtype=torch.float64)[:, None] * dt
        spread = wide([0.3**2, 0.5**2, 0.4**2]) + times
        logs = [normal(x[end] - wide([-2.0, 0.5, 3.0]), 0.0, spread) for end in (0, -1)]
        ends = [-(log + wide([0.35, 0.45, 0.2]).log()).logsumexp(1) for log in logs]
        bands = torch.zeros(3, n, dtype=torch.float64)
        bands[0, 2:], bands[2, :-2] = -dt / (4 * h**2), -dt / (4 * h**2)
        bands[1, 1:-1], bands[1, 0], bands[1, -1] = 1 + dt / (2 * h**2), 1, 1
        for k in range(steps):
            slope = (value[2:] - value[:-2]) / (2 * h)
            now = slope.square() / 2
            extrapolated = now if last is None else 1.5 * now - 0.5 * last
            last = now
            bend = (value[2:] - 2 * value[1:-1] + value[:-2]) / h**2
            right = torch.empty_like(x)
            right[0], right[-1] = ends[0][k], ends[1][k]
            right[1:-1] = value[1:-1] + dt * (bend / 4 - extrapolated)
            value = torch.from_numpy(solve_banded((1, 1), bands.numpy(), right.numpy()))
        errors.append(float((value + pi.log_prob(x[:, None], 1.0)).abs().max()))
    assert errors[1] < 3e-3
    assert 1.8 < math.log2(errors[0] / errors[1]) < 2.2


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


def test_a7_two_dimensions():
    axis = torch.linspace(-8, 8, 128, dtype=torch.float64)
    grid, g = Grid((axis, axis)), torch.Generator().manual_seed(0)
    roots = 0.35 * torch.randn(3, 2, 2, generator=g, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.15 * torch.eye(2).double()
    pi = ProximalScore(
        wide([[-1.0, 0.3], [1.2, 1.0], [0.2, -1.4]]), Spiked.dense(covariances), CLOCK
    )
    target = grid.log_density(pi.log_prob(grid.points))
    flowed = noised(target, grid, CLOCK, 0.8)
    expected = grid.log_density(pi.log_prob(grid.points, 0.8))
    assert (flowed.exp() - expected.exp()).abs().max() < 1e-9
    # The Fourier transform of the same heat flow, with the box taken as a torus.
    wave = 2 * math.pi * torch.fft.fftfreq(128, float(axis[1] - axis[0]), dtype=torch.float64)
    decay = torch.exp(-0.4 * (wave[:, None].square() + wave.square()))
    spectral = torch.fft.ifft2(torch.fft.fft2(target.exp()) * decay).real
    assert (flowed.exp() - spectral).abs().max() < 1e-9
    start = normal(axis, 0.2, 0.9)[:, None] + normal(axis, -0.1, 0.7)
    result = wasserstein_proximal(target, start, grid, CLOCK, 0.8)
    assert abs(grid.log_mass(result)) < 1e-9


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
