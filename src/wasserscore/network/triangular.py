"""A perceptron whose outputs are lower-triangular matrices with a positive diagonal."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wasserscore.core.integers import as_integer
from wasserscore.core.typing import Cloud
from wasserscore.network.conditioned import Seeded
from wasserscore.network.linear import Linear

LARGEST = 8.0
"""Logarithms of the diagonal stay within this, so that no square of it overflows."""


class Triangular(Seeded):
    r"""Linear layers and GELU, from a point to a matrix :math:`L(z)`.

    .. math:: L_{jk} = o_{jk} \ (j > k), \qquad L_{jj} = e^{o_{jj}}

    The last layer starts at zero, so the untrained network says L = I everywhere.

    Source: :cite:p:`zhang2024` section 4.2, with the diagonal kept positive.

    Args:
        dim: Number of coordinates d of a point; there are d (d + 1) / 2 outputs.
        width: Hidden units.
        depth: Hidden layers.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer.
    """

    gain = 6**0.5
    """What GELU halves, the weights make up for."""

    def __init__(self, dim: int, width: int = 64, depth: int = 5, *, seed: int = 0) -> None:
        super().__init__()
        self.dim = dim = as_integer(dim, "dim")
        self.width = width = as_integer(width, "width")
        self.depth = depth = as_integer(depth, "depth")
        with self.drawn(seed):
            self.hidden = nn.ModuleList(Linear(a, b) for a, b in pairwise([dim, *[width] * depth]))
            self.last = Linear(width, dim * (dim + 1) // 2)

    def forward(self, z: Cloud) -> Float[Tensor, "n d d"]:
        """Points ``(n, d)`` to lower-triangular matrices."""
        h = z
        for linear in self.hidden:
            h = nn.functional.gelu(linear(h))
        out = self.last(h)
        rows, columns = torch.tril_indices(self.dim, self.dim, -1)
        lower: Tensor = out.new_zeros(len(out), self.dim, self.dim)
        lower[:, rows, columns] = out[:, self.dim :]
        logs = out[:, : self.dim].clamp(-LARGEST, LARGEST)
        return torch.diag_embed(logs.exp()) + lower
