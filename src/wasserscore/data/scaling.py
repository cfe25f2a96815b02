"""A stated, invertible map between the user's units and the units a model works in."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points, as_tensor
from wasserscore.core.typing import Vector


@dataclass(frozen=True, eq=False)
class Scaling:
    r"""The affine map ``y = (x - shift) / scale`` and its inverse.

    A density in model units becomes one in data units by
    :math:`\log p_x(x) = \log p_y(y) - \sum_j \log scale_j`; the sum is :attr:`log_det`.
    Distances grow by at most :attr:`operator_norm` on the way back to data units.

    Args:
        shift: Shape ``(d,)``, data units.
        scale: Positive, shape ``(d,)`` (one per column) or ``()`` (the same for all).
    """

    shift: Vector
    scale: Float[Tensor, "..."]

    def __post_init__(self) -> None:
        require(bool((self.scale > 0).all() and torch.isfinite(self.scale).all()),
                "scale must be positive and finite", got=self.scale.tolist())  # fmt: skip
        require(self.scale.ndim == 0 or self.scale.shape == self.shift.shape,
                "scale must be one number or one per column",
                got=f"{tuple(self.scale.shape)} for {self.shift.numel()} columns")  # fmt: skip

    @classmethod
    def per_column(cls, points: Any) -> "Scaling":
        """Standardise: zero mean and unit variance in every column (constant ones only shift)."""
        points = as_points(points).flatten(1)
        spread = points.std(0, unbiased=False)
        return cls(points.mean(0), torch.where(spread > 0, spread, torch.ones_like(spread)))

    @classmethod
    def scalar(cls, points: Any) -> "Scaling":
        """Centre, and divide all columns by one number: the root mean variance."""
        points = as_points(points).flatten(1)
        spread = points.var(0, unbiased=False).mean().sqrt()
        return cls(points.mean(0), torch.where(spread > 0, spread, torch.ones_like(spread)))

    @classmethod
    def fit(cls, points: Any, kind: str) -> "Scaling":
        """Per column for a ``"table"``, one scalar for an ``"image"`` or ``"vectors"``.

        Args:
            points: An array or a tensor ``(n, *shape)`` of any numbers, such as bytes.
            kind: Of the data.
        """
        return cls.per_column(points) if kind == "table" else cls.scalar(points)

    @classmethod
    def span(cls, low: float, high: float, d: int) -> "Scaling":
        """The range ``low`` to ``high`` to [-1, 1], the same for all ``d`` columns (for pixels).

        Raises:
            InputError: Unless ``high`` is larger.
        """
        require(high > low, "high must exceed low", got=f"{low} to {high}")
        middle = torch.full((d,), (low + high) / 2, dtype=torch.float64)
        return cls(middle, torch.tensor((high - low) / 2, dtype=torch.float64))

    def apply(self, points: Any) -> Tensor:
        """Data units to model units: ``(b, d)`` or ``(b, *shape)`` with d entries.

        Floating numbers keep their type; bytes and other integers become float64 first.
        """
        x, shift, scale = self._like(points)
        return (x - shift) / scale

    def undo(self, points: Any) -> Tensor:
        """Model units to data units."""
        x, shift, scale = self._like(points)
        return x * scale + shift

    def stretch(self, step: Tensor) -> Tensor:
        """A difference of points in model units to one in data units; its own adjoint."""
        step, _, scale = self._like(step)
        return step * scale

    @property
    def log_det(self) -> float:
        """The sum of log scale over the d columns, in nats."""
        return float(self.scale.expand(self.shift.shape).double().log().sum())

    @property
    def operator_norm(self) -> float:
        """The largest factor by which :meth:`undo` stretches a distance."""
        return float(self.scale.max())

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; :meth:`from_dict` is its inverse."""
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> "Scaling":
        """The scaling that :meth:`to_dict` wrote (float64)."""
        return cls(torch.tensor(d["shift"], dtype=torch.float64),
                   torch.tensor(d["scale"], dtype=torch.float64))  # fmt: skip

    def _like(self, points: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Points, shift and scale as tensors of one type, that broadcast."""
        x = as_tensor(points)
        require(x[0].numel() == self.shift.numel() if len(x) else True,
                f"points must have {self.shift.numel()} entries each",
                got=f"shape {tuple(x.shape)}")  # fmt: skip
        shift, scale = self.shift.to(x), self.scale.to(x)
        if x.ndim > 2:
            shift = shift.reshape(x.shape[1:])
            scale = scale.reshape(x.shape[1:]) if scale.ndim else scale
        return x, shift, scale


def in_data_units(scaling: Scaling | None, x: Tensor) -> Tensor:
    """Points in the user's units, float64; without a scaling they are in these already.

    Data may be so far from zero that float32, in which networks run, cannot tell them apart.
    """
    return x if scaling is None else scaling.undo(x.double())
