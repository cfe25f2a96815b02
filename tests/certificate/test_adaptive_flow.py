import math

import pytest
import torch
from scipy import stats

from wasserscore.certificate import adaptive_flow
from wasserscore.certificate.adaptive_flow import AdaptiveFlowPath, row_error
from wasserscore.certificate.flow import FlowPath, remaining
from wasserscore.certificate.path import GaussianPath
from wasserscore.process import EDM, VE, VP, SubVP
from wasserscore.sampling import time_grid
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)
MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=F64)
COVARIANCE = torch.tensor([[1.0, 0.6, 0.1], [0.6, 0.5, 0.0], [0.1, 0.0, 0.3]], dtype=F64)


def two_modes(process):
    return MixtureScore(
        torch.tensor([0.3, 0.7], dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
        torch.full((2,), 0.04, dtype=F64), process,
    )  # fmt: skip


def adaptive(score, tolerance):
    return AdaptiveFlowPath(FlowPath(score, tolerance))


@pytest.mark.parametrize("process", [VP_LINEAR, EDM(sigma_max=20.0), SubVP.linear(a=19.9, b=0.1)],
                         ids=lambda p: p.name)  # fmt: skip
def test_a_velocity_per_row_is_the_velocity_of_each(process):
    flow = FlowPath(two_modes(process), 1e-3)
    times = torch.tensor([0.9, 0.4, 0.05, 0.0], dtype=F64) * process.horizon
    w = torch.tensor([[0.3], [-0.8], [1.2], [0.1]], dtype=F64)
    clocks = torch.tensor([flow.clock_at(float(t)) for t in times], dtype=F64)
    each = torch.cat([flow._velocity(w[i : i + 1], float(t)) for i, t in enumerate(times)])
    assert torch.allclose(flow.velocity_at(w, clocks), each, rtol=1e-7, atol=1e-9)


def test_a_gaussian_moves_by_its_affine_map():
    score = GaussianScore(MEAN, COVARIANCE, VE.constant(a=1.0, horizon=400.0))
    x = 20 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    grid = time_grid(score.process, 7, "karras")
    exact = GaussianPath(score, 0.0).run(x, grid, lambda k: x)
    solved = adaptive(score, 1e-6).run(x, grid, lambda k: x)
    assert torch.allclose(solved.x, exact.x, atol=1e-6)
    assert float(solved.error.max()) <= 1e-6


@pytest.mark.slow
def test_quantiles_are_kept_in_one_dimension_and_errors_are_upper_estimates():
    score = two_modes(VP_LINEAR)
    law = lambda x, t: sum(
        w * stats.norm.cdf(x, float(VP_LINEAR.alpha(t)) * m,
                           float((VP_LINEAR.alpha(t) ** 2 * 0.04 + VP_LINEAR.variance(t)).sqrt()))
        for w, m in ((0.3, -1.0), (0.7, 1.0))
    )  # fmt: skip
    # the last points start where the two modes part
    x = torch.tensor([-2.0, 0.0, 2.0, -0.524, -0.52], dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 5, "karras")
    end = adaptive(score, 1e-3).run(x, grid, lambda k: x)
    finest = adaptive(score, 1e-5).run(x, grid, lambda k: x).x
    assert bool(((end.x - finest).norm(dim=1) <= end.error).all())
    assert float(end.error.max()) <= 1e-3
    for before, after in zip(x[:, 0].tolist(), finest[:, 0].tolist(), strict=True):
        assert law(after, 0.0) == pytest.approx(law(before, 1.0), abs=1e-5)


def test_points_where_modes_part_are_settled_in_high_dimension():
    points = torch.randn(30, 16, generator=torch.Generator().manual_seed(0), dtype=F64)
    score = EmpiricalScore(points, VP_LINEAR, bandwidth=0.05)
    x = score.sample_marginal(32, 1.0, generator=torch.Generator().manual_seed(1))
    grid = time_grid(VP_LINEAR, 4, "karras")
    end = adaptive(score, 4e-3).run(x, grid, lambda k: x)
    assert float(end.error.max()) <= 4e-3
    nearest = torch.cdist(end.x, points).min(1).values
    assert float(nearest.max()) < 0.05 * math.sqrt(16) * 2


def test_a_row_does_not_depend_on_its_neighbours():
    score = two_modes(VP_LINEAR)
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 4, "karras")
    path = adaptive(score, 1e-4)
    whole, some = (path.run(part, grid, lambda k: x) for part in (x, x[2:4]))
    assert torch.allclose(whole.x[2:4], some.x, atol=1e-12)
    assert torch.allclose(whole.error[2:4], some.error, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_a_rough_start_is_part_of_the_error_however_fine_the_solution(monkeypatch):
    monkeypatch.setattr(adaptive_flow, "LEVELS", 1)
    score = two_modes(VP_LINEAR)
    x = torch.linspace(-2, 2, 5, dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 4, "karras")
    clean, moved = (adaptive(score, 1e-4).run(x, grid, lambda k: x, x + off)
                    for off in (0.0, 1e-2))  # fmt: skip
    assert float(moved.error.min()) > 1e-4 > float(clean.error.max())


def test_one_row_alone_has_the_error_of_the_formula_for_many():
    at = lambda *numbers: torch.tensor(numbers, dtype=F64)[:, None]
    ends = at(1.0), at(1.5), at(1.7)
    assert torch.allclose(row_error(*ends), remaining(*ends))
    mixed = row_error(at(1.0, 1.0, 1.0), at(1.5, 1.0, 1.1), at(1.6, 1.0, 1.3))
    assert mixed.tolist() == [pytest.approx(0.125), 0.0, math.inf]


def test_rows_that_are_never_settled_share_one_ratio(monkeypatch):
    monkeypatch.setattr(adaptive_flow, "LEVELS", 0)
    score = two_modes(VP_LINEAR)
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    grid = time_grid(VP_LINEAR, 4, "karras")
    path = adaptive(score, 0.0)
    ends = [path.solve(x, grid, level) for level in range(3)]
    assert torch.equal(path.run(x, grid, lambda k: x).error, remaining(*ends))


def test_differences_of_rounding_are_settled_at_once(monkeypatch):
    # the flow of a single Gaussian does not move in w: three solutions agree but for rounding
    score = MixtureScore(torch.ones(1, dtype=F64), MEAN[None], torch.full((1,), 0.3, dtype=F64),
                         VP_LINEAR)  # fmt: skip
    levels, solve = [], AdaptiveFlowPath.solve
    monkeypatch.setattr(
        AdaptiveFlowPath, "solve",
        lambda self, x, grid, level: levels.append(level) or solve(self, x, grid, level),
    )  # fmt: skip
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    end = adaptive(score, 1e-6).run(x, time_grid(VP_LINEAR, 4, "karras"), lambda k: x, x + 1e-13)
    assert levels == [0, 1, 2]
    assert float(end.error.max()) < 1e-10
