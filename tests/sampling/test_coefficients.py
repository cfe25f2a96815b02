"""The three numbers of every one-evaluation method, against what was published."""

import math

import pytest
import torch
from scipy.integrate import quad

from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, OU, VE, VP, SubVP
from wasserscore.sampling import solver, solvers, time_grid

ONE_EVALUATION = [s.name for s in solvers() if s.coefficients is not None]
ETAS = (0.0, 0.5, 1.0)
PROCESSES = [
    VP.linear(a=19.9, b=0.1, horizon=1.0),
    VE.exponential(a=1.0, b=1.0),
    OU(alpha=0.7, sigma=1.3, horizon=2.0),
    SubVP.linear(a=19.9, b=0.1, horizon=1.0),
]


def integrals(process, t, s):
    """F, G, E and the noise variance of the linear equation, by quadrature alone."""
    f, g2 = lambda u: float(process.f(u)), lambda u: float(process.g2(u))
    tight = {"epsabs": 1e-13, "epsrel": 1e-12}
    stretch = lambda u: quad(f, s, u, **tight)[0]
    return (
        stretch(t),
        quad(g2, s, t, **tight)[0],
        quad(lambda u: math.exp(stretch(u)) * g2(u), s, t, **tight)[0],
        quad(lambda u: math.exp(2 * stretch(u)) * g2(u), s, t, **tight)[0],
    )


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
@pytest.mark.parametrize(("t", "s"), [(0.8, 0.6), (0.3, 0.0)])
def test_euler_and_exponential_forms(process, t, s, eta):
    f_bar, g_bar, weight, spread = integrals(process, t, s)
    h, f, g2 = t - s, float(process.f(t)), float(process.g2(t))
    share = {0.0: 0.5, 0.5: 0.625, 1.0: 1.0}[eta]
    fresh = {0.0: 0.0, 0.5: 0.25, 1.0: 1.0}[eta]
    published = {
        "integrated_euler": (1 + f_bar, share * g_bar, fresh * g_bar),
        "euler_maruyama": (1 + f * h, share * g2 * h, fresh * g2 * h),
        "euler": (1 + f * h, share * g2 * h, fresh * g2 * h),
        "exponential": (math.exp(f_bar), share * weight, fresh * spread),
    }
    for name, expected in published.items():
        got = [float(c) for c in solver(name).coefficients(process, t, s, eta)]
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-14), name


def ddim_as_published(abar_t, abar_s, eta, x, noise, z):
    """Song, Meng, Ermon 2021, eqs. (12) and (16), with their alpha written abar."""
    sigma = eta * math.sqrt((1 - abar_s) / (1 - abar_t)) * math.sqrt(1 - abar_t / abar_s)
    predicted = (x - math.sqrt(1 - abar_t) * noise) / math.sqrt(abar_t)
    direction = math.sqrt(1 - abar_s - sigma**2) * noise
    return math.sqrt(abar_s) * predicted + direction + sigma * z


def ddpm_as_published(abar_t, abar_s, x, noise, z):
    """Ho, Jain, Abbeel 2020, algorithm 2 with the variance of eq. (7)."""
    alpha = abar_t / abar_s
    mean = (x - (1 - alpha) / math.sqrt(1 - abar_t) * noise) / math.sqrt(alpha)
    return mean + math.sqrt((1 - abar_s) / (1 - abar_t) * (1 - alpha)) * z


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.9), (0.5, 0.2), (0.1, 0.0)])
def test_ddim_and_ancestral_are_the_published_forms(t, s):
    process, x, z, noise = VP.linear(a=19.9, b=0.1, horizon=1.0), 0.7, -1.1, 0.4
    abar_t, abar_s = float(process.alpha(t)) ** 2, float(process.alpha(s)) ** 2
    score = -noise / math.sqrt(1 - abar_t)

    def moved(name, eta):
        e, q, n = (float(c) for c in solver(name).coefficients(process, t, s, eta))
        return e * x + q * score + math.sqrt(n) * z

    for eta in (*ETAS, 0.3):
        expected = ddim_as_published(abar_t, abar_s, eta, x, noise, z)
        assert moved("ddim", eta) == pytest.approx(expected, rel=1e-12)
        assert moved("ancestral", eta) == pytest.approx(expected, rel=1e-12)
    assert moved("ancestral", 1.0) == pytest.approx(
        ddpm_as_published(abar_t, abar_s, x, noise, z), rel=1e-12
    )


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
@pytest.mark.parametrize("eta", [*ETAS, 0.3])
def test_dpmpp_1s_is_the_published_form(process, eta):
    """Data prediction in half-log-SNR; between 0 and 1 by quadrature of the frozen equation."""
    t, s, x, data = 0.8, 0.6, 0.7, -0.2
    alpha = [float(process.alpha(u)) for u in (t, s)]
    sigma = [float(process.sigma(u)) for u in (t, s)]
    lam = [math.log(a / b) for a, b in zip(alpha, sigma, strict=True)]
    h = lam[1] - lam[0]
    score = (alpha[0] * data - x) / sigma[0] ** 2
    e, q, n = (float(c) for c in solver("dpmpp_1s").coefficients(process, t, s, eta))
    if eta in (0.0, 1.0):  # Lu et al. 2022, eqs. (9) and (18)
        decay = math.exp(-h) if eta else 1.0
        mean = sigma[1] / sigma[0] * decay * x + alpha[1] * (1 - math.exp(-h) * decay) * data
        variance = sigma[1] ** 2 * (1 - math.exp(-2 * h)) if eta else 0.0
    else:
        rate = 1 + eta**2
        mean = alpha[1] * (data + (x / alpha[0] - data) * math.exp(-rate * h))
        heat = lambda u: 2 * eta**2 * math.exp(-2 * rate * (lam[1] - u)) * math.exp(-2 * u)
        variance = alpha[1] ** 2 * quad(heat, *lam, epsabs=1e-14)[0]
    assert e * x + q * score == pytest.approx(mean, rel=1e-10)
    assert n == pytest.approx(variance, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
@pytest.mark.parametrize("eta", [*ETAS, 0.3])
def test_dpm_1s_is_the_published_form(process, eta):
    """Noise prediction in half-log-SNR; Lu et al. 2022 have eta = 0 and 1."""
    t, s, x, noise = 0.8, 0.6, 0.7, -0.2
    alpha = [float(process.alpha(u)) for u in (t, s)]
    sigma = [float(process.sigma(u)) for u in (t, s)]
    h = math.log(alpha[1] / sigma[1]) - math.log(alpha[0] / sigma[0])
    e, q, n = (float(c) for c in solver("dpm_1s").coefficients(process, t, s, eta))
    mean = alpha[1] / alpha[0] * x - (1 + eta**2) * sigma[1] * math.expm1(h) * noise
    assert e * x - q * noise / sigma[0] == pytest.approx(mean, rel=1e-10)
    assert n == pytest.approx(eta**2 * sigma[1] ** 2 * math.expm1(2 * h), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("name", ONE_EVALUATION)
@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_tensors_of_times_give_every_step_at_once(name, process):
    times = torch.tensor([1.0, 0.7, 0.3, 0.0], dtype=torch.float64)
    whole = solver(name).coefficients(process, times[:-1], times[1:], 0.5)
    for k, t, s in TimeGrid(times).pairs():
        one = solver(name).coefficients(process, t, s, 0.5)
        for entry, single in zip(whole, one, strict=True):
            assert entry.dtype == torch.float64
            assert float(entry[k]) == pytest.approx(float(single), rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("name", ["ddim", "ancestral", "dpmpp_1s"])
def test_a_step_to_zero_noise_is_the_denoiser_without_noise(name):
    """Published last-step noise is a known mistake (FID 38 for 33): here there is none."""
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    for eta in ETAS:
        e, q, n = (float(c) for c in solver(name).coefficients(process, 0.2, 0.0, eta))
        alpha, variance = float(process.alpha(0.2)), float(process.variance(0.2))
        assert (e, q, n) == pytest.approx((1 / alpha, variance / alpha, 0.0), rel=1e-12)


def test_euler_under_edm_is_ddim():
    grid = time_grid(EDM(sigma_max=80.0), 18)
    for _, t, s in grid.pairs():
        euler = solver("euler").coefficients(EDM(sigma_max=80.0), t, s, 0.0)
        ddim = solver("ddim").coefficients(EDM(sigma_max=80.0), t, s, 0.0)
        assert [float(c) for c in euler] == pytest.approx([float(c) for c in ddim], rel=1e-12)


def test_time_change_identity(target):
    """C2: only F and G enter (2.7), so a schedule is a grid."""
    data = target(0.3, 0.25)
    fast = VP.polynomial(a=19.9, b=0.1, rho=1.0, horizon=1.0)
    grid = time_grid(fast, 300, "uniform")
    clock = 0.1 * grid.times + 19.9 * grid.times**2 / 2
    plain = VP.constant(beta=1.0, horizon=float(clock[0]))
    here = data.recursion(fast, "integrated_euler", grid, start="prior")
    there = data.recursion(plain, "integrated_euler", TimeGrid(clock), start="prior")
    for a, b in zip(here, there, strict=True):
        assert abs(float(a - b)) < 1e-12
