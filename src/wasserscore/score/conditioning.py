"""Points of which some coordinates are known: what laws in closed form are conditioned on."""

from typing import Any

import torch

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_floats
from wasserscore.core.typing import Vector
from wasserscore.data import Scaling


def partly_known(y: Any, dim: int) -> Vector:
    """The coordinates of a point, NaN where they are unknown.

    Args:
        y: ``(dim,)``, a tensor, an array or a list.
        dim: How many coordinates there are.

    Raises:
        InputError: If it is anything else, such as the number of a class.
    """
    known = as_floats(y, "y")
    require(tuple(known.shape) == (dim,), f"y needs a number for each of {dim} coordinates, NaN "
            "where it is unknown", got=y if known.ndim == 0 else tuple(known.shape))  # fmt: skip
    return known


def conditioned_scaling(scaling: Scaling | None, y: Vector) -> Scaling | None:
    """The scaling of the coordinates that are NaN in ``y``."""
    if scaling is None:
        return None
    free = torch.isnan(y).to(scaling.shift.device)
    return Scaling(
        scaling.shift[free], scaling.scale[free] if scaling.scale.ndim else scaling.scale
    )
