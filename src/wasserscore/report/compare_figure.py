"""The figure of a comparison: distances against score evaluations, a panel per process."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from wasserscore.report.canvas import GOOD, INK, MUTED, PALETTE, new

COLUMNS = 3
NAMES = {"w2": "W2 to held-out rows", "energy": "energy distance"}
SHARE = 0.8
"""The top of a panel is at most twice the value that this share of the cells stays below."""
COLOURS = tuple(colour for colour in PALETTE if colour != GOOD)
"""Of the solvers; green is the floor's."""
MARKERS = "osD^vPX*"
WIDE = 100.0
"""Ratio of the ends of an axis above which it gets two ticks to a decade instead of three."""


def compare_figure(found: Mapping[str, Any]) -> Figure:
    """W2 and, below it, energy distance against score evaluations; error bars over seeds.

    A panel per process and a line per solver on log axes; a hollow marker says that the samples
    are narrower than the data. A line that leaves a panel at the top goes to the worst cells.

    Args:
        found: A comparison as JSON types: ``n``, ``means``, and ``floor``, ``bootstrap``,
            ``exact_draws`` of ``w2`` and ``energy``.
    """
    processes = list(dict.fromkeys(mean["process"] for mean in found["means"]))
    solvers = list(dict.fromkeys(mean["solver"] for mean in found["means"]))
    columns = min(COLUMNS, len(processes))
    bands = math.ceil(len(processes) / columns)
    figure, axes = new(max(2.6 * columns + 0.8, 4.6), 4.6 * bands + 0.8, 2 * bands, columns)
    for row, name in enumerate(NAMES):
        place = axes[row::2]
        shown = list(place.flat[: len(processes)])
        for axis, process in zip(shown, processes, strict=True):
            means = [mean for mean in found["means"] if mean["process"] == process]
            _panel(axis, means, solvers, name)
            _lines(axis, found[name])
            axis.set_title("" if row else process, fontsize=8, color=INK)
            axis.set_xlabel("score evaluations" if row else "", fontsize=8)
            axis.tick_params(labelbottom=bool(row))
        values = [mean[name]["value"] for mean in found["means"] if mean[name] is not None]
        usual = np.quantile([*values, found[name]["floor"]["value"]], SHARE)
        _share_scales(shown, 2 * float(usual))
        for axis in place.flat[len(processes) :]:
            axis.set_visible(False)
        for axis in place[:, 0]:
            axis.set_ylabel(NAMES[name], fontsize=8)
        for axis in place[:, 1:].flat:
            axis.tick_params(labelleft=False)
    lines = dict(zip(*axes.flat[0].get_legend_handles_labels()[::-1], strict=True))
    labels = sorted(lines, key=lambda label: label not in solvers)
    figure.legend([lines[label] for label in labels], labels, loc="outside lower center",
                  ncols=columns + 1, fontsize=8, frameon=False)  # fmt: skip
    return figure


def _panel(axis: Axes, means: list[Mapping[str, Any]], solvers: list[str], name: str) -> None:
    for place, solver in enumerate(solvers):
        points = sorted(
            (m["evaluations"], m[name]["value"], 2 * (m[name]["stderr"] or 0), m["narrow"])
            for m in means
            if m["solver"] == solver and m[name] is not None
        )
        x, y, error = zip(*(p[:3] for p in points), strict=True) if points else ((), (), ())
        style = {"color": _colour(place), "marker": MARKERS[place % len(MARKERS)], "ms": 4}
        axis.errorbar(x, y, yerr=error, label=solver, lw=1.3, capsize=2, **style)
        hollow = [point[:2] for point in points if point[3]]
        if hollow:
            axis.plot(*zip(*hollow, strict=True), ls="", markerfacecolor="white", zorder=3,
                      **style)  # fmt: skip


def _lines(axis: Axes, beside: Mapping[str, Any]) -> None:
    for name, label, colour, style in (
        ("floor", "floor: two real halves", GOOD, "-"),
        ("bootstrap", "bootstrap of train", MUTED, "--"),
        ("exact_draws", "exact draws of the model", INK, ":"),
    ):
        if beside[name] is not None:
            axis.axhline(beside[name]["value"], label=label, color=colour, lw=1.2, ls=style)


def _share_scales(axes: list[Axes], top: float) -> None:
    """Log scales and the same limits in every panel, ticks as plain numbers."""
    for axis in axes:
        axis.set_xscale("log")
        axis.set_yscale("log")
    x = [axis.get_xlim() for axis in axes]
    y = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_xlim(min(low for low, _ in x), max(high for _, high in x))
        axis.set_ylim(min(low for low, _ in y), min(max(high for _, high in y), top))
        for scale, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            wide = limits[1] / limits[0] > WIDE
            scale.set_major_locator(LogLocator(subs=(1.0, 3.0) if wide else (1.0, 2.0, 5.0)))
            scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            scale.set_minor_formatter(NullFormatter())


def _colour(place: int) -> Any:
    return COLOURS[place] if place < len(COLOURS) else colormaps["tab20"](place % 20)
