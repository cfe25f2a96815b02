"""A residual perceptron with a Fourier embedding of the noise level."""

import math
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint, Points

FREQUENCIES = 16
EMBEDDING = 64


class Fourier(nn.Module):
    r"""Features of a number: :math:`\cos(w_k c), \sin(w_k c)`, then one linear layer and SiLU.

    The frequencies :math:`w_k` are fixed, spaced evenly in logarithm between 1/2 and 32; the
    noise label ``log(r) / 4`` moves over about three units, so the slowest wave sees the whole
    range once and the fastest tells neighbouring steps of a sampler apart.
    """

    frequencies: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.empty(FREQUENCIES))
        self.linear = nn.Linear(2 * FREQUENCIES, features)

    @torch.no_grad()
    def space(self) -> None:
        """Set the frequencies."""
        fastest, slowest = math.log(32.0), math.log(0.5)
        self.frequencies.copy_(torch.linspace(slowest, fastest, FREQUENCIES).exp())

    def forward(self, c_noise: Tensor) -> Tensor:
        """Labels ``(b,)`` to features ``(b, features)``."""
        angle = c_noise[:, None] * self.frequencies
        waves = torch.cat([angle.cos(), angle.sin()], dim=1)
        embedded: Tensor = nn.functional.silu(self.linear(waves))
        return embedded


class ResidualBlock(nn.Module):
    r""":math:`h + W_2\,\mathrm{silu}(W_1 \mathrm{norm}(h) + V e)` with the embedding ``e``."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = nn.Linear(width, width)
        self.embed = nn.Linear(features, width, bias=False)
        self.back = nn.Linear(width, width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Hidden ``(b, width)`` to hidden."""
        inner = self.into(self.norm(h)) + self.embed(embedding)
        out: Tensor = h + self.back(nn.functional.silu(inner))
        return out


class MLP(nn.Module):
    r"""Residual perceptron ``F(x, c_noise)`` for vectors and small images.

    Width by depth, every block told the noise level. Weights are drawn from a generator of their
    own, the output layer starts at zero: with EDM preconditioning the untrained network is then
    the linear denoiser :math:`c_{skip} \hat x`.

    Args:
        dim: Number of coordinates of a point (the product of its shape).
        width: Hidden units.
        depth: Residual blocks, two linear layers each.
        seed: Of the initial weights; the same seed gives the same bits.

    Raises:
        InputError: If a size is not a positive integer of sensible magnitude.
    """

    def __init__(self, dim: int, width: int = 512, depth: int = 4, *, seed: int = 0) -> None:
        super().__init__()
        for name, value, most in (
            ("dim", dim, 2**24),
            ("width", width, 2**16),
            ("depth", depth, 2**10),
        ):
            require(
                isinstance(value, int) and 1 <= value <= most,
                f"{name} must be an integer from 1 to {most}",
                got=value,
            )
        self.dim, self.width, self.depth = dim, width, depth
        skeleton_only = torch.get_default_device().type == "meta"
        with torch.device("meta"):  # a linear layer built for real draws from the global generator
            self.embedding = Fourier(EMBEDDING)
            self.first = nn.Linear(dim, width)
            self.blocks = nn.ModuleList(ResidualBlock(width, EMBEDDING) for _ in range(depth))
            self.norm = nn.LayerNorm(width)
            self.last = nn.Linear(width, dim)
        if not skeleton_only:
            self.to_empty(device="cpu")
            self.reset(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw fresh weights: uniform with variance 1 / (3 fan-in), biases and output zero."""
        self.embedding.space()
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1.0)
                module.bias.zero_()
            if isinstance(module, nn.Linear):
                bound = 0.0 if module is self.last else module.in_features**-0.5
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()

    def config(self) -> dict[str, Any]:
        """What rebuilds this network, as JSON types; the weights come beside it."""
        return {"class": "MLP", "dim": self.dim, "width": self.width, "depth": self.depth}

    def forward(self, x: Points, c_noise: PerPoint) -> Points:
        """Points ``(b, *shape)`` and noise labels ``(b,)`` to outputs shaped like ``x``."""
        require(
            prod(x.shape[1:]) == self.dim,
            f"points must have {self.dim} entries each",
            got=f"shape {tuple(x.shape)}",
        )
        embedding = self.embedding(c_noise)
        h = self.first(x.flatten(1))
        for block in self.blocks:
            h = block(h, embedding)
        out: Tensor = self.last(nn.functional.silu(self.norm(h)))
        return out.reshape(x.shape)
