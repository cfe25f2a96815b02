"""What a drift sees of a point: features, in which distances mean something.

A feature map is any callable ``(b, *shape) -> (b, k)`` through which gradients flow: a module, or
one of these. A generator trained on several drifts in each of them at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Cloud, Points, Vector

FeatureMap = Callable[[Tensor], Tensor]


def identity(x: Points) -> Cloud:
    """The coordinates themselves."""
    return x.flatten(1)


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Coordinates along orthonormal axes.

    Args:
        middle: The origin ``(d,)``.
        axes: Orthonormal columns ``(d, k)``.
    """

    middle: Vector
    axes: Tensor

    @classmethod
    def fit(cls, points: Any, components: int) -> "PrincipalComponents":
        """The axes of largest variance of a cloud.

        Args:
            points: ``(n, *shape)``.
            components: How many axes, at most d.

        Raises:
            InputError: If there are not so many axes.
        """
        x = as_points(points, "points").flatten(1)
        most = min(x.shape)
        require(1 <= components <= most, f"components must be from 1 to {most}", got=components)
        middle = x.mean(0)
        _, _, axes = torch.linalg.svd(x - middle, full_matrices=False)
        return cls(middle, axes[:components].mT.contiguous())

    def __call__(self, x: Points) -> Cloud:
        """Points ``(b, *shape)`` to coordinates ``(b, k)``."""
        return (x.flatten(1) - self.middle.to(x)) @ self.axes.to(x)
