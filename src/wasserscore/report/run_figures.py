"""A run's laws side by side: their distances, the steps they take, their samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from wasserscore.report.canvas import ACCENT, BAD, GOOD, INK, MUTED, PALETTE, new
from wasserscore.report.wording import number


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
        note = number(value["value"]) + (f"  {100 * copied:.0f} % copies" if copied > 0.05 else "")
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
