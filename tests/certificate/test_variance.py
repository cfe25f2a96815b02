"""Control variates: exactly standard normal, unbiased, and worth it where they should be."""

import math

import pytest
import torch
from tests.problems import affine, gaussian, line

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.path import GaussianPath
from wasserscore.certificate.proposal import squares
from wasserscore.certificate.variance import controlled, gaussian_end
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
VPL = VP.linear(a=19.9, b=0.1, horizon=1.0)


def coupled(problem, *, seed=0):
    return Coupling(problem.score, problem.reference, solver(problem.solver), problem.grid,
                    problem.noise_level, problem.start, 2, Streams(seed))  # fmt: skip


def pair_squares(coupling, n):
    ends = coupling.run(n)
    return squares(ends.reference, ends.model)


def exact_mean_square(coupling):
    """E|X - Y|^2 for Gaussian reference and affine score: X - Y is affine in all noises."""
    reference, d = coupling.reference, coupling.reference.dim
    rows, grid = 1 + d + d * coupling.grid.steps, coupling.grid
    start = torch.zeros(rows, d, dtype=F64)
    start[1 : 1 + d] = torch.eye(d, dtype=F64)

    def noise(k):
        z = torch.zeros(rows, d, dtype=F64)
        z[1 + d + k * d : 1 + d + (k + 1) * d] = torch.eye(d, dtype=F64)
        return z

    alpha, sigma = (
        float(f(grid.start)) for f in (reference.process.alpha, reference.process.sigma)
    )
    mean, covariance = reference.moments()
    values, vectors = torch.linalg.eigh(alpha**2 * covariance + sigma**2 * torch.eye(d, dtype=F64))
    x = alpha * mean + start @ (vectors * values.sqrt()) @ vectors.mT
    y = x if coupling.start == "reference" else sigma * start
    gap = GaussianPath(reference, coupling.eta).run(x, grid, noise).x - coupling.sample(
        coupling.score, y, noise
    )
    return float(gap[0].square().sum() + (gap[1:] - gap[0]).square().sum())


@pytest.mark.parametrize(("eta", "stop"), [(0.0, None), (0.6, 0.02), (1.0, 0.02)])
def test_the_matched_gaussian_ends_standard_normal(eta, stop):
    reference = MixtureScore(
        torch.tensor([0.3, 0.7], dtype=F64), torch.tensor([[-1.0, 2.0], [1.0, 0.5]], dtype=F64),
        torch.tensor([[[0.3, 0.1], [0.1, 0.2]]] * 2, dtype=F64), VPL,
    )  # fmt: skip
    coupling = Coupling(reference, reference, solver("exponential"),
                        time_grid(VPL, 12, stop=stop), eta, "prior", 2, Streams(3))  # fmt: skip
    u = gaussian_end(coupling, 20_000)
    assert u.shape == (20_000, 2)
    assert u.mean(0).abs().max() < 4 / math.sqrt(20_000)
    assert (u.mT @ u / 20_000 - torch.eye(2)).abs().max() < 5 * math.sqrt(2 / 20_000)
    assert ((u**4).mean(0) - 3).abs().max() < 5 * math.sqrt(96 / 20_000)


@pytest.mark.parametrize("i", [0, 8])
def test_linear_flows_lose_all_variance(i):
    problem = gaussian.random_problem(i)
    assert problem.noise_level == 0
    coupling = coupled(problem)
    plain = pair_squares(coupling, 256)
    adjusted = controlled(plain, gaussian_end(coupling, 256))
    assert adjusted.mean().item() == pytest.approx(exact_mean_square(coupling), rel=1e-6)
    assert adjusted.std() < 1e-5 * plain.std()


@pytest.mark.slow
def test_noisy_linear_samplers_keep_their_mean():
    problem = gaussian.random_problem(13)
    assert problem.noise_level == 1
    coupling = coupled(problem)
    v, u = pair_squares(coupling, 1600), gaussian_end(coupling, 1600)
    parts = [controlled(a, b) for a, b in zip(v.split(200), u.split(200), strict=True)]
    means = torch.stack([part.mean() for part in parts])
    error = means.std() / math.sqrt(len(means))
    assert abs(means.mean() - exact_mean_square(coupling)) < 4 * error
    assert torch.stack([p.var() for p in parts]).mean() < v.var()


@pytest.mark.slow
def test_a_mixture_keeps_its_mean_and_pays():
    problem = affine.random_problem(0)
    coupling = coupled(problem)
    v, u = pair_squares(coupling, 800), gaussian_end(coupling, 800)
    adjusted = controlled(v, u)
    assert adjusted.var() < 0.7 * v.var()
    spread = (v - adjusted).std() / math.sqrt(800)
    assert abs(v.mean() - adjusted.mean()) < 4 * spread


def test_useless_controls_are_left_out():
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(60, 5, generator=generator, dtype=F64)
    v = torch.rand(60, generator=generator, dtype=F64)
    assert controlled(v, u).var() <= v.var()
    assert torch.equal(controlled(v[:20], u[:20]), v[:20])  # too few rows for any fit
    broken = torch.where(v > 0.5, math.inf, v)
    assert torch.equal(controlled(broken, u), broken)


def test_the_same_numbers_give_the_same_bits():
    u, values = torch.randn(2, 256, 6, generator=torch.Generator().manual_seed(0)).double()
    held, found = [], set()
    for k in range(20):
        held.append(torch.empty(37 * k + 1))  # what comes next lies elsewhere in memory
        found.add(tuple(controlled(values.square().sum(1) + u[:, 0], u).tolist()))
    assert len(found) == 1


def test_rows_must_match():
    with pytest.raises(InputError, match="row of controls"):
        controlled(torch.zeros(4, dtype=F64), torch.zeros(5, 2, dtype=F64))


def test_degenerate_directions_are_dropped():
    flat = GaussianScore(torch.zeros(2, dtype=F64), torch.diag(torch.tensor([1.0, 0.0])).double(),
                         VPL)  # fmt: skip
    coupling = Coupling(flat, flat, solver("heun"), time_grid(VPL, 6), 0.0, "prior", 1, Streams(0))
    assert gaussian_end(coupling, 64).shape == (64, 1)


def test_problem_families_are_reproducible():
    for family in (gaussian, line, affine):
        a, b = family.random_problem(7), family.random_problem(7)
        assert a.name == b.name
        assert torch.equal(a.reference.moments()[1], b.reference.moments()[1])
