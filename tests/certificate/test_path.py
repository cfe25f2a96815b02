import math
from itertools import pairwise

import pytest
import torch
from scipy import stats

from wasserscore.certificate.flow import FlowPath, remaining
from wasserscore.certificate.mixed import MixedPath
from wasserscore.certificate.path import GaussianPath, ReversePath, inner_noises, substeps
from wasserscore.core.random import Streams
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, VE, VP
from wasserscore.sampling import Sampler, time_grid
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)
MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=F64)
COVARIANCE = torch.tensor([[1.0, 0.6, 0.1], [0.6, 0.5, 0.0], [0.1, 0.0, 0.3]], dtype=F64)


def two_modes(process, variance=0.04):
    return MixtureScore(
        torch.tensor([0.3, 0.7], dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
        torch.full((2, 1, 1), variance, dtype=F64), process,
    )  # fmt: skip


def marginal(score, t):
    mean, covariance = score.moments()
    alpha, variance = float(score.process.alpha(t)), float(score.process.variance(t))
    return alpha * mean, alpha**2 * covariance + variance * torch.eye(len(mean), dtype=F64)


def affine_step(path, grid, d):
    """The matrices of one step x -> x A + shift + z N, read off from unit vectors."""
    eye, zero = torch.eye(d, dtype=F64), torch.zeros(1, d, dtype=F64)
    shift = path.run(zero, grid, lambda k: zero).x
    A = path.run(eye, grid, lambda k: 0 * eye).x - shift
    return A, shift[0], path.run(0 * eye, grid, lambda k: eye).x - shift


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("process", [VP_LINEAR, EDM(sigma_max=20.0)], ids=lambda p: p.name)
def test_a_gaussian_path_keeps_the_law_at_every_step_size(process, eta):
    score = GaussianScore(MEAN, COVARIANCE, process)
    times = [process.horizon, 0.3 * process.horizon, 0.01 * process.horizon, 0.0]
    for t, s in pairwise(times):
        grid = TimeGrid(torch.tensor([t, s], dtype=F64))
        A, shift, N = affine_step(GaussianPath(score, eta), grid, 3)
        (m, V), (m_s, V_s) = marginal(score, t), marginal(score, s)
        assert torch.allclose(m @ A + shift, m_s, atol=1e-10)
        assert torch.allclose(A.mT @ V @ A + N.mT @ N, V_s, atol=1e-10)


def test_a_gaussian_path_at_eta_one_is_the_reverse_transition():
    score = GaussianScore(MEAN, COVARIANCE, VP_LINEAR)
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(5, 3, generator=generator, dtype=F64) for _ in range(2))
    grid = TimeGrid(torch.tensor([0.9, 0.4], dtype=F64))
    end = GaussianPath(score, 1.0).run(x, grid, lambda k: z)
    u = torch.zeros(5, dtype=F64)
    assert end.error is None
    assert torch.allclose(end.x, score.reverse_transition(x, 0.9, 0.4, noise=z, uniform=u))


def test_a_gaussian_path_follows_the_law_of_motion_in_small_steps():
    # drift f x + (1 + eta^2)/2 g^2 score and diffusion eta g: the local expansion of one step
    score, eta, t, h = GaussianScore(MEAN, COVARIANCE, VP_LINEAR), 0.6, 0.5, 1e-5
    grid = TimeGrid(torch.tensor([t, t - h], dtype=F64))
    A, shift, N = affine_step(GaussianPath(score, eta), grid, 3)
    f, g2 = float(VP_LINEAR.f(t)), float(VP_LINEAR.g2(t))
    x = torch.tensor([[1.0, 2.0, -1.0]], dtype=F64)
    drift = f * x + (1 + eta**2) / 2 * g2 * score(x, t)
    assert torch.allclose((x @ A + shift - x) / h, drift, rtol=1e-3)
    assert torch.allclose(
        N / math.sqrt(h), eta * math.sqrt(g2) * torch.eye(3, dtype=F64), atol=1e-3
    )


@pytest.mark.parametrize("parts", [1, 3])
def test_a_reverse_path_of_a_mixture_ends_in_its_law(parts):
    score, n = two_modes(VP_LINEAR), 20000
    generator = torch.Generator().manual_seed(1)
    grid = time_grid(VP_LINEAR, 3, "karras")
    noise = [torch.randn(n, 1, generator=generator, dtype=F64) for _ in range(3)]
    x = score.sample_marginal(n, grid.start, generator=generator)
    end = ReversePath(score, parts, Streams(0)).run(x, grid, lambda k: noise[k]).x[:, 0]
    right = end > 0
    assert float(right.double().mean()) == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / n))
    for mode, where in ((1.0, right), (-1.0, ~right)):
        cloud = end[where]
        assert float(cloud.mean()) == pytest.approx(mode, abs=4 * 0.2 / math.sqrt(len(cloud)))
        assert float(cloud.var()) == pytest.approx(0.04, rel=4 * math.sqrt(2 / len(cloud)))


def test_inner_noises_are_independent_normals_that_sum_to_the_steps_noise():
    n = 40000
    z = torch.randn(n, 1, generator=torch.Generator().manual_seed(2), dtype=F64)
    times = substeps(VP_LINEAR, 0.8, 0.3, 4)
    noises = torch.cat(inner_noises(VP_LINEAR, Streams(3), z, times, 0), dim=1)
    S = [float(VP_LINEAR.noise_to_signal(t)) for t in times]
    weights = torch.tensor([(a - b) / (S[0] - S[-1]) for a, b in pairwise(S)],
                           dtype=F64).sqrt()  # fmt: skip
    assert torch.allclose(noises @ weights, z[:, 0], atol=1e-12)
    assert torch.allclose(noises.T.cov(), torch.eye(4, dtype=F64), atol=5 / math.sqrt(n))


def test_more_parts_bring_the_reference_nearer_to_a_fine_sampler():
    # the limit of many parts is the reverse equation itself, driven by the same noise
    score, n, K = two_modes(VP_LINEAR), 256, 30
    generator = torch.Generator().manual_seed(4)
    grid = time_grid(VP_LINEAR, K, "karras")
    noise = [torch.randn(n, 1, generator=generator, dtype=F64) for _ in range(K)]
    x = score.sample_marginal(n, grid.start, generator=generator)
    fine = Sampler(score, VP_LINEAR, "ancestral", grid, 1.0).run(x, lambda k: noise[k])
    gaps = [
        float((ReversePath(score, m, Streams(5)).run(x, grid, lambda k: noise[k]).x - fine)
              .square().mean().sqrt())
        for m in (1, 8)
    ]  # fmt: skip
    assert gaps[1] < 0.8 * gaps[0]


def test_the_flow_of_a_gaussian_is_its_affine_map():
    process = VE.constant(a=1.0, horizon=400.0)
    score = GaussianScore(MEAN, COVARIANCE, process)
    x = 20 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    grid = time_grid(process, 7, "karras")
    exact = GaussianPath(score, 0.0).run(x, grid, lambda k: x)
    solved = FlowPath(score, 1e-7, parts=64, doublings=0).run(x, grid, lambda k: x)
    assert torch.allclose(solved.x, exact.x, atol=1e-6)
    assert float((solved.x - exact.x).abs().max()) < float(solved.error.max()) < 1e-5


def test_the_flow_in_one_dimension_matches_quantiles():
    score = two_modes(VP_LINEAR)
    law = lambda x, t: sum(
        w * stats.norm.cdf(x, float(VP_LINEAR.alpha(t)) * m,
                           float((VP_LINEAR.alpha(t) ** 2 * 0.04 + VP_LINEAR.variance(t)).sqrt()))
        for w, m in ((0.3, -1.0), (0.7, 1.0))
    )  # fmt: skip
    x = torch.linspace(-2.5, 2.5, 11, dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 5, "karras")
    end = FlowPath(score, 0.0, parts=128, doublings=0).run(x, grid, lambda k: x).x
    for before, after in zip(x[:, 0].tolist(), end[:, 0].tolist(), strict=True):
        assert law(after, 0.0) == pytest.approx(law(before, 1.0), abs=1e-6)


def test_the_flow_is_of_fourth_order_down_to_no_noise():
    # doubling must halve every substep, the one that ends at t = 0 included
    flow = FlowPath(two_modes(VP_LINEAR), 0.0)
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    grid = TimeGrid(torch.tensor([0.05, 0.0], dtype=F64))
    best = flow.solve(x, grid, 128)
    gaps = [float((flow.solve(x, grid, m) - best).abs().max()) for m in (8, 16)]
    assert 12 < gaps[0] / gaps[1] < 20


@pytest.mark.slow
@pytest.mark.parametrize("bandwidth", [0.15, 0.02, pytest.param(0.005, marks=pytest.mark.slow)])
def test_the_error_of_a_flow_is_below_what_it_reports_at_every_bandwidth(bandwidth):
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    score = EmpiricalScore(points, VP_LINEAR, bandwidth=bandwidth)
    x = score.sample_marginal(16, 1.0, generator=torch.Generator().manual_seed(1))
    grid = time_grid(VP_LINEAR, 4, "karras")
    flow = FlowPath(score, 0.01)
    end = flow.run(x, grid, lambda k: x)
    truth = (end.x - flow.solve(x, grid, 4 * flow.steps(grid))).norm(dim=1)
    assert bool((truth <= end.error).all())
    assert float(end.error.square().mean().sqrt()) < 0.05


def test_what_remains_is_a_geometric_series_and_infinite_where_it_does_not_shrink():
    at = lambda *numbers: torch.tensor(numbers, dtype=F64)[:, None]
    one, two = at(1.0, 0.0), at(1.5, 0.0)
    assert remaining(one, two, at(1.6, 0.0)).tolist() == pytest.approx([0.125, 0.0])
    assert remaining(one, two, at(1.7, 0.0)).tolist() == pytest.approx([0.2, 0.0])
    assert remaining(one, two, at(1.9, 0.0)).tolist() == pytest.approx([0.4 * 4, 0.0])
    assert math.isinf(float(remaining(one, two, at(2.1, 0.0))[0]))


def test_the_number_of_steps_of_a_flow_does_not_depend_on_its_rows():
    score = two_modes(VP_LINEAR, 0.01)
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 4, "karras")
    flow = FlowPath(score, 1e-3, parts=4)
    assert flow.steps(grid) > 4
    whole = flow.run(x, grid, lambda k: x).x
    assert torch.equal(whole[:3], flow.run(x[:3], grid, lambda k: x[:3]).x)


def test_a_rough_start_is_part_of_the_error():
    score = two_modes(VP_LINEAR)
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 4, "karras")
    flow = FlowPath(score, 1e-3, doublings=0)
    clean, moved = (flow.run(x, grid, lambda k: x, x + off) for off in (0.0, 1e-3))
    assert torch.equal(clean.x, moved.x)
    assert float(moved.error.min()) > float(clean.error.max())


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("eta", [0.3, 0.8])
def test_a_mixed_path_ends_in_the_law_at_every_noise_level(eta, parts):
    score, n = two_modes(VP_LINEAR), 10000
    generator = torch.Generator().manual_seed(1)
    grid = time_grid(VP_LINEAR, 3, "karras")
    noise = [torch.randn(n, 1, generator=generator, dtype=F64) for _ in range(3)]
    x = score.sample_marginal(n, grid.start, generator=generator)
    path = MixedPath(ReversePath(score, parts, Streams(0)), eta)
    end = path.run(x, grid, lambda k: noise[k])
    right = end.x[:, 0] > 0
    slack = float(end.error.mean())
    assert float(right.double().mean()) == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / n) + slack)
    for mode, where in ((1.0, right), (-1.0, ~right)):
        cloud = end.x[where, 0]
        assert float(cloud.mean()) == pytest.approx(mode, abs=0.8 / math.sqrt(len(cloud)) + slack)
        assert float(cloud.var()) == pytest.approx(0.04, rel=4 * math.sqrt(2 / len(cloud)) + slack)


def test_a_mixed_path_has_the_noise_of_its_level():
    # one short step of a single Gaussian: the diffusion is eta g
    score = MixtureScore(torch.ones(1, dtype=F64), torch.zeros(1, 1, dtype=F64),
                         torch.ones(1, dtype=F64), VP_LINEAR)  # fmt: skip
    eta, t, h = 0.6, 0.5, 1e-4
    grid = TimeGrid(torch.tensor([t, t - h], dtype=F64))
    path = MixedPath(ReversePath(score, 1, Streams(0)), eta)
    one = torch.ones(1, 1, dtype=F64)
    still, moved = (path.run(one, grid, lambda k, z=z: z * one).x for z in (0.0, 1.0))
    spread = eta * math.sqrt(float(VP_LINEAR.g2(t)) * h)
    assert float(moved - still) == pytest.approx(spread, rel=1e-2)
    slope = float(score(one, t))
    drift = float(VP_LINEAR.f(t)) + (1 + eta**2) / 2 * float(VP_LINEAR.g2(t)) * slope
    assert float(still - 1) / h == pytest.approx(drift, rel=1e-2)


@pytest.mark.slow
def test_the_flow_of_an_empirical_law_without_bandwidth_ends_in_its_points():
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]], dtype=F64)
    process = EDM(sigma_max=10.0)
    score = EmpiricalScore(points, process)
    x = 10 * torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    end = FlowPath(score, 1e-3).run(x, time_grid(process, 6, "karras"), lambda k: x)
    assert float(torch.cdist(end.x, points).min(1).values.max()) < 1e-6


def test_substeps_keep_their_ends_and_fall():
    times = substeps(VP_LINEAR, 0.7, 0.0, 5)
    assert times[0] == 0.7
    assert times[-1] == 0.0
    assert all(a > b for a, b in pairwise(times))
