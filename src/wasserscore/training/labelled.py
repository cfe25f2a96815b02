"""Points that carry a class or a vector each, as the loop takes them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Points
from wasserscore.data import Mapped
from wasserscore.network.told import Condition, Labels


@dataclass(frozen=True, eq=False)
class Labelled:
    """Points and what is told of them; rows are taken from all.

    Args:
        points: ``(n, *shape)``, in memory or mapped.
        labels: Classes ``(n,)`` from 0, or None.
        conditions: Vectors ``(n, k)``, or None.
    """

    points: Points | Mapped
    labels: Labels | None = None
    conditions: Condition | None = None

    @classmethod
    def build(
        cls,
        points: Points | Mapped,
        network: nn.Module,
        labels: Any = None,
        conditions: Any = None,
        augmented: int = 0,
    ) -> "Labelled":
        """Check that the network knows such classes and vectors, and that each point has its own.

        The last ``augmented`` numbers of what the network is told are not in the vectors.

        Raises:
            InputError: If not.
        """
        classes, length = (int(getattr(network, name, 0)) for name in ("classes", "condition"))
        if labels is not None:
            labels = _classes(labels, len(points), classes).to(points.device)
        if conditions is not None:
            require(length > 0, "conditions need a network that knows vectors", got="one without",
                    do="build it with condition=")  # fmt: skip
            conditions = as_points(conditions, "conditions").to(points.device, points.dtype)
            wanted = (len(points), length - augmented)
            require(conditions.shape == wanted, f"conditions must have shape {wanted}",
                    got=tuple(conditions.shape))  # fmt: skip
        return cls(points, labels, conditions)

    def hidden(self, rows: Tensor, nobody: int) -> tuple[Labels | None, Condition | None]:
        """Classes and vectors where some rows are not told: the class ``nobody``, zeros."""
        labels, conditions = self.labels, self.conditions
        return (
            None if labels is None else labels.masked_fill(rows, nobody),
            None if conditions is None else conditions.masked_fill(rows[:, None], 0),
        )

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Tensor) -> "Labelled":
        told = (None if x is None else x[rows] for x in (self.labels, self.conditions))
        return Labelled(self.points[rows], *told)


def _classes(labels: Any, n: int, classes: int) -> Labels:
    """A class per point, checked."""
    require(classes > 0, "labels need a network that knows classes", got="one without",
            do="build it with classes=")  # fmt: skip
    if not isinstance(labels, Tensor):
        require(not np.ma.is_masked(labels), "every point must have a label", got="masked ones")
        labels = np.asarray(labels)
    require(tuple(labels.shape) == (n,), f"labels must have shape ({n},)",
            got=tuple(labels.shape))  # fmt: skip
    if not isinstance(labels, Tensor):
        require(labels.dtype.kind in "iu", "labels must be integers", got=labels.dtype)
        labels = torch.from_numpy(labels.astype(np.int64))  # a copy, whatever the order of bytes
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    require(whole, "labels must be integers", got=labels.dtype)
    found: Tensor = labels.to(torch.int64)
    low, high = int(found.min()), int(found.max())
    require(low >= 0 and high < classes, f"labels must lie in 0 to {classes - 1}",
            got=f"{low} to {high}")  # fmt: skip
    return found


Rows = Points | Mapped | Labelled
"""What the loop deals out."""
