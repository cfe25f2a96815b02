"""The exact recursion: published numbers, identities, orders, and the samplers themselves."""

import math

import numpy as np
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.dynamics import Coefficients, TimeGrid
from wasserscore.planner.recursion import _probe, gaussian_recursion
from wasserscore.process import EDM, OU, VE, VP, LinearSDE, SubVP
from wasserscore.sampling import Law, Sampler, Solver, solver, solvers, time_grid

ZERO, QUARTER, ONE = (torch.tensor([v], dtype=torch.float64) for v in (0.0, 0.25, 1.0))
MEAN = torch.full((3,), 0.3, dtype=torch.float64)
SPECTRUM = torch.tensor([0.05, 0.25, 1.5], dtype=torch.float64)


def until(process, noise_to_signal):
    """The process with the horizon at which S has this value."""
    end = float(process.time_at(noise_to_signal))
    return type(process).make(process.schedule, end, process.recipe)


def w2(process, method, grid, mean, values, **options):
    end_mean, end_variance = gaussian_recursion(process, method, grid, mean, values, **options)
    errors = (end_mean - mean) ** 2 + (end_variance.sqrt() - values.sqrt()) ** 2
    return float(errors.sum().sqrt())


def order(process, method, steps, mean, values, **options):
    """Fitted order of W2 in the number of uniform steps."""
    # Heun's last step to t = 0 is Euler's; just above it the method is Heun throughout
    stop = 1e-9 if method == "heun" else None
    grids = [time_grid(process, k, "uniform", stop=stop) for k in steps]
    errors = [w2(process, method, grid, mean, values, **options) for grid in grids]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0], errors


def test_time_change_identity():
    """C2: VP is one process on many grids."""
    linear = VP.polynomial(a=19.9, b=0.1, rho=1.0, horizon=1.0)
    grid = time_grid(linear, 300, "uniform")
    clock = linear.integrated_beta(grid.times)
    constant = VP.constant(beta=1.0, horizon=float(clock[0]))
    there = gaussian_recursion(linear, "integrated_euler", grid, MEAN, SPECTRUM)
    here = gaussian_recursion(constant, "integrated_euler", TimeGrid(clock), MEAN, SPECTRUM)
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_published_errors_of_constant_vp():
    """C3."""
    process = until(VP.constant(beta=1.0), 1e6)
    steps = [1000, 2000, 4000, 8000]
    slope, errors = order(process, "integrated_euler", steps, ZERO, QUARTER)
    assert errors[0] == pytest.approx(6.57e-3, rel=0.01)
    assert errors[-1] == pytest.approx(8.15e-4, rel=0.01)
    assert 0.99 <= slope <= 1.02


def test_published_error_of_exponential_ve():
    """C4."""
    process = until(VE.exponential(a=1.0, b=1.0), 2e4)
    grid = time_grid(process, 8000, "uniform")
    assert w2(process, "integrated_euler", grid, ZERO, QUARTER) == pytest.approx(4.97e-4, rel=0.01)


def test_published_constants_of_vp_grids():
    """C6: uniform steps in the signal factor against uniform steps in B."""
    for steps in (400, 1600):
        signal = torch.linspace(0.5 / steps, 1, steps + 1, dtype=torch.float64)
        grid = TimeGrid((-2 * signal.log()).clamp_min(0))
        process = VP.constant(beta=1.0, horizon=grid.start)
        assert steps * w2(process, "integrated_euler", grid, ZERO, ONE) == pytest.approx(
            0.5, abs=0.002
        )
    process = VP.constant(beta=1.0, horizon=12.0)
    error = w2(process, "integrated_euler", time_grid(process, 1600, "uniform"), ZERO, ONE)
    assert 1600 * error == pytest.approx(1.502, abs=0.003)


ASYMPTOTIC = {
    "ve_exp": until(VE.exponential(a=1.0, b=1.0), 1e4),
    "ve_poly": until(VE.polynomial(a=1.0, b=0.5, c=2.0), 1e4),
    "vp_const": until(VP.constant(beta=1.0), 1e6),
    "vp_linear": until(VP.linear(a=1.0, b=0.1), 1e6),
    "vp_exp": until(VP.exponential(a=0.3, b=1.0), 1e6),
}


@pytest.mark.parametrize("process", ASYMPTOTIC.values(), ids=ASYMPTOTIC)
@pytest.mark.parametrize(
    ("method", "eta"),
    [
        ("integrated_euler", 1.0), ("euler_maruyama", 1.0), ("exponential", 1.0),
        ("integrated_euler", 0.0), ("exponential", 0.0), ("heun", 0.0),
    ],
)  # fmt: skip
def test_orders_of_convergence(process, method, eta):
    """C12 as corrected: from the exact noised law, so that only the steps err.

    At small b Euler-Maruyama's leading term under (b + t)^4 vanishes (order 2 at b = 0.1).
    """
    steps = [128, 256, 512, 1024]
    slope, _ = order(process, method, steps, MEAN, SPECTRUM, start="marginal", eta=eta)
    low, high = (1.9, 2.2) if method == "heun" else (0.95, 1.25)
    assert low <= slope <= high


def test_mean_residuals_in_the_limit():
    """C13: l / (l + S) for the reverse SDE, its root for the probability flow."""
    process = until(VP.constant(beta=1.0), 1e3)
    grid = time_grid(process, 20000, "uniform")
    left = 0.25 / (0.25 + 1e3)
    for eta, expected, rel in ((1.0, 0.3 * left, 2e-3), (0.0, 0.3 * left**0.5, 1e-3)):
        mean, _ = gaussian_recursion(process, "exponential", grid, ZERO + 0.3, QUARTER, eta=eta)
        assert 0.3 - float(mean) == pytest.approx(expected, rel=rel)


def test_monte_carlo_agrees(generator):
    """C18: the exact numbers, and 2e5 simulated samples within four standard errors."""
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    grid, n = time_grid(process, 100, "uniform"), 200_000
    mean, variance = gaussian_recursion(process, "integrated_euler", grid, ZERO + 0.3, QUARTER)
    assert float(mean) == pytest.approx(0.29920, abs=5e-6)
    assert float(variance) == pytest.approx(0.26191, abs=5e-6)

    def score(x, t):
        v = float(process.alpha(t)) ** 2 * 0.25 + float(process.variance(t))
        return (float(process.alpha(t)) * 0.3 - x) / v

    step = solver("integrated_euler").start(Law(score, process, 1.0, grid))
    draw = lambda: torch.randn(n, 1, generator=generator, dtype=torch.float64)
    x = process.prior((1,)).from_noise(draw())
    for _, t, s in grid.pairs():
        x = step(x, t, s, draw())
    sd = float(variance) ** 0.5
    assert abs(float(x.mean() - mean)) < 4 * sd / math.sqrt(n)
    assert abs(float(x.var() - variance)) < 4 * float(variance) * math.sqrt(2 / n)


@pytest.mark.parametrize("method", list(solvers()), ids=lambda method: method.name)
@pytest.mark.parametrize(
    "process",
    [EDM(sigma_max=30.0), VP.linear(a=19.9, b=0.1, horizon=1.0), OU(alpha=1.0, sigma=2.0)],
    ids=lambda process: process.family,
)
def test_recursion_is_what_the_sampler_does(method, process):
    """Mean and gain from running the real sampler on the Gaussian score from chosen starts."""
    grid = time_grid(process, 7, "karras")

    def score(x, t):
        v = process.alpha(t) ** 2 * SPECTRUM + process.variance(t)
        return (process.alpha(t) * MEAN - x) / v

    sampler = Sampler(score, process, method, grid)
    calm = lambda k: torch.zeros(
        *((method.noises,) if method.noises > 1 else ()), 2, 3, dtype=torch.float64
    )
    start = torch.stack([torch.zeros(3), torch.ones(3)]).double() * process.sigma(grid.start)
    end = sampler.run(start, calm if sampler.stochastic else None)
    mean, variance = gaussian_recursion(process, method, grid, MEAN, SPECTRUM)
    torch.testing.assert_close(mean, end[0], rtol=1e-10, atol=1e-12)
    if not sampler.stochastic:
        torch.testing.assert_close(variance.sqrt(), (end[1] - end[0]).abs(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("name", ["integrated_euler", "ddim", "exponential", "euler_maruyama"])
def test_coefficients_and_unit_noises_agree(name, eta):
    """Two ways to one answer: the closed recursion, and each noise carried through the steps."""
    process, method = SubVP.linear(a=19.9, b=0.1), solver(name)
    grid = time_grid(process, 9, "logsnr")
    state = torch.zeros(3).double(), process.variance(grid.start).expand(3)
    probed = _probe(process, method, grid, MEAN, SPECTRUM, state, eta, 0.2)
    closed = gaussian_recursion(process, method, grid, MEAN, SPECTRUM, eta=eta, score_bias=0.2)
    for a, b in zip(closed, probed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_heun_form_agrees_with_its_steps():
    process = VE.exponential(a=1.0, b=1.0, horizon=3.0)
    grid = time_grid(process, 6, "uniform")
    state = torch.zeros(3).double(), process.variance(grid.start).expand(3)
    probed = _probe(process, solver("heun"), grid, MEAN, SPECTRUM, state, 0.0, 0.2)
    closed = gaussian_recursion(process, "heun", grid, MEAN, SPECTRUM, score_bias=0.2)
    for a, b in zip(closed, probed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("method", list(solvers()), ids=lambda method: method.name)
def test_data_far_from_the_origin_have_the_variance_of_the_same_data_at_it(method):
    """The mean is a factor of its own: of the samples' mean, and of nothing else."""
    process, far = VP.linear(a=19.9, b=0.1, horizon=1.0), 1e9
    one = torch.ones_like(SPECTRUM)
    grid = time_grid(process, 7, "karras")
    near_mean, near = gaussian_recursion(process, method, grid, one, SPECTRUM)
    mean, variance = gaussian_recursion(process, method, grid, far * one, SPECTRUM)
    torch.testing.assert_close(variance, near, rtol=1e-12, atol=0)
    torch.testing.assert_close(mean / far, near_mean, rtol=1e-12, atol=0)


def test_user_coefficients_are_planned_like_any_other():
    own = LinearSDE(f=lambda t: (0.1 + 19.9 * t) / 2, g2=lambda t: 0.1 + 19.9 * t, horizon=1.0)
    grid = time_grid(own, 20, "uniform")
    closed = VP.linear(a=19.9, b=0.1, horizon=1.0)
    there = gaussian_recursion(own, "exponential", grid, MEAN, SPECTRUM)
    here = gaussian_recursion(closed, "exponential", grid, MEAN, SPECTRUM)
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_bias_shifts_the_mean_by_the_weight_of_the_theorem():
    """Many small steps: shift / bias = I2 = int exp(-H) dS / (1 + m0 S), 1 / m0 = l."""
    process = until(VE.exponential(a=1.0, b=1.0), 200.0)
    grid = time_grid(process, 20000, "uniform")
    mean, _ = gaussian_recursion(process, "integrated_euler", grid, ZERO, QUARTER, score_bias=1e-3)
    assert float(mean) / 1e-3 == pytest.approx(math.log(1 + 4 * 200) / 4, rel=2e-3)


def test_what_cannot_be_used_is_refused():
    process = EDM(sigma_max=10.0)
    grid = time_grid(process, 4)
    with pytest.raises(InputError, match="unknown start"):
        gaussian_recursion(process, "heun", grid, ZERO, ONE, start="data")
    with pytest.raises(InputError, match="non-negative"):
        gaussian_recursion(process, "heun", grid, ZERO, -ONE)
    with pytest.raises(InputError, match="unknown solver"):
        gaussian_recursion(process, "leapfrog", grid, ZERO, ONE)

    def bent(law):
        return lambda x, t, s, noise: x**2

    odd = Solver("bent", 1, 1, 0.0, "a test", stochastic=False, build=bent)
    with pytest.raises(InputError, match="affine"):
        gaussian_recursion(process, odd, grid, ZERO, ONE)


def test_a_wrong_coefficient_moves_the_published_number():
    """The check of C3 would see a score weight that is off by one percent."""

    def wrong(process, t, s, eta):
        e, q, n = solver("integrated_euler").coefficients(process, t, s, eta)
        return Coefficients(e, 1.01 * q, n)

    process = until(VP.constant(beta=1.0), 1e6)
    method = Solver("wrong", 1, 1, 1.0, "a test", coefficients=wrong)
    error = w2(process, method, time_grid(process, 8000, "uniform"), ZERO, QUARTER)
    assert abs(error / 8.15e-4 - 1) > 0.5
