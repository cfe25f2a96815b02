"""The picture of a plan: every process a panel, every solver a line, the plan a star."""

import pytest

from wasserscore.report import figure_bytes, plan_figure


def option(family, solver, evaluations, w2, curve=()):
    return {
        "process": {"family": family}, "solver": solver, "eta": 0.0, "evaluations": evaluations,
        "predicted": {"w2": w2}, "curve": [list(point) for point in curve],
    }  # fmt: skip


@pytest.fixture
def plan():
    best = option("EDM", "heun", 19, 0.09, [(5, 9, 0.4), (10, 19, 0.09), (20, 39, 0.02)])
    other = option("VP.linear", "ddim", 60, 0.1, [(30, 30, 0.2), (60, 60, 0.1)])
    unreached = option("EDM", "ddim", None, None) | {"predicted": None}
    return {**best, "mode": "calibrated", "aim": 0.1, "options": [best, other, unreached]}


def test_panels_lines_and_the_star(plan):
    figure = plan_figure(plan)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == ["EDM", "VP.linear"]
    lines = {line.get_label(): line for line in shown[0].lines}
    assert list(lines["heun"].get_xdata()) == [9, 19, 39]
    assert list(lines["heun"].get_ydata()) == [0.4, 0.09, 0.02]
    assert list(lines["plan"].get_xdata()) == [19]
    assert "ddim" not in lines
    targets = [line for axis in shown for line in axis.lines if line.get_linestyle() == "--"]
    assert all(set(line.get_ydata()) == {0.1} for line in targets)


@pytest.mark.slow
def test_the_same_plan_gives_the_same_files(plan):
    for kind in ("png", "svg"):
        assert figure_bytes(plan_figure(plan), kind) == figure_bytes(plan_figure(plan), kind)
