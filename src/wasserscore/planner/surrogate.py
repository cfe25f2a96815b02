"""The Gaussian that stands in for the data while a plan is made."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import symmetric
from wasserscore.core.results import Record
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Matrix, Vector
from wasserscore.data import Mapped
from wasserscore.distance.clouds import require_squares
from wasserscore.proximal.gaussian import ENOUGH, principal
from wasserscore.score import EmpiricalScore


@dataclass(frozen=True)
class Surrogate(Record):
    r"""A Gaussian in its eigenbasis, in the coordinates that the process sees.

    Args:
        mean: Mean along each eigenvector, ``(d,)``.
        eigenvalues: Variances along them, ``(d,)``, non-negative.
        weights: Squared data units per squared unit of each direction: 1 without a scaling.
        n: How many points it was estimated from; None where the moments are exact.
        source: Where the moments come from, in words.
        stretch: Most data units that one unit in any direction becomes: 1 without a scaling.
        width: Root of the total variance where the directions overlap and do not add up to it.
        frames: What a unit along each direction becomes in data units, ``(parts, c, c)``, one
            part per Gaussian; None where these are at right angles (one scale for all columns).
    """

    mean: Vector = field(repr=False)
    eigenvalues: Vector = field(repr=False)
    weights: Vector = field(repr=False)
    n: int | None
    source: str
    stretch: float = 1.0
    width: float | None = None
    frames: Float[Tensor, "parts c c"] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: Any, scaling: Any = None) -> "Surrogate":
        """From points ``(n, ...)``, or from anything with ``moments()`` (a closed-form score).

        Points are taken as they are: plan in the coordinates in which the model is trained. With
        fewer than ten points per dimension the covariance is shrunk (Ledoit-Wolf).

        Args:
            data: The points or the law; a surrogate stands for itself.
            scaling: The model's way back to data units, for points (a law knows its own).

        Raises:
            InputError: If the points are all the same, not finite, or still on disk.
        """
        if isinstance(data, cls):
            return data
        require(not isinstance(data, Mapped), "a plan needs a covariance, of points in memory",
                got="rows on disk", do="pass some of the rows, such as data[:10000]")  # fmt: skip
        if hasattr(data, "moments"):
            scale, source = _scale(getattr(data, "scaling", None)), "moments of the reference"
            return cls._along(*_principal(data), scale, None, source)
        points = as_points(data, minimum=2).flatten(1).to("cpu", torch.float64)
        require_squares(points)
        n, d = points.shape
        how = "sample moments" if n >= ENOUGH * d else "sample mean and Ledoit-Wolf covariance"
        return cls._along(*principal(points), _scale(scaling), n, f"{how} of {n} points")

    @classmethod
    def _along(
        cls, mean: Vector, values: Vector, axes: Matrix, scale: Tensor, n: int | None, source: str
    ) -> "Surrogate":
        require(float(values.sum()) > 0, "the data must not be a single point",
                got="zero covariance")  # fmt: skip
        scale = scale.detach().cpu().double()
        stretched = scale.reshape(-1, 1) * axes
        return cls(mean=axes.T @ mean, eigenvalues=values, weights=(stretched**2).sum(0),
                   n=n, source=source, stretch=float(scale.max()),
                   frames=stretched[None] if scale.ndim else None)  # fmt: skip

    @property
    def dim(self) -> int:
        """Number of directions."""
        return self.eigenvalues.numel()

    @property
    def spread(self) -> float:
        """Root of the total variance, in data units: a W2 above it says nothing."""
        if self.width is not None:
            return self.width
        return float((self.weights * self.eigenvalues).sum().sqrt())

    def norm(self, mean: Vector, std: Vector) -> float:
        r"""W2 in data units of signed errors per direction, of the mean and standard deviation.

        .. math:: W_2^2 \le |D V m|^2 + |D V \operatorname{diag}(s)|_F^2

        with eigenvectors V and scales D. The mean's part is exact. That of the deviations is the
        coupling along V: exact where D is one number or V the axes, else an upper bound.
        """
        squares = (self.weights * std**2).sum() + self._shift_squared(mean)
        return float(squares.sqrt())

    def _shift_squared(self, mean: Vector) -> Tensor:
        if self.frames is None:
            return (self.weights * mean**2).sum()
        parts = mean.reshape(len(self.frames), -1, 1)  # stacked Gaussians, each with its own V
        return (self.frames @ parts).square().sum()

    @property
    def sampling_error(self) -> float:
        """Relative standard error of a variance estimated from the points; 0 where exact."""
        return 0.0 if self.n is None else (2 / self.n) ** 0.5


def _principal(law: Any) -> tuple[Vector, Vector, Matrix]:
    """Mean of a law, variances along its principal axes, and these as columns."""
    if isinstance(law, EmpiricalScore):  # rows may be fewer than columns: no matrix of the latter
        found = law.keys.centre, *law.spectrum()
    else:
        mean, covariance = (m.detach().cpu().double() for m in law.moments())
        values, axes = torch.linalg.eigh(symmetric(covariance))
        found = mean, values.clamp_min(0), axes
    mean, values, axes = (part.detach().cpu().double() for part in found)
    return mean, values, axes


def _scale(scaling: Any) -> Tensor:
    return torch.ones(()) if scaling is None else torch.as_tensor(scaling.scale)
