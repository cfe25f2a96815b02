"""Few points in many coordinates: the same flow in fewer."""

import pytest
import torch

from wasserscore.certificate.adaptive_flow import AdaptiveFlowPath
from wasserscore.certificate.flow import FlowPath
from wasserscore.certificate.span import Span
from wasserscore.certificate.start import coupled_starts
from wasserscore.core.random import Streams
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, VP
from wasserscore.sampling import time_grid
from wasserscore.score import EmpiricalScore, GaussianScore

PROCESSES = [VP.linear(a=19.9, b=0.1, horizon=1.0), EDM(sigma_max=20.0)]


def points(n, *shape):
    drawn = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn + 3.0


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_every_end_and_error_is_that_of_all_coordinates(process, monkeypatch):
    """Of points one of which comes twice, in the shape of images."""
    law = EmpiricalScore(torch.cat([points(6, 2, 3, 4), points(1, 2, 3, 4)]), process, 0.01)
    path, grid = AdaptiveFlowPath(FlowPath(law, 1e-2)), time_grid(process, 5, "karras")
    x = law.sample_marginal(9, grid.start, generator=torch.Generator().manual_seed(1))
    rough = x + 1e-6
    seen, asked = [], EmpiricalScore.__call__

    def watched(score, y, t):
        seen.append(y.shape[1:])
        return asked(score, y, t)

    monkeypatch.setattr(EmpiricalScore, "__call__", watched)
    few = path.run(x, grid, lambda k: x, rough)
    assert set(seen) == {(8,)}
    few_asked = len(seen)
    monkeypatch.setattr(Span, "of", lambda flow: None)
    whole = AdaptiveFlowPath(path.flow).run(x, grid, lambda k: x, rough)
    assert len(seen) == 2 * few_asked  # the same steps
    torch.testing.assert_close(few.x, whole.x, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(few.error, whole.error, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_equal_steps_end_where_those_of_all_coordinates_do(process):
    """Down to half of the horizon, where a process of falling signal has some scale of its own."""
    law = EmpiricalScore(points(5, 3, 4), process, 0.2)
    flow = FlowPath(law, 1e-2)
    grid = TimeGrid(torch.tensor([1.0, 0.5], dtype=torch.float64) * process.horizon)
    x = law.sample_marginal(9, grid.start, generator=torch.Generator().manual_seed(1))
    few, whole = Span.of(flow).solve(x, grid, 8), flow.solve(x, grid, 8)
    assert few.shape == x.shape
    torch.testing.assert_close(few, whole, rtol=1e-11, atol=1e-11)


def test_starts_are_solved_in_the_span_of_the_points(monkeypatch):
    law, seen, asked = EmpiricalScore(points(5, 30), PROCESSES[1], 0.2), [], FlowPath.solve

    def watched(flow, x, grid, parts):
        seen.append(tuple(x.shape))
        return asked(flow, x, grid, parts)

    monkeypatch.setattr(FlowPath, "solve", watched)
    few = coupled_starts(law, 20.0, "prior", Streams(0), 9)
    assert [shape for shape in seen if shape[0] == 9] == [(9, 6)] * 3
    monkeypatch.setattr(Span, "of", lambda flow: None)
    whole = coupled_starts(law, 20.0, "prior", Streams(0), 9)
    torch.testing.assert_close(few.x, whole.x, rtol=1e-9, atol=1e-9)
    assert few.shift == pytest.approx(whole.shift, rel=1e-3)


def test_what_lies_in_the_span_has_nothing_beside_it():
    law = EmpiricalScore(points(4, 30), PROCESSES[0], 0.3)
    span = Span.of(FlowPath(law, 1e-4))
    w = law.points - law.points.mean(0)
    inside, beside = span.enter(w)
    assert float(inside[:, -1].max()) < 1e-12
    torch.testing.assert_close(span.leave(inside, beside), w, rtol=0, atol=1e-12)


def test_many_points_and_other_laws_stay_as_they_are():
    many = EmpiricalScore(points(30, 31), PROCESSES[0], 0.3)
    other = GaussianScore(points(1, 9)[0], torch.eye(9, dtype=torch.float64), PROCESSES[0])
    assert Span.of(FlowPath(many, 1e-4)) is None
    assert Span.of(FlowPath(other, 1e-4)) is None
