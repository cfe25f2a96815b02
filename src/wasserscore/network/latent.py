"""A residual perceptron from latents to points: what a one-step generator is made of."""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.integers import as_integer
from wasserscore.core.typing import Cloud, Points
from wasserscore.network.conditioned import Seeded
from wasserscore.network.linear import Linear

COMPACT = 0.1
"""Size of the first output weights, in units of the usual one."""


class PlainBlock(nn.Module):
    r""":math:`h + W_2\,\mathrm{silu}(W_1 \mathrm{norm}(h))`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = Linear(width, width)
        self.back = Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        """Hidden ``(b, width)`` to hidden."""
        out: Tensor = h + self.back(nn.functional.silu(self.into(self.norm(h))))
        return out


class LatentMLP(Seeded):
    r"""Residual perceptron ``G(z)`` from latents ``(b, latent)`` to points ``(b, *shape)``.

    The output layer starts small, so the untrained generator is a compact cloud near the origin:
    not a single point, where every drift would be the same.

    Args:
        latent: Coordinates of a latent; at least the intrinsic dimension of the data.
        shape: Of one point, or its number of coordinates.
        width: Hidden units.
        depth: Residual blocks, two linear layers each.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer of sensible magnitude.
    """

    def __init__(
        self,
        latent: int,
        shape: int | tuple[int, ...] | list[int],
        width: int = 256,
        depth: int = 4,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        sides = shape if isinstance(shape, tuple | list) else (shape,)
        self.shape = tuple(as_integer(size, "shape", most=2**20) for size in sides or (0,))
        self.latent = latent = as_integer(latent, "latent", most=2**20)
        self.width = width = as_integer(width, "width", most=2**20)
        self.depth = depth = as_integer(depth, "depth", most=2**20)
        with self.drawn(seed):
            self.first = Linear(latent, width)
            self.blocks = nn.ModuleList(PlainBlock(width) for _ in range(depth))
            self.norm = nn.LayerNorm(width)
            self.last = Linear(width, prod(self.shape))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw fresh weights; those of the output layer are a tenth of the usual size."""
        super().reset(generator)
        bound = COMPACT * self.last.weight[0].numel() ** -0.5
        self.last.weight.uniform_(-bound, bound, generator=generator)

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        return {"class": "LatentMLP", "latent": self.latent, "shape": list(self.shape),
                "width": self.width, "depth": self.depth}  # fmt: skip

    def forward(self, z: Cloud) -> Points:
        """Latents ``(b, latent)`` to points ``(b, *shape)``."""
        h = self.first(z)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.last(nn.functional.silu(self.norm(h)))
        return out.reshape(len(z), *self.shape)
