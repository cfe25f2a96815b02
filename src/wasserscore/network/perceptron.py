"""A plain perceptron whose Lipschitz constant can be bounded: no normalisation, no bypass."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from wasserscore.core.integers import as_integer
from wasserscore.core.typing import PerPoint, Points
from wasserscore.network.conditioned import EMBEDDING, Conditioned, Fourier
from wasserscore.network.linear import Linear


class Perceptron(Conditioned):
    r"""Linear layers and softplus, each layer shifted by the noise level's embedding ``e``.

    .. math:: h_{i+1} = \mathrm{softplus}(W_i h_i + b_i + V_i e), \qquad F = W_n h_n + b_n,

    so :math:`\|\nabla_x F\| \le \prod_i \|W_i\|`, whatever the embedding does: softplus has slopes
    between 0 and 1, and nothing multiplies or bypasses a layer. :class:`MLP` learns faster, but
    its normalisation divides by how much its input varies, and no product of norms bounds that.

    Args:
        dim: Number of coordinates of a point (the product of its shape).
        width: Hidden units.
        depth: Hidden layers.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer.
    """

    def __init__(self, dim: int, width: int = 64, depth: int = 3, *, seed: int = 0) -> None:
        super().__init__()
        self.dim = dim = as_integer(dim, "dim")
        self.width = width = as_integer(width, "width")
        self.depth = depth = as_integer(depth, "depth")
        sizes = [dim, *[width] * depth]
        with self.drawn(seed):
            self.embedding = Fourier(EMBEDDING)
            self.hidden = nn.ModuleList(Linear(a, b) for a, b in pairwise(sizes))
            self.shifts = nn.ModuleList(Linear(EMBEDDING, width, bias=False) for _ in range(depth))
            self.last = Linear(width, dim)
        self.activation = nn.Softplus()

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        return {"class": "Perceptron", "dim": self.dim, "width": self.width, "depth": self.depth}

    def lipschitz_layers(self) -> list[nn.Module]:
        """The layers that points pass through, in order; embeddings only shift them."""
        layers = [layer for linear in self.hidden for layer in (linear, self.activation)]
        return [*layers, self.last]

    def forward(self, x: Points, c_noise: PerPoint) -> Points:
        """Points ``(b, *shape)`` and noise labels ``(b,)`` to outputs shaped like ``x``."""
        embedding, h = self.embedding(c_noise), self.rows(x)
        for linear, shift in zip(self.hidden, self.shifts, strict=True):
            h = self.activation(linear(h) + shift(embedding))
        out: Tensor = self.last(h)
        return out.reshape(x.shape)
