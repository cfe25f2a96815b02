"""What all figures share: colours, an empty figure and its file, without pyplot's global state."""

import io
import warnings
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

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
