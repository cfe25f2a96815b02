"""A residual perceptron with one number per point: what tells two laws apart at a noise level."""

from typing import Any

from torch import Tensor, nn

from wasserscore.core.integers import as_integer
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.conditioned import EMBEDDING, Conditioned, Fourier
from wasserscore.network.linear import Linear
from wasserscore.network.mlp import ResidualBlock


class LogitMLP(Conditioned):
    """Residual perceptron ``L(x, c_noise)`` with one output per point, smooth in the point.

    The output starts at zero: the untrained network takes both laws for the same.

    Args:
        dim: Number of coordinates of a point (the product of its shape).
        width: Hidden units.
        depth: Residual blocks, two linear layers each.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer of sensible magnitude.
    """

    def __init__(self, dim: int, width: int = 128, depth: int = 2, *, seed: int = 0) -> None:
        super().__init__()
        self.dim = dim = as_integer(dim, "dim", most=2**20)
        self.width = width = as_integer(width, "width", most=2**20)
        self.depth = depth = as_integer(depth, "depth", most=2**20)
        with self.drawn(seed):
            self.embedding = Fourier(EMBEDDING)
            self.first = Linear(dim, width)
            self.blocks = nn.ModuleList(ResidualBlock(width, EMBEDDING) for _ in range(depth))
            self.last = Linear(width, 1)

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        return {"class": "LogitMLP", "dim": self.dim, "width": self.width, "depth": self.depth}

    def forward(self, x: Points, c_noise: PerPoint) -> PerPoint:
        """Points ``(b, *shape)`` and noise labels ``(b,)`` to one number each ``(b,)``."""
        h, embedding = self.first(self.rows(x)), self.embedding(c_noise)
        for block in self.blocks:
            h = block(h, embedding)
        out: Tensor = self.last(nn.functional.silu(h))[:, 0]
        return out
