"""The figure of a comparison: W2 against score evaluations, a panel per process."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from wasserscore.report.figures import GOOD, INK, MUTED, PALETTE, new

COLUMNS = 3
COLOURS = tuple(colour for colour in PALETTE if colour != GOOD)
"""Of the solvers; green is the floor's."""
MARKERS = "osD^vPX*"
WIDE = 100.0
"""Ratio of the ends of an axis above which it gets two ticks to a decade instead of three."""


def compare_figure(found: Mapping[str, Any]) -> Figure:
    """W2 against score evaluations on log axes, a line per solver, error bars over seeds.

    Args:
        found: A comparison as JSON types: ``means``, ``floor``, ``bootstrap``, ``exact_draws``.
    """
    processes = list(dict.fromkeys(mean["process"] for mean in found["means"]))
    solvers = list(dict.fromkeys(mean["solver"] for mean in found["means"]))
    columns = min(COLUMNS, len(processes))
    rows = math.ceil(len(processes) / columns)
    figure, axes = new(max(2.6 * columns + 0.8, 4.6), 2.7 * rows + 0.8, rows, columns)
    for axis, process in zip(axes.flat, processes, strict=False):
        means = [mean for mean in found["means"] if mean["process"] == process]
        _panel(axis, means, solvers)
        _lines(axis, found)
        axis.set_title(process, fontsize=8, color=INK)
        axis.set_xlabel("score evaluations", fontsize=8)
    for axis in axes.flat[len(processes) :]:
        axis.set_visible(False)
    _share_scales(list(axes.flat[: len(processes)]))
    for axis in axes[:, 0]:
        axis.set_ylabel(f"W2 to {found['n']} held-out rows", fontsize=8)
    for axis in axes[:, 1:].flat:
        axis.tick_params(labelleft=False)
    lines = dict(zip(*axes.flat[0].get_legend_handles_labels()[::-1], strict=True))
    labels = sorted(lines, key=lambda label: label not in solvers)
    figure.legend([lines[label] for label in labels], labels, loc="outside lower center",
                  ncols=columns + 1, fontsize=8, frameon=False)  # fmt: skip
    return figure


def _panel(axis: Axes, means: list[Mapping[str, Any]], solvers: list[str]) -> None:
    for place, solver in enumerate(solvers):
        points = sorted(
            (mean["evaluations"], mean["w2"]["value"], 2 * (mean["w2"]["stderr"] or 0))
            for mean in means
            if mean["solver"] == solver and mean["w2"] is not None
        )
        x, y, error = zip(*points, strict=True) if points else ((), (), ())
        axis.errorbar(
            x, y, yerr=error, label=solver, color=_colour(place), lw=1.3, ms=3.5, capsize=2,
            marker=MARKERS[place % len(MARKERS)],
        )  # fmt: skip


def _lines(axis: Axes, found: Mapping[str, Any]) -> None:
    floor, exact = found["floor"], found["exact_draws"]
    axis.axhline(floor["value"], color=GOOD, lw=1.2, label="floor: two real halves")
    axis.axhline(
        found["bootstrap"]["value"], color=MUTED, lw=1.2, ls="--", label="bootstrap of train"
    )
    if exact is not None:
        axis.axhline(exact["value"], color=INK, lw=1.0, ls=":", label="exact draws of the model")


def _share_scales(axes: list[Axes]) -> None:
    """Log scales and the same limits in every panel, ticks as plain numbers."""
    for axis in axes:
        axis.set_xscale("log")
        axis.set_yscale("log")
    x = [axis.get_xlim() for axis in axes]
    y = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_xlim(min(low for low, _ in x), max(high for _, high in x))
        axis.set_ylim(min(low for low, _ in y), max(high for _, high in y))
        for scale, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            wide = limits[1] / limits[0] > WIDE
            scale.set_major_locator(LogLocator(subs=(1.0, 3.0) if wide else (1.0, 2.0, 5.0)))
            scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            scale.set_minor_formatter(NullFormatter())


def _colour(place: int) -> Any:
    return COLOURS[place] if place < len(COLOURS) else colormaps["tab20"](place % 20)
