"""The shape vocabulary of public signatures (checked at run time in tests only)."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

Points = Float[Tensor, "b *d"]
"""A batch of points, one per row; images keep their shape behind the batch axis."""
Cloud = Float[Tensor, "n d"]
"""A cloud of flat points."""
Vector = Float[Tensor, " d"]
Matrix = Float[Tensor, "d d"]
PerPoint = Float[Tensor, " b"]
Indices = Int[Tensor, "b k"]
Times = float | Float[Tensor, ""] | Float[Tensor, " b"]
"""Forward time: a number, or one per point. ``t = 0`` is data, ``t = horizon`` is noise."""
Array = NDArray[Any]
Noise = Callable[[int], Tensor]
"""Noise of a run by step number: ``noise(k)`` is a standard normal tensor like the points."""


@runtime_checkable
class ScoreFn(Protocol):
    """A score: ``score(x, t)`` estimates the gradient of log p_t at ``x``, shaped like ``x``."""

    def __call__(self, x: Tensor, t: Any, /) -> Tensor:
        """The score at ``x`` and time ``t``."""
        ...
