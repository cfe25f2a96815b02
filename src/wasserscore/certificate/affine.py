r"""Scores that are affine in the point, for which every law on the way is Gaussian.

.. math:: s(x, t) = J(t)\,x + c(t)
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.typing import Matrix, Points, Vector
from wasserscore.score import GaussianScore


class AffineScore(NamedTuple):
    """A score that is affine by construction; its slope and offset are yours.

    Args:
        slope: ``J(t)``, (d, d), float64.
        offset: ``c(t)``, (d,), float64.
    """

    slope: Callable[[float], Matrix]
    offset: Callable[[float], Vector]

    def __call__(self, x: Points, t: float | Tensor) -> Points:
        """The score at one time for all points."""
        slope, offset = (v(float(t)).to(x) for v in (self.slope, self.offset))
        return x @ slope.mT + offset


def affine(score: object) -> AffineScore | None:
    """A score as an affine one; None if it is not known to be one."""
    if isinstance(score, AffineScore):
        return score
    if not isinstance(score, GaussianScore):
        return None
    process, (mean, covariance) = score.process, (m.double().cpu() for m in score.moments())
    eye = torch.eye(score.dim, dtype=torch.float64)

    def slope(t: float) -> Matrix:
        alpha, variance = float(process.alpha(t)), float(process.variance(t))
        found: Matrix = -torch.linalg.inv(alpha**2 * covariance + variance * eye)
        return found

    return AffineScore(slope, lambda t: -slope(t) @ mean * float(process.alpha(t)))
