"""Checks C7-C11 and C16 of the convergence theorem, and its closed-form limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from wasserscore.certificate.concavity import LogConcave, Smoothed
from wasserscore.certificate.convergence import (
    DataLaw,
    Path,
    convergence_bound,
    gaussian_time_lipschitz,
    step_limit,
)
from wasserscore.certificate.convergence_limits import flow_limits, ou_bound, sde_limits
from wasserscore.core.errors import AssumptionError, InputError
from wasserscore.planner import gaussian_recursion
from wasserscore.process import OU, VE, VP, Process, SubVP, from_dict
from wasserscore.sampling import time_grid

D = 100
MEAN = torch.full((D,), 0.3, dtype=torch.float64)
VALUES = torch.full((D,), 0.25, dtype=torch.float64)
RMS = math.sqrt(D * (0.09 + 0.25))
C10 = {
    "vp_constant": VP.constant(beta=1.0), "vp_linear": VP.linear(a=1.0, b=0.1),
    "vp_polynomial": VP.polynomial(a=1.0, b=0.3, rho=5.0),
    "vp_exponential": VP.exponential(a=0.3, b=1.0), "ou": OU(alpha=1.0, sigma=2.0),
    "ve_sqrt": VE.sqrt(a=1.0), "ve_polynomial": VE.polynomial(a=1.0, b=0.1, c=2.0),
    "ve_exponential": VE.exponential(a=1.0, b=1.0),
}  # fmt: skip


def at(process: Process, ratio: float) -> Process:
    """The same process with its horizon where the noise-to-signal ratio is ``ratio``."""
    return from_dict({**process.to_dict(), "horizon": float(process.time_at(ratio))})


def law(m1=0.0, error=0.0, dim=D, rms=RMS, m0=4.0, big=4.0):
    return DataLaw(LogConcave(m0, big), dim, rms, m1, error)


def exact(process, steps):
    """W2 of scheme (2.7) to N(0.3, 0.25 I_100): one coordinate, a hundred times."""
    grid = time_grid(process, steps, "uniform")
    mean, variance = gaussian_recursion(process, "integrated_euler", grid, MEAN[:1], VALUES[:1])
    return math.sqrt(D * ((mean - MEAN[0]) ** 2 + (variance.sqrt() - 0.5) ** 2).item())


@pytest.mark.parametrize(
    ("process", "ratio", "expected"),
    [(VP.constant(beta=1.0), 1000, 1.458e-3), (VE.exponential(a=1.0, b=1.0), 200, 7.28e-3)],
)
def test_c7_start(process, ratio, expected):
    assert Path(at(process, ratio), law(rms=34**0.5)).start() == pytest.approx(expected, rel=1e-3)


def test_c8_score_gain():
    for process in (VE.constant(a=1.0), VE.polynomial(a=1.0, b=0.1, c=2.0)):
        gain = sde_limits(at(process, 200), law()).score_gain
        assert gain == pytest.approx(math.log(801) / 4, rel=1e-9)
        assert gain == pytest.approx(1.671, abs=1e-3)


@pytest.mark.parametrize("name", ["vp_constant", "vp_linear", "vp_polynomial", "vp_exponential"])
def test_c8_the_full_sum_falls_to_the_score_gain(name):
    """E2 / M of the theorem's sum: above I2 = .745 for every VP, within 1 % at K = 1e5."""
    vp = at(C10[name], 1000)
    assert sde_limits(vp, law()).score_gain == pytest.approx(0.745, abs=1e-3)
    sums = [convergence_bound(vp, law(error=1.0), k).score for k in (1_000, 10_000, 100_000)]
    assert sums[0] > sums[1] > sums[2] > 0.744
    assert sums[2] == pytest.approx(0.745, rel=0.01)


@pytest.mark.parametrize("m0", [0.3, 0.7, 1.0, 2.5])
def test_score_gain_under_vp_is_the_closed_form(m0):
    process = at(VP.exponential(a=0.3, b=1.0), 400)
    z = math.sqrt(401)
    if m0 == 1:
        expected = 2 * (1 - 1 / z)
    elif m0 < 1:
        q = math.sqrt(m0 / (1 - m0))
        expected = 2 / math.sqrt(m0 * (1 - m0)) * (math.atan(q * z) - math.atan(q))
    else:
        q = math.sqrt((m0 - 1) / m0)
        log = math.log((z - q) / (z + q)) - math.log((1 - q) / (1 + q))
        expected = log / math.sqrt(m0 * (m0 - 1))
    gain = sde_limits(process, law(m0=m0, big=max(m0, 4.0))).score_gain
    assert gain == pytest.approx(expected, rel=1e-9)


def test_score_gain_under_ou_is_the_closed_form():
    process = OU(alpha=0.6, sigma=1.4, horizon=3.0)
    kappa, z = 1.4**2 / 1.2, math.exp(0.6 * 3.0)
    m0 = 2.0 * kappa
    q = math.sqrt((m0 - 1) / m0)
    log = math.log((z - q) / (z + q)) - math.log((1 - q) / (1 + q))
    expected = kappa * log / math.sqrt(m0 * (m0 - 1))
    assert sde_limits(process, law(m0=2.0)).score_gain == pytest.approx(expected, rel=1e-9)


def test_c9_numbers():
    process = at(VP.linear(a=1.0, b=0.5), 1000)
    m1 = gaussian_time_lipschitz(process, MEAN, VALUES)
    assert process.horizon == pytest.approx(3.251, abs=1e-3)
    assert m1 == pytest.approx(21.0, rel=0.01)
    bound = convergence_bound(process, law(m1), 10_000)
    assert bound.steps == pytest.approx(0.515, rel=0.02)
    assert convergence_bound(process, law(), 10_000).steps == pytest.approx(0.426, rel=0.02)
    assert bound.step_limit == pytest.approx(1.9e-2, rel=0.05)
    assert bound.valid
    assert bound.total == pytest.approx(bound.start + bound.steps)


@pytest.mark.parametrize("name", C10)
def test_c10_the_bound_has_order_one_half(name):
    process = at(C10[name], 200 if name.startswith("ve") else 1000)
    coarse, fine = (convergence_bound(process, law(), k).steps for k in (10_000, 100_000))
    assert 0.49 <= math.log10(coarse / fine) <= 0.53


def test_the_limit_is_the_limit_of_the_sum():
    process = at(VP.linear(a=1.0, b=0.5), 1000)
    limits = sde_limits(process, law(2.0, 0.1))
    bound = convergence_bound(process, law(2.0, 0.1), 200_000)
    assert limits.bound(bound.step, 0.1) == pytest.approx(bound.total, rel=2e-3)
    time_part = limits.linear - sde_limits(process, law()).linear
    assert limits.linear_time == pytest.approx(time_part, rel=1e-9)


def steps_for(process: Process, target: float) -> float:
    """Leading-order K of the bound with M1 = 0, d = m0 = L0 = 1, the best split of the target."""
    best = math.inf
    for share in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7):
        ratio = 1 / (share * target) - 1
        here = at(process, ratio)
        limits = sde_limits(here, law(dim=1, rms=1.0, m0=1.0, big=1.0))
        best = min(best, here.horizon * (limits.root / ((1 - share) * target)) ** 2)
    return best


@pytest.mark.parametrize(
    ("process", "low", "high"),
    [
        (VE.constant(a=1.0), 2.98, 3.02), (VE.sqrt(a=1.0), 2.48, 2.52),
        (VE.polynomial(a=1.0, b=0.1, c=1.0), 2.32, 2.36),
        (VE.polynomial(a=1.0, b=0.1, c=2.0), 2.19, 2.23),
        (VE.exponential(a=1.0, b=1.0), 2.0, 2.1), (VP.constant(beta=1.0), 2.0, 2.1),
        (VP.linear(a=1.0, b=0.1), 2.0, 2.1), (VP.exponential(a=0.3, b=1.0), 2.0, 2.1),
    ],
)  # fmt: skip
def test_c11_exponents_of_the_table(process, low, high):
    exponent = math.log10(steps_for(process, 1e-5) / steps_for(process, 1e-4))
    assert low <= exponent <= high


@pytest.mark.parametrize("name", [*C10, "ve_constant"])
def test_c16_the_bound_is_never_below_the_exact_distance(name):
    """Every process, from the fewest steps that A4 allows."""
    process = at(C10.get(name, VE.constant(a=1.0)), 200 if name.startswith("ve") else 1000)
    m1 = gaussian_time_lipschitz(process, MEAN, VALUES)
    fewest = math.ceil(process.horizon / step_limit(process, law(m1)))
    assert fewest < 3_000_000
    for steps in (fewest, 4 * fewest) if fewest < 100_000 else (fewest,):
        bound = convergence_bound(process, law(m1), steps)
        assert bound.valid
        assert exact(process, steps) <= bound.total
    assert not convergence_bound(process, law(m1), int(0.95 * fewest)).valid


@pytest.mark.parametrize("seed", range(6))
def test_c16_random_gaussian_data(seed):
    """Several variances, a mean, a short or a long horizon: E0 counts as much as E1."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *n: torch.rand(*n, generator=generator, dtype=torch.float64)
    values, mean = 0.2 + 0.8 * draw(4), draw(4) - 0.5
    told = DataLaw(LogConcave(1 / float(values.max()), 1 / float(values.min())), 4,
                   float((values + mean**2).sum().sqrt()), 0.0)  # fmt: skip
    for make in (C10["vp_linear"], C10["ou"], C10["ve_sqrt"]):
        process = at(make, 10 ** (4 * float(draw(()))))
        here = replace(told, time_lipschitz=gaussian_time_lipschitz(process, mean, values))
        steps = math.ceil(process.horizon / step_limit(process, here))
        grid = time_grid(process, steps, "uniform")
        end, spread = gaussian_recursion(process, "integrated_euler", grid, mean, values)
        true = ((end - mean) ** 2 + (spread.sqrt() - values.sqrt()) ** 2).sum().sqrt()
        assert float(true) <= convergence_bound(process, here, steps).total


def test_c16_without_a4_there_is_no_bound():
    process = at(VE.exponential(a=1.0, b=1.0), 200)
    bound = convergence_bound(process, law(48.0), 1000)
    assert not bound.valid
    assert bound.total == math.inf
    assert [a.status for a in bound.assumptions].count("violated") == 1
    assert step_limit(SubVP.linear(a=19.9, b=0.1), law()) == 0.0
    assert step_limit(VP.constant(beta=1.0), law(m0=0.4)) == 0.0


def test_a4_under_ve_is_finite_at_the_data_end():
    """g = 0 at t = 0 makes the printed form 0/0; its limit is a / (g^2 L^2 + M1)."""
    process = VE.sqrt(a=1.0, horizon=2.0)
    assert 0 < step_limit(process, law(3.0)) <= 4.0 / 3.0


def test_time_lipschitz_of_isotropic_data_is_the_closed_form():
    process = VP.linear(a=1.0, b=0.5, horizon=3.0)
    t = torch.linspace(0, 3, 20001, dtype=torch.float64)
    beta, big_b = process.g2(t), 2 * process.integrated_f(t)
    s2 = 0.25
    slope = beta * torch.exp(-big_b) * abs(1 - s2) / (1 + (s2 - 1) * torch.exp(-big_b)) ** 2
    zero = torch.zeros(3, dtype=torch.float64)
    assert gaussian_time_lipschitz(process, zero, zero + s2) == pytest.approx(
        float(slope.max()), rel=1e-6
    )
    assert gaussian_time_lipschitz(process, zero, zero + 1.0) == pytest.approx(0, abs=1e-12)


def test_flow_forgets_nothing():
    process = at(VE.constant(a=1.0), 200)
    limits = flow_limits(process, law())
    assert limits.score_gain == pytest.approx((math.sqrt(801) - 1) / 4, rel=1e-8)
    assert limits.start == pytest.approx(RMS / math.sqrt(801), rel=1e-12)
    assert limits.root == 0.0
    unit = flow_limits(at(VP.constant(beta=1.0), 1000), law(m0=1.0))
    assert unit.score_gain == pytest.approx(math.log(1001) / 2, rel=1e-8)


def test_flow_is_above_the_exact_flow():
    """Order one, and above the exponential integrator's exact error on Gaussian data."""
    process = at(VP.linear(a=1.0, b=0.1), 1e6)
    limits = flow_limits(process, law(gaussian_time_lipschitz(process, MEAN, VALUES)))
    for steps in (500, 2000):
        grid = time_grid(process, steps, "uniform")
        mean, variance = gaussian_recursion(process, "exponential", grid, MEAN, VALUES, eta=0.0)
        true = ((mean - MEAN) ** 2 + (variance.sqrt() - VALUES.sqrt()) ** 2).sum().sqrt()
        assert true <= limits.bound(process.horizon / steps)


def test_corollary_21_is_weaker_than_the_theorem_and_guards_its_conditions():
    process = OU(alpha=0.5, sigma=1.5, horizon=4.0)
    m1 = gaussian_time_lipschitz(process, MEAN, VALUES)
    here = law(m1, 0.01)
    limit = 0.5 / (2 * 0.25 + 2 * (1 + 2.25 * 4) ** 2 + 2 * m1 * 2.25)
    steps = math.ceil(4.0 / limit)
    assert ou_bound(process, here, steps, 3.0) >= convergence_bound(process, here, steps).total
    with pytest.raises(AssumptionError, match="a step of at most"):
        ou_bound(process, here, steps // 2)
    with pytest.raises(AssumptionError, match="m0"):
        ou_bound(OU(alpha=3.0, sigma=0.5), here, 10**6)


def test_corollary_21_value():
    """Every term once, by hand: alpha = 1, sigma^2 = 2, m0 = L0 = 2, d = 4, T = 1."""
    process = OU(alpha=1.0, sigma=math.sqrt(2.0), horizon=1.0)
    here = law(m1=0.5, error=0.1, dim=4, m0=2.0, big=2.0)
    a, eta = 2.0 + 1.0, 1e-3
    c = a * 8.0 + 2.0 + math.sqrt(8.0)
    expected = (
        a / (1 + 2 * 2 * (math.e**2 - 1) / 2)
        + 2 * 0.5 * eta * (1 + 2 * a + 2.0) * 2
        + 2 * (0.1 * 2 + math.sqrt(eta) * c * 7.0)
    )
    assert ou_bound(process, here, 1000, mode_norm=1.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [LogConcave(0.7, 3.0), Smoothed(2.0, 0.5)])
def test_contraction_is_the_integral_of_concavity(shape):
    for s in (0.1, 1.0, 30.0):
        value = quad(
            lambda x: float(shape.concavity(torch.tensor(x, dtype=torch.float64))),
            0,
            s,
            epsrel=1e-12,
        )[0]
        here = float(shape.contraction(torch.tensor(s, dtype=torch.float64)))
        assert here == pytest.approx(value, rel=1e-8)


def test_hessian_bounds_hold_for_a_mixture():
    """-Hess log p_S of a two-point law smoothed by tau lies in [a, L]; a is attained between."""
    shape = Smoothed(1.0, 0.4)
    x = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    for s in (0.0, 0.3, 5.0):
        v = 0.16 + s
        weight = torch.sigmoid(2 * x / v)
        curvature = 1 / v - 4 * weight * (1 - weight) / v**2
        s = torch.tensor(s, dtype=torch.float64)
        assert float(curvature.min()) == pytest.approx(float(shape.concavity(s)), rel=1e-9)
        assert float(curvature.abs().max()) <= float(shape.smoothness(s)) * (1 + 1e-12)


def test_smoothed_start_is_honest_and_useless():
    process = at(VP.exponential(a=0.2, b=1.0), 2e4)
    bound = Path(process, DataLaw(Smoothed(1.0, 0.15), 1, 1.0, 0.0)).start()
    expected = 0.15**2 / (0.15**2 + 2e4) * math.exp(2e4 / (0.15**2 * (0.15**2 + 2e4)))
    assert bound == pytest.approx(expected, rel=1e-9)
    assert bound > 1e12


def test_degenerate_laws_are_refused():
    """C20, K < 1 among them."""
    with pytest.raises(InputError, match="steps must be at least 1"):
        convergence_bound(VP.constant(beta=1.0), law(), 0)
    with pytest.raises(InputError, match="tau"):
        Smoothed(1.0, 0.0)
    with pytest.raises(InputError, match="m0"):
        LogConcave(2.0, 1.0)
    with pytest.raises(AssumptionError, match="log-concave"):
        flow_limits(VP.cosine(), DataLaw(Smoothed(1.0, 1.0), 1, 1.0, 0.0))


def number(function):
    """A tensor function as a float function, for SciPy."""
    return lambda t: float(function(torch.tensor(t, dtype=torch.float64)))


def ingredients(process):
    """f, g^2, a, L and the suprema c1, c2 as plain floats, written from the paper's section 3."""
    f, g2 = number(process.f), number(process.g2)
    big_h, s2 = number(process.integrated_f), number(process.variance)

    def a(t):
        return 1 / (math.exp(-2 * big_h(t)) / 2.0 + s2(t))

    def big_l(t):
        return min(1 / s2(t) if t > 0 else math.inf, math.exp(2 * big_h(t)) * 3.0)

    return f, g2, big_h, s2, a, big_l


def suprema(process, share=1.0, points=400):
    f, g2, big_h, s2, a, _ = ingredients(process)
    end = process.horizon
    pull = lambda u: share * g2(u) * a(u) - f(u)
    c1 = max(
        math.exp(-quad(pull, u, end)[0]) for u in (end * i / points for i in range(points + 1))
    )
    c2 = max(
        math.exp(-2 * big_h(u)) * 5.0**2 + 7 * s2(u)
        for u in (end * i / points for i in range(points + 1))
    )
    return c1 * math.exp(-big_h(end)) * 5.0, math.sqrt(c2)


SMALL = DataLaw(LogConcave(2.0, 3.0), 7, 5.0, 0.9, 0.4)


@pytest.mark.slow
def test_the_sum_is_the_paper_s_recursion():
    """Proposition 8, step by step from the noise, with SciPy's quadrature."""
    process, steps = VP.linear(a=0.6, b=0.5, horizon=1.2), 5
    f, g2, _big_h, _, a, big_l = ingredients(process)
    eta = process.horizon / steps
    c1, c2 = suprema(process)
    steps_part = score_part = 0.0
    for k in range(1, steps + 1):
        hi = process.horizon - (k - 1) * eta
        lo = hi - eta
        over = lambda x, lo=lo, hi=hi: quad(x, lo, hi, limit=200)[0]
        big_f, big_g = over(f), over(g2)
        mu = over(lambda t: g2(t) * a(t) - f(t) - eta * f(t) ** 2 - eta * (g2(t) * big_l(t)) ** 2)
        gamma = 1 - mu + 0.9 * eta * big_g
        h = c1 * over(lambda t: f(t) + g2(t) * big_l(t)) + c2 * big_f + math.sqrt(7 * big_g)
        square = over(lambda t: (f(t) + g2(t) * big_l(t)) ** 2)
        local = 0.9 * eta * (1 + max(5.0, c1) + c2) * big_g
        local += math.sqrt(eta) * h * math.sqrt(square)
        steps_part = gamma * steps_part + local
        score_part = gamma * score_part + 0.4 * big_g
    bound = convergence_bound(process, SMALL, steps)
    assert bound.steps == pytest.approx(steps_part, rel=1e-3)
    assert bound.score == pytest.approx(score_part, rel=1e-3)


def test_the_sum_where_a4_is_broken():
    """VE sqrt, S_T = 200, K = 1000: gamma above 1, and E1 as large as a plain loop says."""
    process, steps, part = at(VE.sqrt(a=1.0), 200), 1000, (np.arange(200) + 0.5) / 200
    m1 = gaussian_time_lipschitz(process, MEAN, VALUES)
    eta, c2 = process.horizon / steps, math.sqrt(RMS**2 + D * 200)
    total, worth = 0.0, 1.0
    for k in range(steps):
        t = (k + part) * eta
        a, big_l = 1 / (0.25 + t**2), np.minimum(1 / t**2, 4.0)
        big_g = eta**2 * (2 * k + 1)
        h = RMS * eta * (2 * t * big_l).mean() + math.sqrt(D * big_g)
        local = m1 * eta * (1 + RMS + c2) * big_g
        local += math.sqrt(eta) * h * math.sqrt(eta * ((2 * t * big_l) ** 2).mean())
        total += worth * local
        mu = 2 * t * a - eta * (2 * t * big_l) ** 2
        worth *= 1 - eta * mu.mean() + m1 * eta * big_g
    bound = convergence_bound(process, law(m1), steps)
    assert not bound.valid
    assert bound.steps == pytest.approx(total, rel=1e-3)
    assert total == pytest.approx(1.007e18, rel=2e-3)


@pytest.mark.slow
def test_the_flow_s_limit_is_its_integral():
    process = VP.linear(a=0.6, b=0.5, horizon=1.2)
    f, g2, _big_h, _, a, big_l = ingredients(process)
    c1, c2 = suprema(process, share=0.5)
    pull = lambda u: g2(u) * a(u) / 2 - f(u)
    weight = lambda t: math.exp(-quad(pull, 0, t)[0])

    def local(t):
        half = g2(t) * big_l(t) / 2
        inner = c1 * (f(t) + half) + c2 * f(t) + g2(t) / 2 * math.sqrt(7 * big_l(t))
        return (0.45 * (1 + max(5.0, c1) + c2) * g2(t) + half * inner) * weight(t)

    limits = flow_limits(process, SMALL)
    assert limits.linear == pytest.approx(quad(local, 0, 1.2, limit=200)[0], rel=1e-4)
    assert limits.score_gain == pytest.approx(quad(lambda t: g2(t) * weight(t) / 2, 0, 1.2)[0])


@pytest.mark.slow
def test_a4_limit_is_the_smallest_ratio():
    process = VP.linear(a=0.6, b=0.5, horizon=1.2)
    f, g2, _, _, a, big_l = ingredients(process)
    times = [1.2 * i / 2000 for i in range(2001)]
    first = min(
        (g2(t) * a(t) - f(t)) / (f(t) ** 2 + (g2(t) * big_l(t)) ** 2 + 0.9 * g2(t)) for t in times
    )
    second = min(1 / (g2(t) * a(t) - f(t)) for t in times)
    assert step_limit(process, SMALL) == pytest.approx(min(first, second), rel=1e-3)


def test_corollary_21_asks_for_exactly_its_step():
    process = OU(alpha=1.0, sigma=math.sqrt(2.0), horizon=1.0)
    here = law(m1=0.5, dim=4, m0=2.0, big=2.0)
    fewest = (2 + 2 * 6.0**2 + 2 * 0.5 * 2) / 1
    assert ou_bound(process, here, math.ceil(fewest) + 1) > 0
    with pytest.raises(AssumptionError, match="a step of at most"):
        ou_bound(process, here, math.floor(fewest) - 1)


def test_steps_are_integrated_in_blocks(monkeypatch):
    """Bounded memory changes nothing: blocks of seven steps give what one block gives."""
    process = VP.linear(a=0.6, b=0.5, horizon=1.2)
    whole = convergence_bound(process, SMALL, 500)
    monkeypatch.setattr("wasserscore.certificate.convergence.BLOCK", 7)
    assert convergence_bound(process, SMALL, 500).total == pytest.approx(whole.total, rel=1e-13)
