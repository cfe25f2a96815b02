"""One step of each method in closed form, and orders on equations with known solutions."""

import itertools
import math

import pytest
import torch
from scipy.integrate import quad, solve_ivp

from wasserscore.dynamics import (
    SDE,
    AdamsBashforth,
    Affine,
    EulerMaruyama,
    Heun,
    Info,
    RelaxationMidpoint,
    RelaxationMultistep,
    TimeGrid,
    log_adams_weights,
    simulate,
    weighted_sum,
)
from wasserscore.dynamics.adams import adams_weights

X = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
Z = torch.tensor([[0.5], [0.25]], dtype=torch.float64)


def drift(x, t):
    return torch.sin(x) + t * x


def bent(x, t):
    """Towards smaller t; its solution is compared with scipy's."""
    return torch.cos(t + x) - 0.5 * x


def uniform(k, start=2.0, stop=0.0):
    return TimeGrid(torch.linspace(start, stop, k + 1, dtype=torch.float64))


def exact(field, start=2.0, stop=0.0):
    tight = {"rtol": 1e-12, "atol": 1e-13}
    down = lambda u, x: field(torch.from_numpy(x), torch.tensor(start - u)).numpy()
    end = solve_ivp(down, (0, start - stop), X[:, 0].numpy(), method="DOP853", **tight)
    return torch.from_numpy(end.y[:, -1:])


def order(make, truth, grids=uniform, steps=(64, 128, 256)):
    errors = [float((simulate(make(), X, grids(k), None) - truth).norm()) for k in steps]
    return math.log2(errors[0] / errors[-1]) / (len(steps) - 1)


WEIGHTS = list(itertools.product((0.0, 1.0, -0.7), (0.0, 1.0, 0.3), (0.0, 1.0, 2.5)))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weighted_sum_is_the_sum_to_the_last_bit(weights):
    a, b, c = weights
    points = list(torch.randn(3, 101, generator=torch.Generator().manual_seed(0)))
    before = torch.stack(points)
    expected = a * points[0] + b * points[1] + c * points[2]
    total = weighted_sum(*zip(weights, points, strict=True))
    assert torch.equal(total, expected)
    assert torch.equal(weighted_sum((b, points[1])), b * points[1])
    total.fill_(7.0)
    assert torch.equal(torch.stack(points), before)


def test_weighted_sum_leaves_out_what_has_no_weight_and_keeps_gradients():
    assert torch.equal(weighted_sum((0.0, X / 0), (2.0, Z)), 2 * Z)
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(weighted_sum((1.0, x), (3.0, x.sin()), (2.0, x)).sum(), x)
    assert torch.allclose(gradient, 3 + 3 * X.cos())


def test_affine():
    step = Affine(lambda x, t: x + t, lambda t, s: (2.0, 3.0, 0.5))
    expected = 2 * X + 3 * (X + 0.7) + 0.5 * Z
    assert torch.allclose(step(X, 0.7, 0.1, Z), expected, rtol=1e-15)
    assert torch.allclose(step(X, 0.7, 0.1, None), expected - 0.5 * Z, rtol=1e-15)


def test_euler_maruyama():
    step = EulerMaruyama(SDE(drift, lambda t: 3 * t))
    moved = X + 0.5 * (torch.sin(X) + 0.9 * X) + math.sqrt(0.5) * 3 * 0.9 * Z
    assert torch.allclose(step(X, 0.9, 0.4, Z), moved, rtol=1e-15)
    still = X + 0.5 * (torch.sin(X) + 0.9 * X)
    assert torch.allclose(step(X, 0.9, 0.4, None), still, rtol=1e-15)


def test_heun():
    euler = X + 0.5 * drift(X, 0.9)
    expected = X + 0.25 * drift(X, 0.9) + 0.25 * drift(euler, 0.4)
    sde = SDE(drift, lambda t: 0.0)
    assert torch.allclose(Heun(sde)(X, 0.9, 0.4), expected, rtol=1e-15)
    assert torch.equal(Heun(sde, singular=0.4)(X, 0.9, 0.4), euler)
    assert torch.allclose(Heun(sde, singular=0.3)(X, 0.9, 0.4), expected, rtol=1e-15)


def test_orders_against_scipy():
    truth, sde = exact(bent), SDE(bent, lambda t: 0.0)
    assert order(lambda: EulerMaruyama(sde), truth) == pytest.approx(1, abs=0.05)
    assert order(lambda: Heun(sde), truth) == pytest.approx(2, abs=0.05)


def test_adams_orders_against_scipy():
    """Steps that begin small, so that the low order of the first ones does not remain."""
    truth = exact(bent)
    graded = lambda k: TimeGrid(2 - 2 * torch.linspace(0, 1, k + 1, dtype=torch.float64) ** 2)
    for p in (1, 2, 3):
        make = lambda p=p: AdamsBashforth(lambda x, t: -bent(x, t), p)
        assert order(make, truth, graded) == pytest.approx(p, abs=0.12)


def test_adams_weights_are_the_classical_ones():
    assert adams_weights([3.0], 2.5) == pytest.approx([-0.5])
    assert adams_weights([1.0, 0.0], -1.0) == pytest.approx([0.5, -1.5])
    three = [-5 / 12, 16 / 12, -23 / 12]
    assert adams_weights([2.0, 1.0, 0.0], -1.0) == pytest.approx(three)
    four = [9 / 24, -37 / 24, 59 / 24, -55 / 24]
    assert adams_weights([3.0, 2.0, 1.0, 0.0], -1.0) == pytest.approx(four)


@pytest.mark.parametrize(
    ("times", "s"),
    [([3.0], 1e-4), ([80.0, 30.0], 29.9), ([9.0, 4.0, 1.0], 0.5), ([3.0, 2.0], 0.0)],
)
def test_log_adams_weights_integrate_polynomials_in_the_logarithm(times, s):
    weights = log_adams_weights(times, s)
    clock = math.log if s > 0 else float
    for power in range(len(times)):
        integral = quad(lambda u, m=power: clock(u) ** m, times[-1], s, epsabs=1e-13)[0]
        values = [clock(at) ** power for at in times]
        got = sum(w * value for w, value in zip(weights, values, strict=True))
        assert got == pytest.approx(integral, rel=1e-9)


def test_adams_integrates_polynomials_on_any_grid():
    times = [5.0, 3.5, 3.0, 1.0, 0.0]
    grid = TimeGrid(torch.tensor(times))
    step = AdamsBashforth(lambda y, t: torch.full_like(y, 3 * t**2 - 2 * t + 1), 3)
    path = []
    simulate(step, X, grid, None, callback=lambda info: path.append(info.x))
    antiderivative = lambda t: t**3 - t**2 + t
    for k in (3, 4):  # from the third step on the quadratic is exact
        gained = antiderivative(times[k]) - antiderivative(times[k - 1])
        assert torch.allclose(path[k - 1] - path[k - 2], torch.full_like(X, gained), rtol=1e-12)


def relaxing(y, r):
    return torch.tanh(y) + torch.sin(y) * r


def test_relaxation_orders_against_scipy():
    """dy/dlambda = D - y, that is dy/dr = (y - D)/r, from r = 2 to r = 0.5."""
    truth = exact(lambda y, r: -(y - relaxing(y, r)) / r, 2.0, 0.5)
    down = lambda k: uniform(k, 2.0, 0.5)
    assert order(lambda: RelaxationMultistep(relaxing), truth, down) == pytest.approx(2, abs=0.1)
    assert order(lambda: RelaxationMidpoint(relaxing), truth, down) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_relaxation_to_a_fixed_target_is_exact_in_law(eta):
    """With D constant: mean rho^(1+eta^2), variance r^2 stays noise of its level at eta = 1."""
    moved, still = (
        RelaxationMultistep(lambda y, r: torch.zeros_like(y), eta)(X, 2.0, 0.5, z)
        for z in (Z, 0 * Z)
    )
    gain = 0.25 ** (1 + eta**2)
    assert torch.allclose(still, gain * X, rtol=1e-14)
    spread = float(((moved - still) / Z).mean())
    assert spread**2 == pytest.approx(0.25 * (1 - 0.25 ** (2 * eta**2)), abs=1e-15)
    assert gain**2 * 4 + spread**2 == pytest.approx(0.25)  # noise of level 2 becomes level 0.5


def test_relaxation_ends_on_its_target():
    for step in (RelaxationMultistep(relaxing, 1.0), RelaxationMidpoint(relaxing)):
        assert torch.equal(step(X, 0.5, 0.0, Z), relaxing(X, 0.5))


def test_strong_order_of_euler_maruyama_with_shared_noise(generator):
    """Additive noise, one path: the coarse step takes the sum of the fine increments."""
    fine, paths = 512, 2000
    z = torch.randn(fine, paths, 1, generator=generator, dtype=torch.float64)
    step = EulerMaruyama(SDE(lambda x, t: -x, lambda t: 1.0 + t))
    ends = {}
    for k in (32, 64, 512):
        blocks = z.reshape(k, fine // k, paths, 1).sum(1) / (fine // k) ** 0.5
        x = torch.ones(paths, 1, dtype=torch.float64)
        ends[k] = simulate(step, x, uniform(k), lambda i, b=blocks: b[i])
    error = [float((ends[k] - ends[512]).square().mean().sqrt()) for k in (32, 64)]
    assert error[0] / error[1] == pytest.approx(
        2.14, abs=0.2
    )  # order 1 against 512: (1/32-1/512)/(1/64-1/512)


def test_variance_of_euler_maruyama_by_its_recursion():
    """V' = (1 - h)^2 V + h sigma^2, from unit impulses of each noise."""
    grid, k = uniform(8, 1.0), 8
    step = EulerMaruyama(SDE(lambda x, t: -x, lambda t: 2.0 + t))
    response = simulate(step, torch.zeros(k, 1, dtype=torch.float64), grid,
                        lambda i: torch.eye(k, dtype=torch.float64)[:, i : i + 1])  # fmt: skip
    variance = 0.0
    for _, t, s in grid.pairs():
        variance = (1 - (t - s)) ** 2 * variance + (t - s) * (2 + t) ** 2
    assert float(response.square().sum()) == pytest.approx(variance, rel=1e-12)


def test_the_loop_reports_every_step():
    seen = []
    step = EulerMaruyama(SDE(lambda x, t: x, lambda t: 0.0))
    end = simulate(step, X, uniform(4), None, callback=seen.append)
    assert [(info.k, info.steps, info.t, info.s) for info in seen] == [
        (k, 4, 2.0 - 0.5 * k, 1.5 - 0.5 * k) for k in range(4)
    ]
    assert isinstance(seen[0], Info)
    assert torch.equal(seen[-1].x, end)
    assert torch.allclose(end, 1.5**4 * X)
