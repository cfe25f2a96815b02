"""Are the values of generated rows those of training rows at all?

Rows in other units (0 to 255 beside -1 to 1, metres beside feet) are far from every training row:
no copy among them is found. So where the middle halves of the values do not even overlap, an audit
says so.
"""

import math

import numpy as np
from torch import Tensor

from wasserscore.core.typing import Array
from wasserscore.data import Mapped

NUMBERS = 2**23
"""Numbers that are looked at, of rows at even distances."""
FEWEST = 20
"""Fewer rows say nothing of middle halves."""


def columns_apart(train: Tensor | Mapped, generated: Tensor) -> dict[int, str]:
    """Columns in which the middle halves of training and generated values do not overlap.

    Each with the side, "below" or "above", on which generated values lie. A column that is one
    value in half of the training rows says nothing, unless it is that of all pixels of images.

    Args:
        train: Training rows ``(n, *shape)``.
        generated: Generated rows ``(m, *shape)``.
    """
    if min(len(train), len(generated)) < FEWEST:
        return {}
    (low, high), (first, last) = _middle_halves(train), _middle_halves(generated)
    apart = (last < low) | (first > high)
    if len(train.shape) <= 2:
        apart &= low < high
    return {int(j): "below" if last[j] < low[j] else "above" for j in np.flatnonzero(apart)}


def _middle_halves(rows: Tensor | Mapped) -> Array:
    """First and third quartile of every column ``(2, d)``; of images, of all pixels ``(2, 1)``.

    Args:
        rows: ``(n, *shape)``.
    """
    keep = max(FEWEST, NUMBERS // math.prod(rows.shape[1:]))
    some = rows[:: -(-len(rows) // keep)].double().numpy()
    values = some.reshape(-1, 1) if some.ndim > 2 else some
    quartiles: Array = np.quantile(values, (0.25, 0.75), axis=0)
    return quartiles
