"""Facts about the reference law: what it is, how wide it is, in data units."""

import math

import torch
from torch import Tensor

from wasserscore.core.typing import Vector
from wasserscore.score.base import ClosedFormScore


def describe(reference: ClosedFormScore) -> str:
    """The law that is meant, in words."""
    bandwidth = getattr(reference, "bandwidth", None)
    if bandwidth is not None:
        points = len(reference.points)  # type: ignore[attr-defined]
        if bandwidth == 0:
            return f"the empirical law of {points} points"
        units = "" if reference.scaling is None else " in scaled units"
        return f"the law of {points} points smoothed by bandwidth {bandwidth:.4g}{units}"
    kind = type(reference).__name__.removesuffix("Score").lower()
    return f"a {kind} law in {reference.dim} dimensions"


def spread(reference: ClosedFormScore) -> float:
    """Root-mean-square distance of the reference law from its mean, data units."""
    mean, covariance = (m.double() for m in reference.moments())
    return math.sqrt(float((data_units(reference, mean) ** 2 * torch.diagonal(covariance)).sum()))


def data_units(reference: ClosedFormScore, like: Tensor) -> Vector:
    """Data units per unit of the reference's own coordinates, one per coordinate."""
    one = torch.ones_like(like)
    return one if reference.scaling is None else one * reference.scaling.scale.to(like)
