"""Figures from plain results, drawn without pyplot's global state."""

import io
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from wasserscore.core.typing import Array

INK, MUTED, ACCENT, GOOD, BAD = "#1f2430", "#8a93a3", "#2f6fde", "#2a9d6f", "#d1495b"
PALETTE = ("#2f6fde", "#2a9d6f", "#e09f3e", "#8e5bd0", "#d1495b")


def new(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """An empty figure with the house's fonts and no frame."""
    figure = Figure(figsize=(width, height), dpi=144, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8, colors=INK)
        axis.yaxis.get_offset_text().set_fontsize(8)
    return figure, axes


def figure_bytes(figure: Figure, kind: str = "png") -> bytes:
    """The figure as a file of that kind; the same bytes for the same data."""
    # Without the version or the date in its metadata the file depends on the data alone.
    bare = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "wasserscore"}), warnings.catch_warnings():
        # names in scripts that the font has not become boxes; the page has them as text
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format=kind, metadata=bare[kind])
    return buffer.getvalue()


def ruler(results: Mapping[str, Any]) -> Figure:
    """Every law's W2 to the held-out rows on one line, the noise floor shaded."""
    rows = [*results["baselines"], *results["models"]]
    rows = [row for row in rows if row["metrics"].get("w2", {}).get("value") is not None]
    rows.sort(key=lambda row: -row["metrics"]["w2"]["value"])
    floor = results["floor"]["w2"]
    figure, ((axis,),) = new(7.2, 0.9 + 0.32 * len(rows))
    width = 2 * (floor["stderr"] or 0)
    axis.axvspan(floor["value"] - width, floor["value"] + width, color=GOOD, alpha=0.18, lw=0)
    axis.axvline(floor["value"], color=GOOD, lw=1.2)
    for place, row in enumerate(rows):
        value = row["metrics"]["w2"]
        copied = (row["metrics"].get("copy_rate") or {}).get("value") or 0
        model = row["kind"] == "model"
        colour = BAD if copied > 0.05 else ACCENT if model else MUTED
        axis.plot([floor["value"], value["value"]], [place, place], color=colour, lw=1, alpha=0.5)
        axis.errorbar(
            value["value"], place, xerr=2 * (value["stderr"] or 0), fmt="o", ms=6, color=colour
        )
        note = f"{value['value']:.2f}" + (
            f"  {100 * copied:.0f} % copies" if copied > 0.05 else ""
        )
        axis.annotate(
            note,
            (value["value"], place),
            (9, 5),
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )
    axis.set_yticks(range(len(rows)), [row.get("title", row["name"]) for row in rows])
    axis.set_ylim(-0.6, len(rows) - 0.2)
    axis.margins(x=0.12)
    axis.set_xlabel("W2 to held-out rows (shaded: floor between two real halves)", fontsize=8)
    return figure


def steps(results: Mapping[str, Any]) -> Figure:
    """Measured W2 against the number of sampling steps, with floor and the planner's choice."""
    part, floor = results["steps"], results["floor"]["w2"]
    curve = part["curve"]
    figure, ((axis,),) = new(6.4, 3.4)
    x = [point["steps"] for point in curve]
    y = [point["w2"]["value"] for point in curve]
    error = [2 * (point["w2"]["stderr"] or 0) for point in curve]
    axis.axhline(floor["value"], color=GOOD, lw=1.2, label="floor: two real halves")
    axis.errorbar(x, y, yerr=error, fmt="o-", ms=4, color=ACCENT, lw=1.4, label="measured W2")
    if part.get("planned"):
        axis.axvline(
            part["planned"], color=BAD, lw=1.2, ls="--", label=f"planned: {part['planned']} steps"
        )
    axis.set_xscale("log")
    axis.set_xticks(x, [str(value) for value in x])
    axis.minorticks_off()
    axis.set_xlabel("sampling steps", fontsize=8)
    axis.set_ylabel("W2 to held-out rows", fontsize=8)
    axis.legend(fontsize=8, frameon=False)
    return figure


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
            f"≤ {upper:.2f}", (upper, place), (6, -3), textcoords="offset points", fontsize=8
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


def neighbours(pairs: Mapping[str, Any], data: Mapping[str, Any]) -> Figure:
    """Samples above training rows near them, or over them, each pair with its distance.

    Args:
        pairs: ``samples``, ``nearest`` (rows) and ``distances``.
        data: The data part of the results: ``shape``, ``kind``, ``low``, ``high``.
    """
    samples, nearest = np.asarray(pairs["samples"]), np.asarray(pairs["nearest"])
    if data["kind"] == "image":
        return _image_pairs(samples, nearest, pairs["distances"], data)
    if data["kind"] == "table":  # every column from its least to its largest value
        low, high = np.asarray(data["low"]), np.asarray(data["high"])
        span = np.where(high > low, high - low, 1.0)
        samples, nearest = (samples - low) / span, (nearest - low) / span
    return _row_pairs(samples, nearest, pairs["distances"])


def _image_pairs(
    samples: Array, nearest: Array, distances: Sequence[float], data: Mapping[str, Any]
) -> Figure:
    count = min(len(samples), 12)
    figure = Figure(figsize=(0.72 * count + 0.9, 1.95), dpi=144, layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    grey = {"cmap": "gray_r", "vmin": np.min(data["low"]), "vmax": np.max(data["high"])}
    for row, (images, label) in enumerate(((samples, "sample"), (nearest, "training row"))):
        for column in range(count):
            axis = axes[row, column]
            axis.imshow(_picture(images[column], data), interpolation="nearest", **grey)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_color("#d8dce3")
        axes[row, 0].set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")
    for column in range(count):
        axes[1, column].set_xlabel(f"{distances[column]:.2f}", fontsize=7)
    return figure


def _picture(row: Array, data: Mapping[str, Any]) -> Array:
    """One image for matplotlib: grey (h, w), or colour (h, w, 3) scaled to [0, 1]."""
    image = row.reshape(data["shape"])
    if image.ndim == 2:
        return image
    low, high = np.min(data["low"]), np.max(data["high"])
    scaled: Array = np.clip((image - low) / (high - low), 0, 1)
    return scaled


def _row_pairs(samples: Array, nearest: Array, distances: Sequence[float]) -> Figure:
    count, columns = min(len(samples), 6), min(samples.shape[1], 24)
    figure, axes = new(7.2, 0.75 * count, count, 1)
    for place in range(count):
        axis: Axes = axes[place, 0]
        axis.plot(nearest[place, :columns], "o-", color=MUTED, ms=3, lw=1)
        axis.plot(samples[place, :columns], "o-", color=ACCENT, ms=3, lw=1)
        axis.set_ylabel(f"{distances[place]:.2g}", fontsize=7, rotation=0, ha="right")
        axis.set_xticks([])
        axis.tick_params(labelsize=6)
    return figure


def clouds(samples: Mapping[str, Tensor], train: Tensor) -> Figure:
    """Training rows and samples in the plane of the two leading directions of the former."""
    centre = train.mean(0)
    basis = np.linalg.svd((train - centre).numpy(), full_matrices=False)[2][:2].T
    plane = basis if train.shape[1] > 2 else np.eye(train.shape[1])
    panels = {"training rows": train, **samples}
    figure, axes = new(2.3 * len(panels), 2.4, 1, len(panels))
    for axis, (title, points), colour in zip(
        axes[0], panels.items(), (MUTED, *PALETTE), strict=False
    ):
        flat = ((points - centre) if train.shape[1] > 2 else points).numpy() @ plane
        axis.scatter(flat[:, 0], flat[:, -1], s=3, color=colour, alpha=0.6, lw=0)
        axis.set_title(title, fontsize=8, color=INK)
        axis.set_xticks([])
        axis.set_yticks([])
    for axis in axes[0][1:]:
        axis.set_xlim(axes[0][0].get_xlim())
        axis.set_ylim(axes[0][0].get_ylim())
    return figure
