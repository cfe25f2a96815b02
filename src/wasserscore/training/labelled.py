"""Points that carry a class each, as the loop takes them."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Points
from wasserscore.data import Mapped


@dataclass(frozen=True, eq=False)
class Labelled:
    """Points and their classes; rows are taken from both.

    Args:
        points: ``(n, *shape)``, in memory or mapped.
        labels: ``(n,)``, from 0.
    """

    points: Points | Mapped
    labels: Int[Tensor, " b"]

    @classmethod
    def build(cls, points: Points | Mapped, labels: Any, classes: int) -> "Labelled":
        """Check that the labels are classes, one per point.

        Raises:
            InputError: If they are not.
        """
        require(classes > 0, "labels need a network that knows classes", got="one without",
                do="build it with classes=")  # fmt: skip
        labels = torch.as_tensor(labels)
        require(labels.shape == (len(points),), f"labels must have shape ({len(points)},)",
                got=tuple(labels.shape))  # fmt: skip
        whole = not labels.is_floating_point() and labels.dtype != torch.bool
        require(whole, "labels must be integers", got=labels.dtype)
        low, high = int(labels.min()), int(labels.max())
        require(low >= 0 and high < classes, f"labels must lie in 0 to {classes - 1}",
                got=f"{low} to {high}")  # fmt: skip
        return cls(points, labels.to(points.device, torch.int64))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Tensor) -> "Labelled":
        return Labelled(self.points[rows], self.labels[rows])


Rows = Points | Mapped | Labelled
"""What the loop deals out."""
