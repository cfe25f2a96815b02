"""The figure of a comparison: every panel and line is there, nothing overlaps, bytes repeat."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from wasserscore.report import compare_figure, figure_bytes

SOLVERS = ("heun", "dpmpp_2m", "ddim", "euler_maruyama", "integrated_euler", "ancestral")


def found(processes, solvers=SOLVERS[:4], *, widest=4.0):
    means = [
        {"process": process, "solver": solver, "evaluations": k * (1 + (solver == "heun")),
         "w2": {"value": 2.7 + widest / k * (1 + place), "stderr": 0.01},
         "energy": {"value": 0.1 + widest / k * (1 + place), "stderr": 0.01}, "narrow": k == 5}
        for process in processes
        for place, solver in enumerate(solvers)
        for k in (5, 10, 20, 40)
    ]  # fmt: skip
    means[1]["w2"] = None
    means[2]["w2"]["stderr"] = None
    beside = [{"floor": {"value": scale}, "bootstrap": {"value": 1.05 * scale},
               "exact_draws": {"value": 1.1 * scale}} for scale in (2.6, 0.1)]  # fmt: skip
    return {"means": means, "n": 898, "w2": beside[0], "energy": beside[1]}


@pytest.mark.parametrize(("processes", "widest"), [(1, 1e4), (3, 1.0), (5, 1.0)])
def test_panels_lines_and_labels(processes, widest):
    names = [f"VP.linear(a=19.9, b=0.{i})" for i in range(processes)]
    figure = compare_figure(found(names, widest=widest))
    shown = [axis for axis in figure.axes if axis.get_visible()]
    w2 = [axis for axis in shown if axis.get_title()]
    energy = [axis for axis in shown if not axis.get_title()]
    assert [axis.get_title() for axis in w2] == names
    assert len(energy) == len(names)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(SOLVERS[:4]) < set(labels)
    assert len(labels) == 7
    for axes, floor in ((w2, 2.6), (energy, 0.1)):
        for axis in axes:
            assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
            assert axis.get_ylim() == axes[0].get_ylim()
            assert axis.get_ylim()[1] >= floor
    heun = w2[0].get_lines()[0]
    assert list(heun.get_xdata()) == [10, 40, 80]  # the failed cell at 20 is left out


@pytest.mark.parametrize(("processes", "widest"), [(1, 1.0), (3, 1e4)])
def test_no_label_overlaps_another(processes, widest):
    figure = compare_figure(
        found([f"process {i}" for i in range(processes)], SOLVERS, widest=widest)
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [t for a in figure.axes for t in (a.title, a.xaxis.label, a.yaxis.label)]
    texts += [t for a in figure.axes for axis in (a.xaxis, a.yaxis) for t in visible(axis)]
    assert all(len(visible(a.xaxis)) >= 2 for a in figure.axes if a.get_xlabel())
    assert len(visible(figure.axes[0].yaxis)) >= 2
    texts += figure.legends[0].get_texts()
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    for i, (text, box) in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= canvas.get_renderer().width
        for other, second in boxes[:i]:
            assert not box.overlaps(second), (text, other)


def visible(axis):
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks()
            if tick.label1.get_visible() and low <= tick.get_loc() <= high]  # fmt: skip


def test_a_diverged_cell_does_not_squeeze_the_others():
    given = found(["edm", "ou"])
    given["means"][0]["w2"]["value"] = 1e4
    top = compare_figure(given).axes[0].get_ylim()[1]
    values = sorted(m["w2"]["value"] for m in given["means"] if m["w2"])
    assert values[-2] < top < 20


@pytest.mark.slow
def test_files_depend_on_the_numbers_alone():
    for kind in ("svg", "png"):
        first, again = (compare_figure(found(["edm"])) for _ in range(2))
        assert figure_bytes(first, kind) == figure_bytes(again, kind)
