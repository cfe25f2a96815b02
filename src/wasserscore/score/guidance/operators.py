"""Linear measurements of a point: what an inverse problem knows of it.

A measurement is any object with ``forward(x)`` and ``adjoint(y)``, both for batches of rows; here
are masks, blurs, averages and matrices. All act on points in data units.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer, as_shape
from wasserscore.core.modes import gradients
from wasserscore.core.numbers import is_number
from wasserscore.core.tensors import as_floats
from wasserscore.core.typing import Points

Measurements = Float[Tensor, "b *m"]
"""What an operator makes of points, a row each."""


@runtime_checkable
class Operator(Protocol):
    r"""A linear map and its adjoint: :math:`\langle A x, y \rangle =\langle x, A^T y \rangle`."""

    def forward(self, x: Tensor) -> Tensor:
        """:math:`A x`, points ``(b, *shape)`` to measurements ``(b, *m)``."""
        ...

    def adjoint(self, y: Tensor) -> Tensor:
        """:math:`A^T y`, measurements ``(b, *m)`` to points ``(b, *shape)``."""
        ...


class LinearMap(ABC):
    """A linear map written in torch: its adjoint comes from automatic differentiation.

    Attributes:
        shape: Of one point.
    """

    shape: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Points) -> Measurements:
        """The measurements of points ``(b, *shape)``; linear and differentiable."""

    def adjoint(self, y: Measurements) -> Points:
        """The adjoint at measurements: the derivative of a linear map is the map itself."""
        with gradients("an adjoint"):
            x = y.new_zeros(len(y), *self.shape, requires_grad=True)
            (pulled,) = torch.autograd.grad(self.forward(x), x, y)
        return pulled


@dataclass(frozen=True, eq=False)
class Mask(LinearMap):
    """The known coordinates, ``(b, m)`` in their order: inpainting, imputation.

    Args:
        known: True where a coordinate is measured, shaped like a point.

    Raises:
        InputError: If nothing is known, or something is neither True nor False.
    """

    known: Bool[Tensor, "*shape"]

    def __post_init__(self) -> None:
        known = torch.as_tensor(self.known)
        require(known.dtype == torch.bool, "a mask must be True and False", got=known.dtype)
        object.__setattr__(self, "known", known)
        require(bool(known.any()), "a mask must keep a coordinate", got="none known")

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of one point."""
        return tuple(self.known.shape)

    def forward(self, x: Points) -> Measurements:
        """The known coordinates."""
        return x.flatten(1)[:, self.known.flatten().to(x.device)]


@dataclass(frozen=True, eq=False)
class MatrixMap(LinearMap):
    """Any matrix, on flat points.

    Args:
        matrix: ``(m, d)``.
        shape: Of one point; ``(d,)`` by default.

    Raises:
        InputError: If the shape does not fit the matrix, or its numbers are not finite.
    """

    matrix: Float[Tensor, "m d"]
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        matrix = as_floats(self.matrix, "matrix")
        require(matrix.ndim == 2, "a matrix has rows and columns", got=tuple(matrix.shape))
        require(bool(matrix.isfinite().all()), "a matrix must be finite", got="NaN or infinity")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "shape", tuple(self.shape or self.matrix.shape[1:]))
        require(prod(self.shape) == self.matrix.shape[1], "the matrix must have a column for each "
                "coordinate", got=f"{tuple(self.matrix.shape)} for {self.shape}")  # fmt: skip

    def forward(self, x: Points) -> Measurements:
        """``(b, m)``."""
        return x.flatten(1) @ self.matrix.to(x).T


@dataclass(frozen=True, eq=False)
class Separable(LinearMap):
    r"""A matrix along the rows of a picture and one along its columns: :math:`R\, X\, C^T`.

    Args:
        shape: Of one picture, ``(*channels, height, width)``.
        down: :math:`R`, ``(m, height)``.
        across: :math:`C`, ``(n, width)``.

    Raises:
        InputError: If the matrices do not fit the picture.
    """

    shape: tuple[int, ...]
    down: Float[Tensor, "m height"]
    across: Float[Tensor, "n width"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", as_shape(self.shape))
        for name in ("down", "across"):
            object.__setattr__(self, name, as_floats(getattr(self, name), name))
        good = self.down.ndim == self.across.ndim == 2
        require(good, "a picture is measured by two matrices", got="another number of axes")
        sides = (self.down.shape[1], self.across.shape[1])
        require(self.shape[-2:] == sides, "the matrices must fit the picture",
                got=f"{sides} for a point of shape {self.shape}")  # fmt: skip

    @classmethod
    def blur(cls, shape: tuple[int, ...], deviation: float) -> "Separable":
        """A Gaussian blur; at the borders the weights inside are scaled to a sum of one.

        Args:
            shape: Of one picture, ``(*channels, height, width)``.
            deviation: Standard deviation of the blur in pixels.

        Raises:
            InputError: If the deviation is not positive, or a point is no picture.
        """
        good = is_number(deviation) and 0 < deviation < float("inf")
        require(good, "a blur needs a positive deviation", got=deviation)

        def weights(n: int) -> Tensor:
            at = torch.arange(n, dtype=torch.float64)
            return (-((at[:, None] - at) / deviation).square() / 2).softmax(1)

        return cls(shape, *(weights(n) for n in _sides(shape)))

    @classmethod
    def average(cls, shape: tuple[int, ...], factor: int) -> "Separable":
        """Means of squares of ``factor`` by ``factor`` pixels: super-resolution.

        Args:
            shape: Of one picture, ``(*channels, height, width)``.
            factor: Pixels that share a mean, along each side; divides both.

        Raises:
            InputError: If the factor does not divide the sides, or a point is no picture.
        """
        sides = _sides(shape)
        factor = as_integer(factor, "factor")
        require(not any(n % factor for n in sides),
                "the factor must divide both sides", got=f"{factor} for {shape}")  # fmt: skip

        def means(n: int) -> Tensor:
            unit = torch.eye(n // factor, dtype=torch.float64)
            return unit.repeat_interleave(factor, 1) / factor

        return cls(shape, *(means(n) for n in sides))

    def forward(self, x: Points) -> Measurements:
        """``(b, *channels, m, n)``."""
        return self.down.to(x) @ x.reshape(len(x), *self.shape) @ self.across.to(x).T


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    require(
        isinstance(shape, Sequence) and len(shape) >= 2,
        "a picture has a height and a width",
        got=f"shape {shape}",
    )
    return shape[-2:]
