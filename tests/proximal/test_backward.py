"""Noise-free sampling: the proximal score is a gradient, its fixed point has a closed form."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.proximal.backward import BackwardProximal


class Exact(BackwardProximal):
    """V = |x|^2 / 2 has its normalisers in closed form."""

    def log_normaliser(self, particles):
        d, square = particles.shape[1], particles.square().sum(1)
        return -d / 2 * math.log1p(self.time) - square / (4 * self.gamma * (1 + self.time))


def quadratic(x):
    return x.square().sum(1) / 2


def double_well(x):
    return (x[:, 0].square() - 1).square()


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("gamma", [1.0, 0.3])
def test_the_score_is_the_gradient_of_the_proximal_density(gamma):
    sampler = Exact(quadratic, time=0.4, step=0.1, gamma=gamma)
    y, x = draw(30, 2), draw(7, 2, seed=1).requires_grad_()
    apart = (x[:, None] - y).square().sum(2)
    energy = quadratic(x)[:, None] + apart / (2 * 0.4)
    log_rho = (-energy / (2 * gamma) - sampler.log_normaliser(y)).logsumexp(1)
    (expected,) = torch.autograd.grad(log_rho.sum(), x)
    torch.testing.assert_close(sampler.score(x.detach(), y), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 0.3])
def test_normalisers_are_right_on_average(gamma):
    y = draw(20, 2)
    exact = Exact(quadratic, time=0.3, step=0.1, gamma=gamma).log_normaliser(y)
    few = BackwardProximal(quadratic, time=0.3, step=0.1, gamma=gamma, draws=40_000)
    torch.testing.assert_close(few.log_normaliser(y), exact, rtol=0, atol=0.01)


@pytest.mark.parametrize(("gamma", "time"), [(1.0, 0.5), (0.25, 0.3)])
def test_the_fixed_point_of_a_gaussian(gamma, time):
    """Variance gamma (1 - T^2): a factor of two anywhere in gamma moves it."""
    sampler = Exact(quadratic, time=time, step=0.2, gamma=gamma)
    y = sampler.run(2.0 + draw(500, 1), 60)
    assert float(y.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(y.var()) == pytest.approx(gamma * (1 - time**2), rel=0.02)


def test_two_wells_are_filled_alike_from_one_side():
    """From all particles in the right well: half of them end in the left one."""
    sampler = BackwardProximal(double_well, time=0.1, step=0.05, draws=100)
    x = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    density = (-double_well(x[:, None])).exp()
    second = float((density * x.square()).sum() / density.sum())
    y = sampler.run(0.5 + 0.3 * draw(200, 1), 200)
    assert float((y > 0).double().mean()) == pytest.approx(0.5, abs=0.1)
    assert float(y.square().mean()) == pytest.approx(second, rel=0.1)


def test_nothing_is_random_and_every_step_is_seen():
    sampler = BackwardProximal(double_well, time=0.1, step=0.05)
    seen = []
    first = sampler.run(draw(20, 1), 3, callback=lambda k, y: seen.append(k))
    assert torch.equal(first, sampler.run(draw(20, 1), 3))
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    "wrong", [{"time": 0.0}, {"step": -1.0}, {"gamma": float("nan")}, {"draws": 3}]
)
def test_wrong_numbers_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        BackwardProximal(quadratic, **{"time": 0.1, "step": 0.1, **wrong})


def test_a_potential_of_the_wrong_shape_and_a_long_step_are_refused():
    with pytest.raises(InputError, match="one number per point"):
        BackwardProximal(lambda x: x, time=0.1, step=0.1).run(draw(4, 2), 1)
    with pytest.raises(InputError, match="shorter step"):
        BackwardProximal(double_well, time=0.1, step=1e3).run(draw(20, 1), 50)


def wide(values):
    return torch.tensor(values, dtype=torch.float64)


S = wide([[4.0, 0.3], [0.3, 0.05]])
"""A covariance of condition number 150."""


def test_in_the_metric_of_its_covariance_a_gaussian_is_round():
    """Particles reach gamma (1 - T^2) S in a few steps that S alone would make impossible."""

    def potential(x):
        return (x * torch.linalg.solve(S, x.mT).mT).sum(1) / 2

    sampler = Exact(potential, time=0.5, step=0.2, gamma=0.7, metric=S)
    y = sampler.run(1.0 + draw(400, 2), 80)
    torch.testing.assert_close(torch.cov(y.mT), 0.7 * 0.75 * S, rtol=0.06, atol=0.003)


class Curved(BackwardProximal):
    """V = k |u|^2 / 2 in the coordinates of the run, with normalisers in closed form."""

    def log_normaliser(self, particles):
        k = 2 * float(self.potential(torch.ones_like(particles[:1])))
        square, bend = particles.square().sum(1), 1 + k * self.time
        return -math.log(bend) / 2 - k * square / (4 * self.gamma * bend)


@pytest.mark.parametrize("a", [0.5, 2.0])
def test_the_fixed_point_under_another_metric(a):
    """Variance gamma s (1 - (a T / s)^2) for V = x^2 / 2 s."""
    s, gamma, time = 3.0, 0.6, 0.9
    sampler = Curved(lambda x: x.square().sum(1) / (2 * s), time=time, step=0.4, gamma=gamma,
                     metric=wide([[a]]))  # fmt: skip
    y = sampler.run(1.0 + draw(500, 1), 150)
    assert float(y.var()) == pytest.approx(gamma * s * (1 - (a * time / s) ** 2), rel=0.02)


def test_the_score_in_a_metric_is_a_gradient():
    """Of the proximal density with distances (x - y) A^-1 (x - y)."""
    sampler = BackwardProximal(double_well, time=0.4, step=0.1, metric=S)
    y, x = draw(30, 2), draw(7, 2, seed=1).requires_grad_()
    gap = (x[:, None] - y) @ torch.linalg.inv(torch.linalg.cholesky(S)).mT
    energy = double_well(x)[:, None] + gap.square().sum(2) / (2 * 0.4)
    flat, root = sampler._flat(y)
    normaliser = flat.log_normaliser(torch.linalg.solve(root, y.mT).mT)
    (expected,) = torch.autograd.grad((-energy / 2 - normaliser).logsumexp(1).sum(), x)
    torch.testing.assert_close(sampler.score(x.detach(), y), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", [[[1.0, 2.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]])
def test_what_is_no_metric_is_refused(metric):
    with pytest.raises(InputError, match="metric must be symmetric and positive"):
        BackwardProximal(quadratic, time=0.4, step=0.1, metric=wide(metric))


def test_callbacks_see_the_points_of_the_user():
    seen = []
    sampler = BackwardProximal(quadratic, time=0.4, step=0.1, metric=S)
    y = sampler.run(draw(5, 2), 3, lambda k, u: seen.append(u))
    torch.testing.assert_close(seen[-1], y)
    assert len(seen) == 3
