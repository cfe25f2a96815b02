"""The flow between Gaussians, where everything is known: moments, dissipation, de Bruijn."""

import math
from itertools import pairwise

import pytest
import torch
from tests.flow.clouds import draw

from wasserscore.flow import Annealing, ScoreDifferenceFlow
from wasserscore.flow.divergence import WEIGHTS
from wasserscore.flow.sides import PlainSide, normal_side

TABLE = [  # t, mean, variance, KL, F of N(0, 1) -> N(3, 4)
    (0.5, 0.352509, 1.663598, 1.022757, 0.643157),
    (1.0, 0.663598, 2.180408, 0.758289, 0.436079),
    (4.0, 1.896362, 3.593994, 0.155017, 0.078993),
]
M0, S0 = torch.tensor([2.0, -1.0]).double(), torch.tensor([[0.5, 0.1], [0.1, 0.2]]).double()
MP, SP = torch.tensor([-1.0, 1.0]).double(), torch.tensor([[2.0, 0.4], [0.4, 1.0]]).double()


def normal(mean, covariance):
    precision = torch.linalg.inv(covariance)
    return PlainSide(lambda z: (mean - z) @ precision)


def divergence(m, S, mp, Sp):
    """(KL, relative Fisher information without a factor 1/2) of two Gaussians."""
    P, e, d = torch.linalg.inv(Sp), m - mp, len(m)
    A = torch.linalg.inv(S) - P
    kl = (torch.trace(P @ S) + e @ P @ e - d + torch.logdet(Sp) - torch.logdet(S)) / 2
    return float(kl), float(torch.trace(A @ S @ A) + (P @ e).square().sum())


def moments(x):
    mean = x.mean(0)
    return mean, (x - mean).T @ (x - mean) / len(x)


def with_moments(n, mean, covariance, seed=0):
    """Points whose sample moments are exact."""
    x = draw(n, len(mean), seed=seed)
    m, S = moments(x)
    white = (x - m) @ torch.linalg.inv(torch.linalg.cholesky(S)).T
    return mean + white @ torch.linalg.cholesky(covariance).T


def flowed(x, target, h, steps, **settings):
    """Euler steps of length ``h`` with the exact scores of both sides."""
    flow = ScoreDifferenceFlow([1.0] * steps, step=h, source_score=normal_side, **settings)
    return flow.run(x, target, seed=0)


def closed_form(t):
    P = torch.linalg.inv(SP)
    decay = torch.matrix_exp(-t * P)
    return MP + decay @ (M0 - MP), SP + decay @ (S0 - SP) @ decay


@pytest.mark.parametrize(("t", "mean", "variance", "kl", "fisher"), TABLE)
def test_C1_the_gaussian_table(t, mean, variance, kl, fisher):
    """The affine closed form to its printed digits, and the flow's Euler steps towards it."""
    m = 3 * (1 - math.exp(-t / 4))
    S = 4 - 3 * math.exp(-t / 2)
    assert (m, S) == (pytest.approx(mean, abs=1e-6), pytest.approx(variance, abs=1e-6))
    one = lambda v: torch.tensor([v], dtype=torch.float64)
    found = divergence(one(m), one(S)[:, None], one(3.0), one(4.0)[:, None])
    assert found == pytest.approx((kl, fisher), abs=1e-6)
    x, errors = with_moments(50, one(0.0), one(1.0)[:, None]), []
    target = normal(one(3.0), one(4.0)[:, None])
    for steps in (20, 40):
        reached, spread = moments(flowed(x, target, t / steps, steps).particles)
        errors.append(abs(float(reached) - m) + abs(float(spread) - S))
    assert errors[1] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.25)  # first order


def test_C2_dissipation():
    """dKL/dt = -F by central differences along the closed form; the record reports F."""
    h = 1e-3
    for t in (0.1, 0.5, 2.0):
        before, after = (divergence(*closed_form(s), MP, SP)[0] for s in (t - h, t + h))
        fisher = divergence(*closed_form(t), MP, SP)[1]
        assert (after - before) / (2 * h) == pytest.approx(-fisher, rel=1e-3)
    x = with_moments(400, M0, S0)
    info = flowed(x, normal(MP, SP), 1e-3, 1).history[0]
    assert info.fisher == pytest.approx(divergence(M0, S0, MP, SP)[1], rel=1e-9)


def test_C3_KL_falls_at_every_step_below_half_the_stability_limit():
    """L bounds the Jacobian of the field: P - S^-1, largest at the start."""
    limit = float(torch.linalg.matrix_norm(torch.linalg.inv(S0) - torch.linalg.inv(SP), 2))
    values = []

    def observe(info, x):
        values.append(divergence(*moments(x), MP, SP)[0])

    flow = ScoreDifferenceFlow([1.0] * 60, step=0.5 / limit, source_score=normal_side)
    flow.run(with_moments(100, M0, S0), normal(MP, SP), observe=observe)
    values.insert(0, divergence(M0, S0, MP, SP)[0])
    assert all(b < a for a, b in pairwise(values))
    assert values[0] > 5 > 2 > values[-1]


def test_C4_the_log_sobolev_rate():
    for t in (0.5, 1.0, 2.0):
        rate = 1 / float(torch.linalg.eigvalsh(SP).max())
        bound = math.exp(-2 * rate * t) * divergence(M0, S0, MP, SP)[0]
        assert divergence(*closed_form(t), MP, SP)[0] <= bound
    decay = [divergence(*closed_form(t), MP, SP)[0] for t in (8.0, 9.0)]
    assert decay[1] / decay[0] == pytest.approx(math.exp(-2 * rate), rel=0.02)  # and no faster


def test_C17_de_bruijn():
    """d KL(q_s || p_s) / d(s^2) = -F(q_s || p_s) / 2; N(-.4, .5) against N(1, 2), variances."""
    one = lambda v: torch.tensor([v], dtype=torch.float64)
    at = lambda s2: divergence(one(-0.4), one(0.5 + s2)[:, None], one(1.0), one(2 + s2)[:, None])
    for s2, slope in ((0.1, -0.647392), (1.0, -0.192222)):
        found = (at(s2 + 1e-5)[0] - at(s2 - 1e-5)[0]) / 2e-5
        assert found == pytest.approx(slope, abs=1e-5)
        assert found == pytest.approx(-at(s2)[1] / 2, rel=1e-3)
    levels = torch.logspace(-6, 6, 500, dtype=torch.float64)
    fishers = torch.tensor([at(float(s2))[1] for s2 in levels], dtype=torch.float64)
    whole = float(torch.trapezoid(fishers, levels)) / 2
    assert whole == pytest.approx(at(0.0)[0], rel=2e-3)  # KL is half the integral of F


@pytest.mark.parametrize("stochasticity", [0.0, 0.5, 1.0])
def test_C18_the_stochastic_family_has_the_same_marginals(stochasticity):
    one = lambda v: torch.tensor([v], dtype=torch.float64)
    n, h = 20_000, 0.02
    x, target = with_moments(n, one(0.0), one(1.0)[:, None]), normal(one(3.0), one(4.0)[:, None])
    found = flowed(x, target, h, 50, stochasticity=stochasticity)
    mean, variance = (float(v) for v in moments(found.particles))
    S, bias = 2.180408, h  # bias: Euler's first order
    assert abs(mean - 0.663598) < 3 * math.sqrt(S / n) + bias
    assert abs(variance - S) < 3 * S * math.sqrt(2 / n) + 2 * bias


def test_the_smoothed_flow_of_clouds_descends_too():
    """Both sides from points: KL of the moments falls by most of what there was."""
    x, y = draw(200, seed=1), draw(300, seed=2, scale=2, shift=3)
    before = divergence(*moments(x), *moments(y))[0]
    found = ScoreDifferenceFlow(Annealing(steps=40)).run(x, y).particles
    assert divergence(*moments(found), *moments(y))[0] < 0.01 * before


@pytest.mark.parametrize("divergence", WEIGHTS)
def test_every_divergence_brings_clouds_together(divergence):
    x, y = draw(100, seed=1), draw(150, seed=2, scale=1.5, shift=2)
    before = divergence_of(x, y)
    flow = ScoreDifferenceFlow(Annealing(steps=40), step=0.3, divergence=divergence)
    assert divergence_of(flow.run(x, y).particles, y) < 0.6 * before


def divergence_of(x, y):
    return divergence(*moments(x), *moments(y))[0]
