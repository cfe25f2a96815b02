"""What a network is told besides points and their noise level: a class, a vector."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.typing import PerPoint
from wasserscore.network.conditioned import Fourier, Seeded
from wasserscore.network.linear import Linear

Labels = Int[Tensor, " b"]
"""A class per point, 0 to ``classes - 1``; ``classes`` itself says that the class is not told."""
Condition = Float[Tensor, "b k"]
"""A vector per point; the zero vector says nothing."""


class Given(nn.Module):
    r"""Features h to :math:`h + E_y + C v`, with the class y and the vector v.

    The table E has one row per class and one for "not told", all zero at first: an untrained
    network does not know classes apart. The matrix C has no bias: zero is "not told".

    Args:
        features: How many.
        classes: How many classes there are, or 0.
        condition: Length of the vector, or 0.
    """

    def __init__(self, features: int, classes: int, condition: int) -> None:
        super().__init__()
        self.classes = as_integer(classes, "classes", least=0, most=2**20)
        self.length = as_integer(condition, "condition", least=0, most=2**16)
        self.table = nn.Embedding(self.classes + 1, features) if classes else None
        self.vector = Linear(self.length, features, bias=False) if condition else None

    def forward(self, h: Tensor, labels: Labels | None, condition: Condition | None) -> Tensor:
        """Features ``(b, features)`` to features.

        Raises:
            InputError: For vectors of another length.
        """
        if self.table is not None:
            if labels is None:
                labels = torch.full((len(h),), self.classes, device=h.device)
            h = h + self.table(labels)
        if condition is not None:
            require(condition.shape == (len(h), self.length),
                    f"condition must have shape ({len(h)}, {self.length})",
                    got=tuple(condition.shape),
                    do="build the network with condition=")  # fmt: skip
            h = h if self.vector is None else h + self.vector(condition.to(h.dtype))
        return h


class Told(Given):
    r"""Noise level, class and vector as features: :math:`\mathrm{silu}(W(e(c) + E_y + C v))`."""

    def __init__(self, features: int, classes: int, condition: int) -> None:
        super().__init__(features, classes, condition)
        self.level = Fourier(features)
        self.linear = Linear(features, features)

    def forward(
        self, c_noise: PerPoint, labels: Labels | None, condition: Condition | None
    ) -> Tensor:
        """Features ``(b, features)``."""
        h = super().forward(self.level(c_noise), labels, condition)
        out: Tensor = nn.functional.silu(self.linear(h))
        return out


class Listening(Seeded):
    """A network that can be told a class and a vector; a subclass builds ``told``."""

    told: Given

    @property
    def classes(self) -> int:
        """How many classes it knows."""
        return self.told.classes

    @property
    def condition(self) -> int:
        """Length of the vector that it can be told."""
        return self.told.length
