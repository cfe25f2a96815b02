"""Every column of a table, generated rows over held-out ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wasserscore.report.canvas import ACCENT, INK, MUTED, new

SHOWN = 24
"""Panels at most: those of the columns that are farthest from their floor."""
ACROSS = 4
LETTERS = 22
"""Of a name that a panel shows."""


def marginals(columns: Sequence[Mapping[str, Any]]) -> Figure:
    """Small panels, one per column: held-out rows in grey, generated ones in blue.

    Args:
        columns: ``name``, ``distance``, ``floor`` and ``profile`` of each, as the section on
            columns of an audit or a run has them.
    """
    panels = shown(columns)
    rows = -(-len(panels) // ACROSS)
    figure, axes = new(9.4, 1.75 * rows + 0.2, rows, ACROSS)
    for axis, column in zip(axes.flat, panels, strict=False):
        profile = column["profile"]
        (_bars if "labels" in profile else _histogram)(axis, profile)
        axis.set_title(_cut(column["name"]), fontsize=8, color=INK, loc="left", parse_math=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    return figure


def shown(columns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The columns that have panels, in the order of the table; none of results before 0.2."""
    there = [column for column in columns if "profile" in column]
    worst = sorted(there, key=lambda column: column["floor"] - column["distance"])[:SHOWN]
    return [column for column in there if column in worst]


def _bars(axis: Axes, profile: Mapping[str, Any]) -> None:
    places = range(len(profile["labels"]))
    axis.barh(places, profile["real"], 0.85, color=MUTED, alpha=0.45)
    axis.barh(places, profile["generated"], 0.35, color=ACCENT)
    axis.set_yticks(places, map(_cut, profile["labels"]), fontsize=6, parse_math=False)
    axis.invert_yaxis()
    _shares(axis.xaxis)


def _histogram(axis: Axes, profile: Mapping[str, Any]) -> None:
    edges = profile["edges"]
    axis.stairs(profile["real"], edges, fill=True, color=MUTED, alpha=0.45)
    axis.stairs(profile["generated"], edges, color=ACCENT, lw=1.2)
    ticks = [x for x, _ in profile["ticks"]]
    axis.set_xticks(ticks, [text for _, text in profile["ticks"]], fontsize=6, parse_math=False)
    if len(ticks) > 1:
        first, *_, last = axis.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
    told = [
        f"{_cut(label)}: {own:.1%} (held-out {real:.1%})"
        for label, own, real in profile["special"]
    ]
    axis.set_xlabel("\n".join(told), fontsize=6, color=INK, parse_math=False)
    _shares(axis.yaxis)


def _shares(axis: Any) -> None:
    axis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axis.set_tick_params(labelsize=6)


def _cut(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
