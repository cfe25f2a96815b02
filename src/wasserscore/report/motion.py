"""Particles on their way: frames for the slider of a page, an animated GIF, two still pictures."""

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from wasserscore.core.typing import Array
from wasserscore.report.canvas import ACCENT, INK, new

PALE = "#c9ced8"
"""The target, under the particles."""
SIDE = 480
"""Pixels of the GIF."""
MARGIN = 0.03
"""Empty border, as a share of the picture."""
PACE, REST = 90, 1500
"""Milliseconds of a frame, and of the last one."""
MANY = 500
"""From so many particles on, dots are smaller."""


class Motion(NamedTuple):
    """Particles in a plane at some steps.

    Args:
        frames: ``(k, n, 2)``.
        target: ``(m, 2)``, where they go.
        captions: One per frame.
        axes: What lies along the plane's two axes.
        same_scale: Whether both axes have one scale, so that distances can be seen.
    """

    frames: Array
    target: Array
    captions: tuple[str, ...]
    axes: tuple[str, str]
    same_scale: bool = True


def view(motion: Motion) -> dict[str, Any]:
    """What the template needs: coordinates as 16-bit pairs in base64, captions, words."""
    frames, target = _placed(motion)
    coded = lambda x: base64.b64encode((x * 65535).round().astype("<u2").tobytes()).decode()
    low, high = _window(motion)
    ranges = [f"{name}, {a:.3g} to {b:.3g}"
              for name, a, b in zip(motion.axes, low, high, strict=True)]  # fmt: skip
    return {"frames": coded(frames), "target": coded(target), "captions": motion.captions,
            "shown": frames.shape[1], "radius": 4 if frames.shape[1] >= MANY else 7,
            "horizontal": ranges[0], "vertical": ranges[1]}  # fmt: skip


def gif(motion: Motion) -> bytes:
    """The frames as an animated GIF that never stops; the same bytes for the same frames."""
    frames, target = (_dots(x, SIDE) for x in _placed(motion))
    font, r = ImageFont.load_default(15), 1 if motion.frames.shape[1] >= MANY else 2
    pages = []
    for points, caption in zip(frames, motion.captions, strict=True):
        page = Image.new("P", (SIDE, SIDE + 24), 0)
        page.putpalette(_bytes("#ffffff") + _bytes(PALE) + _bytes(ACCENT) + _bytes(INK))
        pen = ImageDraw.Draw(page)
        for cloud, colour in ((target, 1), (points, 2)):
            for x, y in cloud:
                pen.rectangle((x - r, y - r, x + r, y + r), fill=colour)
        pen.text((8, SIDE + 3), caption, fill=3, font=font)
        pages.append(page)
    durations = [PACE] * (len(pages) - 1) + [REST]
    buffer = io.BytesIO()
    pages[0].save(buffer, "GIF", save_all=True, append_images=pages[1:], duration=durations,
                  loop=0, optimize=False)  # fmt: skip
    return buffer.getvalue()


def ends(motion: Motion) -> Figure:
    """The first and the last frame side by side."""
    figure, axes = new(7.2, 3.7, 1, 2)
    low, high = _window(motion)
    names = [name.replace("$", r"\$") for name in motion.axes]  # no formula, whatever they hold
    for axis, k in zip(axes[0], (0, -1), strict=True):
        axis.scatter(*motion.target.T, s=3, color=PALE, lw=0)
        axis.scatter(*motion.frames[k].T, s=3, color=ACCENT, alpha=0.7, lw=0)
        axis.set_title(motion.captions[k], fontsize=8, color=INK)
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axis.set_xlabel(names[0], fontsize=8)
    axes[0, 0].set_ylabel(names[1], fontsize=8)
    return figure


def _window(motion: Motion) -> tuple[Array, Array]:
    """The lower and upper corner of a box that holds everything, with a margin."""
    points = np.concatenate([motion.frames.reshape(-1, 2), motion.target])
    low, high = points.min(0), points.max(0)
    span = np.maximum(high - low, 1e-12)
    half = (span.max() if motion.same_scale else span) * (1 + 2 * MARGIN) / 2
    middle = (low + high) / 2
    return middle - half, middle + half


def _placed(motion: Motion) -> tuple[Array, Array]:
    """Frames and target in the unit square, the vertical counted downwards."""
    low, high = _window(motion)
    place = lambda x: np.abs((x - low) / (high - low) - [0, 1])
    return place(motion.frames), place(motion.target)


def _dots(points: Array, side: int) -> list[Any]:
    """Pixels of points in the unit square."""
    pixels: list[Any] = (points * (side - 1)).round().astype(int).tolist()
    return pixels


def _bytes(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))
