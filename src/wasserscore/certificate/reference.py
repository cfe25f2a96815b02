"""Facts about the reference law: what it is, how wide it is, in data units."""

import math

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.typing import ScoreFn, Vector
from wasserscore.score import EmpiricalScore
from wasserscore.score.base import ClosedFormScore


def describe(reference: ClosedFormScore, *, smoothed: bool = True) -> str:
    """The law that is meant, in words; for a data set with or without its smoothing."""
    if isinstance(reference, EmpiricalScore):
        points, bandwidth = len(reference.points), reference.bandwidth
        if bandwidth == 0 or not smoothed:
            return f"the empirical law of {points} points"
        units = "" if reference.scaling is None else " in scaled units"
        return f"the law of {points} points smoothed by bandwidth {bandwidth:.4g}{units}"
    kind = type(reference).__name__.removesuffix("Score").lower()
    return f"a {kind} law in {reference.dim} dimensions"


def smoothing(reference: ClosedFormScore) -> float:
    r"""W2 between a data set and its smoothed law, at most, data units.

    .. math:: W_2(\hat p_N,\ \hat p_N * N(0, h^2 S^2)) \le h \Bigl(\sum_j S_j^2\Bigr)^{1/2},

    by the coupling that adds the noise; S is the scaling, so it is :math:`\sqrt d\,h` without one.

    Raises:
        InputError: If the reference is not a smoothed data set.
    """
    if not isinstance(reference, EmpiricalScore):
        raise InputError(explain("target='data' is for a smoothed data set",
                                 got=type(reference).__name__,
                                 do="use an EmpiricalScore, or target='reference'"))  # fmt: skip
    scale = data_units(reference, torch.ones(reference.dim, dtype=torch.float64))
    return reference.bandwidth * float(scale.norm())


def spread(reference: ClosedFormScore) -> float:
    """Root-mean-square distance of the reference law from its mean, data units."""
    mean, variances = (m.double() for m in reference.column_moments())
    return math.sqrt(float((data_units(reference, mean) ** 2 * variances).sum()))


def same_units(score: ScoreFn, reference: ClosedFormScore) -> bool:
    """Whether a score sees points in the reference's own coordinates."""
    one = getattr(score, "scaling", reference.scaling)
    if one is reference.scaling:
        return True
    like = torch.zeros(reference.dim, dtype=torch.float64)
    pairs = (
        (s.shift.to(like), (like + 1) * s.scale.to(like)) if s else (like, like + 1)
        for s in (one, reference.scaling)
    )
    return all(bool(torch.allclose(a, b, rtol=1e-9)) for a, b in zip(*pairs, strict=True))


def data_units(reference: ClosedFormScore, like: Tensor) -> Vector:
    """Data units per unit of the reference's own coordinates, one per coordinate."""
    one = torch.ones_like(like)
    return one if reference.scaling is None else one * reference.scaling.scale.to(like)
