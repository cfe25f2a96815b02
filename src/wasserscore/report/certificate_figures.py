"""Certificates: the intervals of all models, one model's ladder, and the theorem behind a rung."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from wasserscore.core.typing import Array
from wasserscore.report.canvas import ACCENT, BAD, GOOD, INK, MUTED, PALETTE, new
from wasserscore.report.wording import number


def certificates(results: Mapping[str, Any]) -> Figure:
    """For each model the interval from the lower estimate to the upper bound."""
    models = [model for model in results["models"] if model.get("certificate")]
    figure, ((axis,),) = new(7.2, 1.0 + 0.5 * len(models))
    for place, model in enumerate(reversed(models)):
        certificate = model["certificate"]
        lower, upper = certificate["lower"]["value"], certificate["upper"]["value"]
        if upper is None:
            continue
        axis.plot(
            [lower, upper], [place, place], color=ACCENT, lw=7, alpha=0.35, solid_capstyle="butt"
        )
        axis.plot([upper, upper], [place - 0.22, place + 0.22], color=ACCENT, lw=2)
        axis.annotate(
            f"≤ {number(upper)}", (upper, place), (6, -3), textcoords="offset points", fontsize=8
        )
    axis.set_yticks(range(len(models)), [model["title"] for model in reversed(models)])
    axis.set_ylim(-0.6, len(models) - 0.4)
    axis.set_xlim(left=0)
    axis.margins(x=0.12)
    axis.set_xlabel(f"W2 to the reference law: lower estimate to {_bound(models[0])}", fontsize=8)
    return figure


def _bound(model: Mapping[str, Any]) -> str:
    """What the right end of an interval is, with its level and kind."""
    certificate = model["certificate"]
    kind = (certificate["upper"].get("kind") or "").replace("_", "-")
    return f"upper bound at level {certificate['level']:g}" + (f" ({kind})" if kind else "")


def ladder(certificate: Mapping[str, Any]) -> Figure:
    """Every rung as an interval from the largest lower estimate to its limit, logarithmic.

    Rungs that are no bound here are dashed; the shaded part lies beyond the reference's own
    spread, where a bound is vacuous.
    """
    rungs = [rung for rung in certificate["rungs"] if rung["upper"] is not None]
    lower, spread = certificate["lower"]["value"], certificate["spread"]
    figure, ((axis,),) = new(7.2, 1.2 + 0.34 * len(rungs))
    least = max(lower, 1e-3 * min([rung["upper"] for rung in rungs], default=1.0))
    for place, rung in enumerate(reversed(rungs)):
        good = rung["valid"]
        colour = ACCENT if rung["name"] == certificate["best"] else MUTED if good else BAD
        axis.plot([least, rung["upper"]], [place, place], color=colour, lw=3 if good else 1.2,
                  ls="-" if good else "--", alpha=0.6)  # fmt: skip
        axis.plot([rung["upper"]] * 2, [place - 0.2, place + 0.2], color=colour, lw=2)
        why = "an estimate, no bound" if rung.get("kind") == "estimated" else "not valid here"
        note = f"≤ {rung['upper']:.3g}" if good else f"{rung['upper']:.3g}, {why}"
        axis.annotate(
            note, (rung["upper"], place), (5, -3), textcoords="offset points", fontsize=7
        )
    dashes = cycle((":", "-."))
    for name, estimate in certificate["lower_estimates"].items():
        if estimate["value"]:
            axis.axvline(estimate["value"], color=GOOD, lw=1, ls=next(dashes),
                         label=f"lower: {name}")  # fmt: skip
    axis.set_xscale("log")
    axis.margins(x=0.2)
    right = axis.get_xlim()[1]
    if right > spread:
        axis.axvspan(spread, right, color=BAD, alpha=0.08, lw=0, label="vacuous")
        axis.set_xlim(right=right)
    axis.set_yticks(range(len(rungs)), [rung["name"] for rung in reversed(rungs)])
    axis.set_ylim(-0.6, len(rungs) - 0.4)
    ends = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0,) if ends[1] > 30 * ends[0] else (1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("W2 to the reference law, upper limits", fontsize=8)
    axis.legend(
        fontsize=7,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        borderaxespad=0,
    )  # above the bars, which reach anywhere
    return figure


def curves(theorem: Mapping[str, Any]) -> Figure:
    """Where the theorem's bound comes from: its integrand, the constant and the growth over t.

    Time is logarithmic, and the integrand is per unit of log t, so that areas are shares.
    """
    figure, axes = new(7.2, 2.5, 1, 3)
    t = _curve(theorem["times"])
    panels = (
        (t * _curve(theorem["integrand"]), "t k I √b: its area is the bound"),
        (_curve(theorem["one_sided"]), "one-sided constant L(t)"),
        (_curve(theorem["log_growth"]), "log I(t)"),
    )
    for axis, (values, title), colour in zip(axes[0], panels, PALETTE, strict=False):
        axis.plot(t, values, color=colour, lw=1.4)
        axis.set_title(title, fontsize=8, color=INK)
        axis.set_xlabel("t", fontsize=8)
        axis.set_xscale("log")
    axes[0, 1].set_yscale("symlog", linthresh=1.0)
    axes[0, 1].autoscale()
    if theorem["constant"] == "estimated":
        figure.suptitle("with an estimated constant: for insight, no bound", fontsize=8, color=BAD)
    return figure


def _curve(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
