"""Are the values of generated rows those of training rows at all?

Rows in other units (0 to 255 beside -1 to 1, metres beside feet) are far from every training row:
no copy among them is found. So where the middle halves of the values do not even overlap, or one
of them is many times as wide, an audit says so. Half of the pixels of a drawing may be black, and
black is 0 in grey levels and in shares of 1; there the range tells. It also says where values are
none that training rows could have (1.37 beside whole numbers).
"""

import math
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from wasserscore.audit.tables import Rows
from wasserscore.core.typing import Array
from wasserscore.data import Mapped
from wasserscore.data.lattice import lattice_step

NUMBERS = 2**23
"""Numbers that are looked at, of rows at even distances."""
FEWEST = 20
"""Fewer rows say nothing of middle halves."""
HALF = (0.25, 0.75)
RARE = 1e-3
"""Share of pixels at either end that do not count for the range."""
WIDER = 20
"""What spreads so many times as far is in other units: images by their range, columns by their
middle halves (grey levels 127.5 or 255 times, percent 100 times)."""
BETWEEN = 0.01
"""Parts of a step from which a value lies beside it, and is not its rounding."""


def columns_apart(train: Tensor | Mapped, generated: Tensor) -> dict[int, str]:
    """Columns in which the middle halves of training and generated values are not alike.

    Each with the side, "below" or "above", on which generated values lie. A column that is one
    value in half of the training rows says nothing, unless it is that of all pixels of images.

    Args:
        train: Training rows ``(n, *shape)``.
        generated: Generated rows ``(m, *shape)``.
    """
    if min(len(train), len(generated)) < FEWEST:
        return {}
    known, new = _some(train), _some(generated)
    (low, high), (first, last) = (np.quantile(x, HALF, axis=0) for x in (known, new))
    below, above = last < low, first > high
    pixels = len(train.shape) > 2
    wide, own = (_range(x) if pixels else _widths(x) for x in (known, new))
    spread = ((wide > 0) & (own > 0)).all(0)
    below |= spread & (wide > WIDER * own).all(0)
    above |= spread & (own > WIDER * wide).all(0)
    if not pixels:
        below, above = below & (low < high), above & (low < high)
    return {int(j): "below" if below[j] else "above" for j in np.flatnonzero(below | above)}


def columns_between(train: Tensor | Mapped, generated: Tensor) -> dict[int, float]:
    """Columns whose training values come in steps, between which most generated values lie.

    Each with the step. Such rows have other distances than fresh ones have, however good they are:
    none is zero, and few are as large as a step.

    Args:
        train: Training rows ``(n, *shape)``.
        generated: Generated rows ``(m, *shape)``.
    """
    found = {}
    for j, (known, made) in enumerate(zip(_some(train).T, _some(generated).T, strict=True)):
        step = lattice_step(torch.from_numpy(known))
        if step > 0:
            steps = (made - known[0]) / step
            if np.mean(np.abs(steps - np.rint(steps)) > BETWEEN) > 0.5:
                found[j] = step
    return found


def unlike(rows: Rows, *, flagged: bool) -> tuple[str, bool]:
    """What to add to a verdict where copies would go unseen, or anything looks like one.

    Args:
        rows: The rows of an audit.
        flagged: Whether copies were seen all the same.

    Returns:
        The words, if any, and whether it is so in most columns: then nothing can be judged. One
        column may be what was asked for, such as rows of people older than most.
    """
    own = {} if flagged else columns_apart(rows.train, rows.generated)
    fresh = {} if rows.holdout is None else columns_apart(rows.train, rows.holdout)
    shape = rows.train.shape
    words = "; but ".join(
        f"{_where(name, apart, shape)} lie apart from those of training rows: in other units, "
        f"{why}"
        for name, apart, why in (("generated", own, "copies go unseen"),
                                 ("held-out", fresh, "they make any rows look close")) if apart
    )  # fmt: skip
    columns = 1 if len(shape) > 2 else shape[-1]
    return words, 2 * max(len(own), len(fresh)) > columns


def unrounded(rows: Rows, copy_distance: float) -> str:
    """What to add where rounding moves generated rows about as far as a copy may be.

    Args:
        rows: The rows of an audit, in whose space distances were taken.
        copy_distance: What is nearer to a training row counts as a copy.
    """
    steps = columns_between(rows.train, rows.generated)
    every = 1 if len(rows.train.shape) == 2 else math.prod(rows.train.shape[1:])
    moved = math.sqrt(every * sum(step**2 for step in steps.values()) / 12)
    if not steps or moved < copy_distance / 2:
        return ""
    return (f"; but {_where('generated', steps, rows.train.shape)} lie between the steps of "
            f"training values (of {next(iter(steps.values())):.4g}), so that distances are not "
            "those of fresh rows: round them first")  # fmt: skip


def _where(name: str, columns: Collection[int], shape: tuple[int, ...]) -> str:
    if len(shape) > 2:
        return f"the pixels of {name} images"
    return f"most {name} values in {len(columns)} of {shape[-1]} columns"


def _range(pixels: Array) -> Array:
    low = np.quantile(pixels, RARE, method="higher")  # of few pixels, all but one at either end
    return np.asarray([[np.quantile(pixels, 1 - RARE, method="lower") - low]])


def _widths(x: Array) -> Array:
    """Of the middle half, and of the middle four fifths: a quarter may just end in a gap."""
    low, first, last, high = np.quantile(x, (0.1, *HALF, 0.9), axis=0)
    return np.stack([last - first, high - low])


def _some(rows: Tensor | Mapped) -> Array:
    """Rows at even distances ``(m, d)``; of images, all of their pixels ``(m, 1)``.

    Args:
        rows: ``(n, *shape)``.
    """
    keep = max(FEWEST, NUMBERS // math.prod(rows.shape[1:]))
    some: Array = rows[:: -(-len(rows) // keep)].double().numpy()
    return some.reshape(-1, 1) if some.ndim > 2 else some
