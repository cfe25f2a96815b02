"""Samples beside the training rows that are nearest to them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wasserscore.core.typing import Array
from wasserscore.data.layout import channels_first
from wasserscore.report.canvas import ACCENT, MUTED, new
from wasserscore.report.wording import number


def neighbours(pairs: Mapping[str, Any], data: Mapping[str, Any]) -> Figure:
    """Samples above training rows near them, or over them, each pair with its distance.

    Args:
        pairs: ``samples``, ``nearest`` (rows) and ``distances``.
        data: The data part of the results: ``shape``, ``kind``, ``low``, ``high``.
    """
    samples, nearest = np.asarray(pairs["samples"]), np.asarray(pairs["nearest"])
    if data["kind"] == "image" and len(data["shape"]) <= 3:
        return _image_pairs(samples, nearest, pairs["distances"], data)
    samples, nearest = (rows.reshape(len(rows), -1) for rows in (samples, nearest))
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
        axes[1, column].set_xlabel(number(distances[column]), fontsize=7)
    return figure


def _picture(row: Array, data: Mapping[str, Any]) -> Array:
    """One image for matplotlib: grey (h, w), or colour (h, w, 3) scaled to [0, 1].

    Transparency is left out; of other numbers of channels the mean is shown.
    """
    image = row.reshape(data["shape"])
    if image.ndim == 2:
        return image
    image = np.moveaxis(image, 0, -1) if channels_first(image.shape) else image
    if image.shape[-1] not in (3, 4):
        return np.asarray(image.mean(-1))
    low, high = np.min(data["low"]), np.max(data["high"])
    scaled: Array = np.clip((image[..., :3] - low) / (high - low), 0, 1)
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
