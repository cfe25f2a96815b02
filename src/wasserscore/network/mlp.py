"""A residual perceptron with a Fourier embedding of the noise level."""

from typing import Any

from torch import Tensor, nn

from wasserscore.core.integers import as_integer
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.conditioned import EMBEDDING, Conditioned, Fourier
from wasserscore.network.linear import Linear
from wasserscore.network.told import Condition, Given, Labels, Listening


class ResidualBlock(nn.Module):
    r""":math:`h + W_2\,\mathrm{silu}(W_1 \mathrm{norm}(h) + V e)` with the embedding ``e``."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = Linear(width, width)
        self.embed = Linear(features, width, bias=False)
        self.back = Linear(width, width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Hidden ``(b, width)`` to hidden."""
        inner = self.into(self.norm(h)) + self.embed(embedding)
        out: Tensor = h + self.back(nn.functional.silu(inner))
        return out


class MLP(Conditioned, Listening):
    r"""Residual perceptron ``F(x, c_noise)`` for vectors and small images.

    Width by depth, every block told the noise level. Weights are drawn from a generator of their
    own, the output layer starts at zero: with EDM preconditioning the untrained network is then
    the linear denoiser :math:`c_{skip} \hat x`.

    Args:
        dim: Number of coordinates of a point (the product of its shape).
        width: Hidden units.
        depth: Residual blocks, two linear layers each.
        classes: How many classes there are; 0 where points have none.
        condition: Length of a vector that comes with a point; 0 where none does.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer of sensible magnitude.
    """

    def __init__(
        self, dim: int, width: int = 512, depth: int = 4, *, classes: int = 0,
        condition: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dim = dim = as_integer(dim, "dim", most=2**24)
        self.width = width = as_integer(width, "width", most=2**16)
        self.depth = depth = as_integer(depth, "depth", most=2**10)
        with self.drawn(seed):
            self.embedding = Fourier(EMBEDDING)
            self.told = Given(EMBEDDING, classes, condition)
            self.first = Linear(dim, width)
            self.blocks = nn.ModuleList(ResidualBlock(width, EMBEDDING) for _ in range(depth))
            self.norm = nn.LayerNorm(width)
            self.last = Linear(width, dim)

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        given = {"classes": self.classes, "condition": self.condition}
        known = {name: number for name, number in given.items() if number}
        return {"class": "MLP", "dim": self.dim, "width": self.width, "depth": self.depth, **known}

    def forward(
        self, x: Points, c_noise: PerPoint, labels: Labels | None = None,
        condition: Condition | None = None,
    ) -> Points:  # fmt: skip
        """Points ``(b, *shape)`` and noise labels ``(b,)`` to outputs shaped like ``x``."""
        h, embedding = self.first(self.rows(x)), self.embedding(c_noise)
        embedding = self.told(embedding, labels, condition)
        for block in self.blocks:
            h = block(h, embedding)
        out: Tensor = self.last(nn.functional.silu(self.norm(h)))
        return out.reshape(x.shape)
