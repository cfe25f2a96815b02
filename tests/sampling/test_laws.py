"""What samplers converge to: the target, whatever the stochasticity, with a known residual."""

import pytest
import torch

from wasserscore.process import EDM, OU, VE, VP
from wasserscore.sampling import Sampler, predictor_corrector, solver, solvers, time_grid

COEFFICIENTS = [s.name for s in solvers() if s.coefficients is not None]


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", COEFFICIENTS)
def test_running_a_sampler_follows_the_recursion(gaussian, processes, name, eta):
    """Section 10 of the theory: the steps that run are the coefficients that are planned with."""
    process = processes["vp_linear"]
    grid = time_grid(process, 12)
    ran = gaussian.run(process, name, grid, eta, start="prior")
    planned = gaussian.recursion(process, name, grid, eta, start="prior")
    for a, b in zip(ran, planned, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)


def reach(make, noise_to_signal):
    return make(float(make(1.0).time_at(noise_to_signal)))


def test_residual_mean_of_the_integrated_scheme_is_exact_on_ve(target):
    """C13 as corrected by K1: |mu| l/(l + S_T) at any number of steps."""
    data = target(0.3, 0.25)
    process = reach(lambda h: VE.exponential(a=1.0, b=1.0, horizon=h), 1e3)
    for steps in (10, 200):
        grid = time_grid(process, steps, "uniform")
        mean, _ = data.recursion(process, "integrated_euler", grid, start="prior")
        assert 0.3 - float(mean) == pytest.approx(0.3 * 0.25 / (0.25 + 1e3), rel=1e-8)


@pytest.mark.parametrize(
    ("eta", "exponent", "tolerance"), [(1.0, 1.0, 2e-3), (0.0, 0.5, 1e-3)], ids=["sde", "ode"]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda h: VP.constant(beta=1.0, horizon=h),
        lambda h: VP.linear(a=1.0, b=0.1, horizon=h),
        lambda h: OU(alpha=1.0, sigma=2.0, horizon=h),
    ],
    ids=["vp_const", "vp_linear", "ou"],
)
def test_residual_mean_of_the_exponential_integrator(target, make, eta, exponent, tolerance):
    """C13 as corrected by K1: the reverse SDE forgets its start twice as fast as the flow."""
    process, data = reach(make, 1e3), target(0.3, 0.25)
    grid = time_grid(process, 20_000, "uniform")
    mean, _ = data.recursion(process, "exponential", grid, eta, start="prior")
    expected = 0.3 * (0.25 / (0.25 + 1e3)) ** exponent
    assert 0.3 - float(mean) == pytest.approx(expected, rel=tolerance)


def test_monte_carlo_agrees_with_the_recursion(target, generator):
    """C18: 2e5 samples of (2.7), d = 1, within 4 standard errors; exact moments as published."""
    data, process = target(0.3, 0.25), VP.linear(a=19.9, b=0.1, horizon=1.0)
    grid, n = time_grid(process, 100, "uniform"), 200_000
    mean, variance = data.recursion(process, "integrated_euler", grid, start="prior")
    assert float(mean) == pytest.approx(0.29920, abs=5e-6)
    assert float(variance) == pytest.approx(0.26191, abs=5e-6)
    sampler = Sampler(data.score(process), process, "integrated_euler", grid)
    draw = lambda k: torch.randn(n // 100, 100, generator=generator, dtype=torch.float64)
    x = sampler.run(sampler.from_noise(draw(0)), draw)
    assert abs(float(x.mean() - mean)) < 4 * (float(variance) / n) ** 0.5
    assert abs(float(x.var() - variance)) < 4 * float(variance) * (2 / n) ** 0.5


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", [s.name for s in solvers() if s.stochastic and s.noises == 1])
def test_every_eta_keeps_the_marginals(gaussian, processes, smooth, name, eta):
    """Fine steps, early stop: mean and variance are those of the noised target at the stop."""
    process = processes["vp_linear"]
    grid = time_grid(process, 250, "logsnr", stop=float(process.time_at(0.04)))
    mean, variance = gaussian.run(process, name, grid, eta)
    exact, spread = gaussian.at(process, grid.stop)
    assert torch.allclose(mean, exact, rtol=0.03)
    assert torch.allclose(variance, spread, rtol=0.08)


def test_langevin_steps_by_their_closed_form(gaussian):
    """One predictor step, then m' = m + eps (mu - m)/v, V' = (1 - eps/v)^2 V + 2 eps."""
    process = EDM(sigma_max=80.0)
    grid = time_grid(process, 1, stop=2.0)
    predicted, spread = gaussian.run(process, "ancestral", grid, 1.0)
    mean, variance = gaussian.run(process, "pc", grid, 1.0)
    at, v = gaussian.at(process, 2.0)
    size = 2 * (0.16 * 2.0) ** 2
    assert torch.allclose(mean, predicted + size / v * (at - predicted), rtol=1e-12)
    assert torch.allclose(variance, (1 - size / v) ** 2 * spread + 2 * size, rtol=1e-12)


def test_corrections_bring_a_coarse_sampler_closer(gaussian):
    process = EDM(sigma_max=80.0)
    grid = time_grid(process, 10)
    errors = [gaussian.w2(*gaussian.run(process, "ancestral", grid, 1.0))]
    for corrections in (1, 4, 16):
        method = predictor_corrector(solver("ancestral"), corrections=corrections)
        errors.append(gaussian.w2(*gaussian.run(process, method, grid, 1.0)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.75 * errors[0]


def test_the_order_in_which_solvers_rank_on_the_default_grid(gaussian):
    """18 Karras steps under EDM: high order pays, in its published order of merit."""
    process = EDM(sigma_max=80.0)
    grid = time_grid(process, 18)
    error = {name: gaussian.w2(*gaussian.run(process, name, grid, 0.0))
             for name in ("ddim", "dpmpp_2m", "dpmpp_2s", "heun", "deis")}  # fmt: skip
    assert max(error["dpmpp_2m"], error["heun"], error["deis"]) < error["ddim"] / 2.5
    assert solver("heun").evaluations(grid) == 35
