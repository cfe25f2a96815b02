"""What networks that are told the noise level share: its embedding and reproducible weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.random import as_seed
from wasserscore.core.typing import Points
from wasserscore.network.linear import Linear

FREQUENCIES = 16
EMBEDDING = 64


class Fixed(nn.Module):
    """A layer whose buffers are numbers of a formula, written when weights are drawn."""

    def fill(self) -> None:
        """Write them."""
        raise NotImplementedError


class Fourier(Fixed):
    r"""Features of a number: :math:`\cos(w_k c), \sin(w_k c)`, then one linear layer and SiLU.

    The frequencies :math:`w_k` are fixed, spaced evenly in logarithm between 1/2 and 32; the
    noise label ``log(r) / 4`` moves over about three units, so the slowest wave sees the whole
    range once and the fastest tells neighbouring steps of a sampler apart.
    """

    frequencies: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.empty(FREQUENCIES))
        self.linear = Linear(2 * FREQUENCIES, features)

    @torch.no_grad()
    def fill(self) -> None:
        """Write the frequencies."""
        fastest, slowest = math.log(32.0), math.log(0.5)
        self.frequencies.copy_(torch.linspace(slowest, fastest, FREQUENCIES).exp())

    def forward(self, c_noise: Tensor) -> Tensor:
        """Labels ``(b,)`` to features ``(b, features)``."""
        angle = c_noise[:, None] * self.frequencies
        waves = torch.cat([angle.cos(), angle.sin()], dim=1)
        embedded: Tensor = nn.functional.silu(self.linear(waves))
        return embedded


class Seeded(nn.Module):
    """A network with weights from a generator of its own.

    A subclass builds its layers inside :meth:`drawn`, the output layer ``last`` among them.
    """

    last: nn.Linear | nn.Conv2d
    gain: float = 1.0
    """Times the usual bound of the weights."""

    @contextmanager
    def drawn(self, seed: int) -> Iterator[None]:
        """Layers built inside get their weights at the end, from ``seed``; none on "meta"."""
        skeleton_only = torch.get_default_device().type == "meta"
        with torch.device("meta"):  # a linear layer built for real draws from the global generator
            yield
        if not skeleton_only:
            self.to_empty(device="cpu")
            self.reset(torch.Generator().manual_seed(as_seed(seed)))

    def silent(self) -> list[nn.Module]:
        """The layers that start at zero."""
        return [self.last]

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw fresh weights: uniform with variance 1 / (3 fan-in), biases and output zero."""
        silent = self.silent()
        for module in self.modules():
            if isinstance(module, Fixed):
                module.fill()
            if isinstance(module, nn.Embedding):
                module.weight.zero_()
            if isinstance(module, nn.LayerNorm | nn.GroupNorm) and module.weight is not None:
                module.weight.fill_(1.0)
                module.bias.zero_()
            if isinstance(module, nn.Linear | nn.Conv2d):
                fan_in = module.weight[0].numel()
                bound = 0.0 if module in silent else self.gain * fan_in**-0.5
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()


class Conditioned(Seeded):
    """A network of flat points and a noise label.

    A subclass sets ``dim`` and builds an ``embedding`` too.
    """

    dim: int
    embedding: Fourier

    def rows(self, x: Points) -> Tensor:
        """Points as rows ``(b, dim)``.

        Raises:
            InputError: If they have another number of entries.
        """
        require(prod(x.shape[1:]) == self.dim, f"points must have {self.dim} entries each",
                got=f"shape {tuple(x.shape)}")  # fmt: skip
        return x.flatten(1)
