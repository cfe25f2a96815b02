"""High-order methods against loops written from the papers, under VP and EDM."""

import math

import pytest
import torch
from scipy.integrate import quad

from wasserscore.core.errors import InputError
from wasserscore.process import EDM, VP
from wasserscore.sampling import Sampler, heun_churn, predictor_corrector, solver, time_grid

PROCESSES = [EDM(sigma_max=80.0), VP.linear(a=19.9, b=0.1, horizon=1.0)]


def bent_score(process):
    """A smooth score that is not linear, so that no error can cancel by symmetry."""

    def score(x, t):
        variance = process.alpha(t) ** 2 * 0.3 + process.variance(t)
        return -(x - 0.2 * process.alpha(t)) / variance + 0.3 * torch.sin(x) / (1 + variance)

    return score


@pytest.fixture(params=PROCESSES, ids=lambda p: p.name)
def setting(request, generator):
    process = request.param
    grid = time_grid(process, 9)
    start = float(process.sigma(grid.start))
    x = start * torch.randn(5, 2, generator=generator, dtype=torch.float64)
    z = torch.randn(9, 5, 2, generator=generator, dtype=torch.float64)
    return process, grid, x, z


def clocks(process, t):
    return float(process.alpha(t)), float(process.sigma(t))


def denoiser(process):
    score = bent_score(process)

    def data(x, t):
        alpha, sigma = clocks(process, t)
        return (x + sigma**2 * score(x, torch.tensor(t, dtype=torch.float64))) / alpha

    return data


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_2m_and_its_sde_form(setting, eta):
    """Lu et al. 2022, algorithm 2 and its SDE form (midpoint), in half-log-SNR."""
    process, grid, x, z = setting
    name = "dpmpp_2m" if eta < 1 else "dpmpp_2m_sde"
    got = Sampler(bent_score(process), process, name, grid, eta).run(x, lambda k: z[k])
    data, old, last_h, tau = denoiser(process), None, None, eta**2
    for k, t, s in grid.pairs():
        (alpha_t, sigma_t), (alpha_s, sigma_s) = clocks(process, t), clocks(process, s)
        now = data(x, t)
        if sigma_s == 0:
            x = alpha_s * now
            break
        h = math.log(alpha_s / sigma_s) - math.log(alpha_t / sigma_t)
        aim = now if old is None else now + 0.5 * (h / last_h) * (now - old)
        x = (
            sigma_s / sigma_t * math.exp(-tau * h) * x
            - alpha_s * math.expm1(-(1 + tau) * h) * aim
            + sigma_s * math.sqrt(-math.expm1(-2 * tau * h)) * z[k]
        )
        old, last_h = now, h
    assert torch.allclose(got, x, rtol=1e-10)


def test_2s(setting):
    """Lu et al. 2022, algorithm 1 with r = 1/2."""
    process, grid, x, _ = setting
    got = Sampler(bent_score(process), process, "dpmpp_2s", grid).run(x)
    data = denoiser(process)
    for _, t, s in grid.pairs():
        (alpha_t, sigma_t), (alpha_s, sigma_s) = clocks(process, t), clocks(process, s)
        now = data(x, t)
        if sigma_s == 0:
            x = alpha_s * now
            break
        h = math.log(alpha_s / sigma_s) - math.log(alpha_t / sigma_t)
        middle = float(process.time_at((sigma_t / alpha_t) ** 2 * math.exp(-h)))
        alpha_m, sigma_m = clocks(process, middle)
        u = sigma_m / sigma_t * x - alpha_m * math.expm1(-h / 2) * now
        x = sigma_s / sigma_t * x - alpha_s * math.expm1(-h) * data(u, middle)
    assert torch.allclose(got, x, rtol=1e-9)


def test_deis(setting):
    """Log-rho: the quadratic in log(sigma/alpha) through the last three noises, integrated."""
    process, grid, x, _ = setting
    got = Sampler(bent_score(process), process, "deis", grid).run(x)
    data, past, alpha_0 = denoiser(process), [], float(process.alpha(grid.start))
    y = x / alpha_0
    for _, t, s in grid.pairs():
        alpha_t, sigma_t = clocks(process, t)
        alpha_s, sigma_s = clocks(process, s)
        r, end = sigma_t / alpha_t, sigma_s / alpha_s
        past = [*past, (r, (y - data(alpha_t * y, t)) / r)][-3:]
        clock = math.log if end > 0 else float  # the last step has no logarithm
        for node, value in past:
            others = [clock(other) for other, _ in past if other != node]
            at = clock(node)
            basis = lambda u, at=at, others=others, clock=clock: math.prod(
                (clock(u) - other) / (at - other) for other in others
            )
            y = y + quad(basis, r, end, epsabs=1e-13, epsrel=1e-12)[0] * value
    assert torch.allclose(got, float(process.alpha(grid.stop)) * y, rtol=1e-9)


def test_heun_is_algorithm_1_of_edm(generator):
    process = EDM(sigma_max=80.0)
    grid, data = time_grid(process, 9), denoiser(process)
    x = 80 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
    got = Sampler(bent_score(process), process, "heun", grid).run(x)
    also = Sampler(bent_score(process), process, heun_churn(), grid, eta=0.0).run(x)
    for _, t, s in grid.pairs():
        d = (x - data(x, t)) / t
        y = x + (s - t) * d
        if s > 0:
            d = d / 2 + (y - data(y, s)) / s / 2
            y = x + (s - t) * d
        x = y
    assert torch.allclose(got, x, rtol=1e-10)
    assert torch.allclose(also, x, rtol=1e-10)


def test_churn_is_algorithm_2_of_edm(generator):
    process = EDM(sigma_max=80.0)
    grid, data = time_grid(process, 9), denoiser(process)
    x = 80 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
    z = torch.randn(9, 5, 2, generator=generator, dtype=torch.float64)
    method = heun_churn(3.0, least=0.05, most=50.0, noise_scale=1.003)
    got = Sampler(bent_score(process), process, method, grid).run(x, lambda k: z[k])
    for k, t, s in grid.pairs():
        gamma = min(3.0 / 9, math.sqrt(2) - 1) if 0.05 <= t <= 50 else 0.0
        raised = t + gamma * t
        x = x + math.sqrt(raised**2 - t**2) * 1.003 * z[k]
        d = (x - data(x, raised)) / raised
        y = x + (s - raised) * d
        if s > 0:
            d = d / 2 + (y - data(y, s)) / s / 2
            y = x + (s - raised) * d
        x = y
    assert torch.allclose(got, x, rtol=1e-10)


def test_churn_is_capped_at_the_square_root_of_two_and_at_the_horizon(counting):
    process = EDM(sigma_max=80.0)
    grid = time_grid(process, 4)
    score = counting(bent_score(process))
    sampler = Sampler(score, process, heun_churn(1e6), grid)
    sampler.run(torch.ones(2, 1, dtype=torch.float64), lambda k: torch.ones(2, 1).double())
    assert max(score.times) == pytest.approx(80.0)
    raised = [t for t in score.times if t not in grid.times.tolist()]
    expected = [math.sqrt(2) * t for t in grid.times[1:-1].tolist()]
    assert sorted(raised) == pytest.approx(sorted(expected), rel=1e-12)


def test_heun_follows_the_published_recursion(gaussian, processes, uniform):
    """K2: e = 1 + h/2 (A + A'(1 + h A)), m' = e m + h/2 (c + c' + h A' c), down to S = 0.01."""
    process = processes["vp_linear"]
    grid = uniform(process, float(process.time_at(0.01)))(40)
    at, v = gaussian.at(process, grid.times[:, None])
    f, g2 = process.f(grid.times)[:, None], process.g2(grid.times)[:, None]
    slope, push = f - g2 / (2 * v), g2 * at / (2 * v)
    mean, variance = gaussian.at(process, grid.start)
    for k, t, s in grid.pairs():
        h = t - s
        e = 1 + h / 2 * (slope[k] + slope[k + 1] * (1 + h * slope[k]))
        mean = e * mean + h / 2 * (push[k] + push[k + 1] + h * slope[k + 1] * push[k])
        variance = e**2 * variance
    got = gaussian.run(process, "heun", grid)
    assert torch.allclose(got[0], mean, rtol=1e-11)
    assert torch.allclose(got[1], variance, rtol=1e-11)


def test_a_trajectory_by_hand_is_the_run(setting):
    process, grid, x, z = setting
    for name in ("heun", "dpmpp_2m_sde", "deis", "ancestral"):
        sampler = Sampler(bent_score(process), process, name, grid)
        whole = sampler.run(x, lambda k: z[k])
        for _ in range(2):  # a fresh stepper forgets the last trajectory
            advance, y = sampler.stepper(), x
            for k in range(grid.steps):
                y = advance(k, y, z[k])
            assert torch.equal(y, whole)
        if sampler.method.memory:
            with pytest.raises(InputError, match="remembers"):
                sampler.step(0, x, z[0])
        else:
            assert torch.equal(sampler.step(0, x, z[0]), sampler.stepper()(0, x, z[0]))


def test_a_stochastic_step_without_noise_is_refused(setting):
    process, grid, x, z = setting
    for call in (
        lambda s: s.run(x),
        lambda s: s.step(0, x),
    ):
        with pytest.raises(InputError, match="needs noise"):
            call(Sampler(bent_score(process), process, "ancestral", grid))
    with pytest.raises(InputError, match="2 noises"):
        Sampler(bent_score(process), process, "pc", grid).run(x, lambda k: z[k])


def test_a_corrector_needs_a_one_step_predictor():
    with pytest.raises(InputError, match="no memory"):
        predictor_corrector(solver("deis"))
    with pytest.raises(InputError, match="at least 1"):
        predictor_corrector(solver("ddim"), corrections=0)
