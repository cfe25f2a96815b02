"""The picture of a plan: W2 against score evaluations, for every process and solver."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from wasserscore.report.canvas import BAD, INK, MUTED, new

COLUMNS = 3


def plan_figure(plan: Mapping[str, Any]) -> Figure:
    """One panel per process, one line per solver on its best grid, the target across.

    Args:
        plan: ``Plan.to_dict()``.
    """
    options = [option for option in plan["options"] if option["predicted"] is not None]
    families = list(dict.fromkeys(_family(option) for option in options))
    solvers = list(dict.fromkeys(option["solver"] for option in options))
    colours = {
        name: colormaps["turbo"](0.05 + 0.9 * i / max(1, len(solvers) - 1))
        for i, name in enumerate(sorted(solvers))
    }
    columns = min(COLUMNS, len(families))
    rows = math.ceil(len(families) / columns)
    figure, axes = new(3.1 * columns + 1.5, 2.6 * rows + 0.5, rows, columns)
    for axis, family in zip(axes.flat, families, strict=False):
        _panel(axis, family, [o for o in options if _family(o) == family], colours)
        axis.axhline(plan["aim"], color=BAD, lw=1, ls="--")
    for axis in list(axes.flat)[len(families) :]:
        axis.set_visible(False)
    best = axes.flat[families.index(_family(plan))]
    best.plot(plan["evaluations"], plan["predicted"]["w2"], "*", ms=11, color=INK, zorder=5,
              label="plan")  # fmt: skip
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    handles["plan"] = handles.pop("plan")  # last, wherever its panel is
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=7,
                  frameon=False)  # fmt: skip
    figure.suptitle(f"Predicted W2 against score evaluations ({plan['mode']}; dashed: target)",
                    fontsize=9, color=INK)  # fmt: skip
    return figure


def _panel(
    axis: Axes, family: str, options: list[Mapping[str, Any]], colours: Mapping[str, Any]
) -> None:
    for option in options:
        curve = option["curve"] or []
        x, y = [point[1] for point in curve], [point[2] for point in curve]
        colour = colours[option["solver"]]
        if curve:
            style = "--" if option["eta"] > 0 else "-"
            axis.plot(x, y, style, color=colour, lw=1.2, label=option["solver"])
        axis.plot(option["evaluations"], option["predicted"]["w2"], "o", ms=3, color=colour,
                  alpha=1.0 if curve else 0.35)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_title(family, fontsize=9, color=INK)
    axis.set_xlabel("score evaluations", fontsize=8)
    axis.set_ylabel("W2, data units", fontsize=8)
    axis.grid(color=MUTED, alpha=0.2, lw=0.5)


def _family(option: Mapping[str, Any]) -> str:
    process = option["process"]
    return str(process["family"]) if isinstance(process, Mapping) else "LinearSDE"
