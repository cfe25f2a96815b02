"""Linear Gaussian problems with every rung known: the table of the theory page, row by row."""
# ruff: noqa: E501 (one row of the table is one line)

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from wasserscore.certificate.linear import LinearGaussian
from wasserscore.process import VE, VP

VP_UNIT = VP.constant(beta=1.0, horizon=2.0)
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)
VE_UNIT = VE.from_sigmas(sigma_min=0.05, sigma_max=5.0)
ROT = np.array([[0.0, 1.0], [-1.0, 0.0]])


def marginal(process, m, S, t):
    alpha, variance = float(process.alpha(t)), float(process.variance(t))
    return alpha * m, alpha**2 * S + variance * np.eye(len(m))


def affine(process, m, S, *, slope, shift=0.0, start="prior", eta=1.0):
    """A problem whose score is -A(t)(x - m_t) + shift; slope(t, V_t) gives A."""
    m, S = np.atleast_1d(np.asarray(m, float)), np.atleast_2d(np.asarray(S, float))
    eye = np.eye(len(m))
    a = lambda t: slope(t, marginal(process, m, S, t)[1])
    c = lambda t: a(t) @ marginal(process, m, S, t)[0] + shift
    if start == "prior":
        size = 25.0 if isinstance(process, VE) else 1.0
        start = (np.zeros(len(m)), size * eye)
    elif start == "reference":
        start = marginal(process, m, S, process.horizon)
    return LinearGaussian(process, m, S, a, c, *start, eta=eta)


def inverse(factor):
    return lambda t, V: factor * np.linalg.inv(V)


def g1(process, eta):
    # s = -a1 x + a1 alpha + .05 with a1 = 1.1 / v, data N(1, .25)
    return affine(process, [1.0], [[0.25]], slope=inverse(1.1), shift=0.05, eta=eta)


def g2(process, kind, eta):
    m, S = [0.5, -1.0], [[1.0, 0.6], [0.6, 0.5]]
    slopes = {
        "inv": inverse(1.15),
        "rot": lambda t, V: np.linalg.inv(V) + 0.2 * ROT / (1 + 3 * t),
        "iso": lambda t, V: (
            np.eye(2) / (0.75 * float(process.alpha(t)) ** 2 + float(process.variance(t)))
        ),
    }
    return affine(process, m, S, slope=slopes[kind], eta=eta)


def constant(value, *, eta):
    return affine(VP_UNIT, [0.0], [[1.0]], slope=lambda t, V: value * np.eye(1), eta=eta)


CLOSED = {
    "T1": (affine(VP_UNIT, [0.0], [[1.0]], slope=inverse(1.0), shift=0.3), 0.3792723353, 0.3792723353, 0.3792723353, 0.3792723353, 0.3945119124),
    "T1o": (affine(VP_UNIT, [0.0], [[1.0]], slope=inverse(1.0), shift=0.3, eta=0.0), 0.3, 0.3, 0.3, 0.3, 0.3),
    "T2": (affine(VE_UNIT, [0.0], [[0.25]], slope=inverse(1.0), shift=0.2, start="reference"), 0.2307510751, 0.2307510751, 0.2307510751, 0.2307510751, 0.4974934722),
    "T2o": (affine(VE_UNIT, [0.0], [[0.25]], slope=inverse(1.0), shift=0.2, start="reference", eta=0.0), 0.4524689045, 0.4524689045, 0.4524689045, 0.4524689045, 0.5370381737),
    "T3 1.5": (constant(1.5, eta=0.0), 0.3934693403, 0.3934693403, 0.3934693403, 0.3934693403, 0.3975300488),
    "T4 1.5": (constant(1.5, eta=1.0), 0.2864470451, 0.3776679854, 0.4323323584, 0.4323323584, 0.4953999296),
    "T3 .8": (constant(0.8, eta=0.0), 0.2214027582, 0.2214027582, 0.2214027582, 0.2214027582, 0.2217712104),
    "T4 .8": (constant(0.8, eta=1.0), 0.2107314010, 0.2584932966, 0.3007922426, 0.3007922426, 0.3052443367),
    "T5": (affine(VP_UNIT, [0.0], [[0.25]], slope=inverse(1.0)), 0.0010623496, 0.0053337869, 0.0053337869, 0.0053337869, 0.0053337869),
    "T5o": (affine(VP_UNIT, [0.0], [[0.25]], slope=inverse(1.0), eta=0.0), 0.0274864610, 0.0274864610, 0.0274864610, 0.0274864610, 0.0274864610),
    "T6": (affine(VP_UNIT, [0.0], [[0.25]], slope=inverse(1.0), start=(np.array([0.7]), np.array([[0.25 * math.exp(-2) + 1 - math.exp(-2)]]))), *[0.0716516494] * 5),
}  # fmt: skip
STANDARD = {
    "G1 VP sde": (g1(VP_LINEAR, 1.0), 0.0532284139, 0.0687253063, 0.0889035931, 0.0889035931, 0.1704730534),
    "G2 VP inv sde": (g2(VP_LINEAR, "inv", 1.0), 0.1505720660, 0.2124768300, 0.2990841200, 0.4805067086, 0.7312315894),
    "G2 VP rot sde": (g2(VP_LINEAR, "rot", 1.0), 0.0284351498, 0.1317269494, 0.2048857290, 0.3235400243, 0.3879580722),
    "G2 VP iso sde": (g2(VP_LINEAR, "iso", 1.0), 0.6347340315, 0.7200859978, 0.9048786982, 0.9048786982, 1.0213235126),
    "G1 VP ode": (g1(VP_LINEAR, 0.0), 0.2385813198, 0.2385813198, 0.2415965328, 0.2415965328, 0.2455738419),
    "G2 VP inv ode": (g2(VP_LINEAR, "inv", 0.0), 0.6412804580, 0.6412804580, 0.6563627204, 0.9317496561, 0.9468680643),
    "G2 VP rot ode": (g2(VP_LINEAR, "rot", 0.0), 0.0336464450, 0.4039042476, 0.4159625979, 0.5854089266, 0.6131722302),
    "G2 VP iso ode": (g2(VP_LINEAR, "iso", 0.0), 0.6347676357, 0.6347676357, 0.6484069553, 0.6484069553, 1.6482237496),
    "G1 VE sde": (g1(VE_UNIT, 1.0), 0.0589956690, 0.0726023881, 0.1003280658, 0.1003280658, 0.1563937630),
    "G2 VE inv sde": (g2(VE_UNIT, "inv", 1.0), 0.1481108548, 0.2017837480, 0.2659987531, 0.4621207085, 0.4862742107),
    "G2 VE rot sde": (g2(VE_UNIT, "rot", 1.0), 0.0560122026, 0.4164468791, 0.6048882916, 0.9013778466, 1.6143616261),
    "G2 VE iso sde": (g2(VE_UNIT, "iso", 1.0), 0.6354351206, 0.7208175123, 0.9341392317, 0.9341392317, 1.0389035301),
    "G1 VE ode": (g1(VE_UNIT, 0.0), 0.1065006157, 0.1065006157, 0.2270864050, 0.2270864050, 0.2374609332),
    "G2 VE inv ode": (g2(VE_UNIT, "inv", 0.0), 0.2857842272, 0.2857842272, 0.3266025986, 0.5995868842, 0.6060049156),
    "G2 VE rot ode": (g2(VE_UNIT, "rot", 0.0), 0.1491206829, 0.7808267632, 0.9227943382, 1.3580842384, 1.6283083064),
    "G2 VE iso ode": (g2(VE_UNIT, "iso", 0.0), 0.6585802604, 0.6585802604, 0.8188696658, 0.8188696658, 1.1522950129),
}  # fmt: skip
ROWS = CLOSED | STANDARD


FAST = [*CLOSED, "G1 VP sde", "G2 VE rot ode"]
"""The other rows are run with the slow tests."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in ROWS]
)
def test_every_row_of_the_table(name):
    problem, *expected = ROWS[name]
    found = problem.ladder()
    rungs = [found.w2, found.coupling, found.matrix, found.integral, found.cauchy_schwarz]
    assert rungs == pytest.approx(expected, abs=1e-6)
    for lower, upper in pairwise(rungs):
        assert lower <= upper * (1 + 1e-8)


@pytest.mark.slow
def test_gradient_projection():  # A11
    expected = {"VP rot sde": 0.09352275, "VP rot ode": 0.07028089, "VE rot sde": 0.18478485, "VE rot ode": 0.36740928}  # fmt: skip
    for name, value in expected.items():
        found = STANDARD[f"G2 {name}"][0].ladder()
        assert found.projected == pytest.approx(value, abs=1e-6)
        assert found.w2 <= found.projected <= found.integral


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (None, (1.0769195, 0.24824353, 0.731232)),
        (lambda g2, log_growth: g2 * math.exp(log_growth), (1.9360996, 0.06234263, 0.491344)),
        (lambda g2, log_growth: g2**2 * math.exp(2 * log_growth), (1.0, 0.17847365, 0.597466)),
        (lambda g2, log_growth: 1.0, (5.8690866, 0.03374537, 0.629388)),
    ],
)
def test_weights(weight, expected):  # A12
    problem = STANDARD["G2 VP inv sde"][0]
    given = weight and (lambda t, log_growth: weight(float(VP_LINEAR.g2(t)), log_growth))
    found = problem.ladder(given)
    pair = (found.weight_integral, found.score_matching, found.cauchy_schwarz)
    assert pair == pytest.approx(expected, abs=1e-6)
    assert found.integral == pytest.approx(0.480507, abs=1e-6)
    assert found.offset == pytest.approx(1.575e-5, abs=1e-8)


@pytest.mark.slow
def test_a_noise_level_between_the_flow_and_the_reverse_process():
    low, middle, high = (g1(VP_LINEAR, eta).ladder() for eta in (0.0, 0.5, 1.0))
    for found in (low, middle, high):
        assert found.w2 <= found.coupling <= found.matrix <= found.integral
    assert high.integral < middle.integral < low.integral


def test_early_stopping():
    problem = CLOSED["T1"][0]
    for stop, expected in ((0.01, 0.37816593), (1e-4, 0.37926130)):
        found = replace(problem, stop=stop).ladder()
        assert found.w2 == pytest.approx(expected, abs=1e-6)
        assert found.integral == pytest.approx(expected, abs=1e-6)
        cauchy_schwarz = {0.01: 0.39321476, 1e-4: 0.39449896}[stop]
        assert found.cauchy_schwarz == pytest.approx(cauchy_schwarz, abs=1e-6)


@pytest.mark.slow
def test_moving_data_score_and_start_moves_nothing():  # K9
    c = np.array([3.0, -2.0])
    problem = g2(VP_LINEAR, "rot", 1.0)
    alpha = lambda t: float(VP_LINEAR.alpha(t))
    moved = replace(
        problem,
        mean=problem.mean + c,
        intercept=lambda t: problem.intercept(t) + problem.slope(t) @ c * alpha(t),
        start_mean=problem.start_mean + alpha(VP_LINEAR.horizon) * c,
    )
    before, after = problem.ladder(), moved.ladder()
    for name in ("w2", "coupling", "matrix", "integral", "cauchy_schwarz", "projected"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-7)


@pytest.mark.slow
def test_scaling_space_scales_every_rung():
    k = 3.0
    problem = g1(VE_UNIT, 1.0)
    scaled = LinearGaussian(
        VE.from_sigmas(sigma_min=0.05 * k, sigma_max=5.0 * k),
        k * problem.mean,
        k**2 * problem.covariance,
        lambda t: problem.slope(t) / k**2,
        lambda t: problem.intercept(t) / k,
        k * problem.start_mean,
        k**2 * problem.start_covariance,
    )
    before, after = problem.ladder(), scaled.ladder()
    assert after.log_growth == pytest.approx(before.log_growth, abs=1e-9)
    for name in ("w2", "coupling", "matrix", "integral", "cauchy_schwarz"):
        assert getattr(after, name) == pytest.approx(k * getattr(before, name), rel=1e-8)


def test_the_exact_score_from_the_exact_start_costs_nothing():
    found = affine(VP_LINEAR, [1.0], [[0.25]], slope=inverse(1.0), start="reference").ladder()
    assert found.integral == pytest.approx(0.0, abs=1e-7)
    assert found.coupling == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 0.0716516494), (0.0, 0.3692405)])
def test_a_shifted_start_of_the_right_width(eta, expected):  # A6 with K11
    problem = replace(CLOSED["T6"][0], eta=eta)
    found = problem.ladder()
    assert float(problem.start_covariance[0, 0]) == pytest.approx(0.898499, abs=1e-6)
    for value in (found.w2, found.coupling, found.matrix, found.integral, found.cauchy_schwarz):
        assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_turning_data_score_and_start_moves_nothing(eta):
    angle = 0.7
    Q = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    problem = g2(VP_UNIT, "rot", eta)
    turned = LinearGaussian(
        VP_UNIT, Q @ problem.mean, Q @ problem.covariance @ Q.T,
        lambda t: Q @ problem.slope(t) @ Q.T, lambda t: Q @ problem.intercept(t),
        Q @ problem.start_mean, Q @ problem.start_covariance @ Q.T, eta=eta,
    )  # fmt: skip
    before, after = problem.ladder(), turned.ladder()
    for name in ("w2", "coupling", "matrix", "integral", "cauchy_schwarz", "projected"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-8, abs=1e-9)


@pytest.mark.slow
def test_a_bias_is_tight_only_while_it_keeps_its_sign():  # K14
    def rungs(c, start):
        flat = affine(VP_UNIT, [0.0], [[1.0]], slope=inverse(1.0), start=start)
        found = replace(flat, intercept=lambda t: np.array([c(t)])).ladder()
        return found.w2, found.integral

    eye = np.eye(1)
    one_sign = rungs(lambda t: 0.3 + 0.2 * t, (np.array([0.1]), eye))
    assert one_sign[0] == pytest.approx(one_sign[1], rel=1e-8)
    against = rungs(lambda t: 0.3 + 0.2 * t, (np.array([-0.5]), eye))
    changing = rungs(lambda t: 0.3 - 0.3 * t, (np.array([0.0]), eye))
    for w2, bound in (against, changing):
        assert w2 < 0.9 * bound


@pytest.mark.slow
def test_the_numbers_beside_the_table():
    processes = {"VP": VP_LINEAR, "VE": VE_UNIT}
    found = {name: g2(process, "inv", 1.0).ladder() for name, process in processes.items()}
    rows = {
        "VP": (0.002142939503, 0.007347287839, 0.4804909638, 1.076919544, 0.2482435267),
        "VE": (0.03413893924, 1.126542245, 0.4236617512, 1.053257369, 0.09519919205),
    }
    for name, (growth, start, integral, K, J) in rows.items():
        ladder = found[name]
        values = (math.exp(ladder.log_growth), ladder.offset / math.exp(ladder.log_growth),
                  ladder.integral - ladder.offset, ladder.weight_integral, ladder.score_matching)  # fmt: skip
        assert values == pytest.approx((growth, start, integral, K, J), abs=1e-6)
    assert found["VP"].mean == pytest.approx([0.50000121, -0.99999829], abs=1e-6)
    assert found["VE"].covariance.ravel() == pytest.approx(
        [0.77302367, 0.46405557, 0.46405557, 0.38631069], abs=1e-6
    )
