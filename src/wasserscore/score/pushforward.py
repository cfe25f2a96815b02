r"""The law of a generator: :math:`x = G(z)` with :math:`z \sim N(0, I)`, in one evaluation.

It has samples and no score: what is known of it is a map. It lives beside the scores because it
is saved, loaded and measured like them.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer, as_shape
from wasserscore.core.random import Streams
from wasserscore.core.tensors import in_tiles
from wasserscore.core.typing import Points
from wasserscore.data import Scaling, in_data_units
from wasserscore.network import describe, rebuild
from wasserscore.score.settled import require_settled


@dataclass(frozen=True, eq=False, repr=False)
class Pushforward:
    """Standard normal latents pushed through a network.

    Args:
        network: A module ``G(z (b, latent)) -> (b, *shape)``, in the dtype of its parameters.
        latent: Coordinates of a latent.
        shape: Of one point.
        scaling: How model units came from data units; None where they are data units.
    """

    network: nn.Module
    latent: int
    shape: tuple[int, ...]
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "latent", as_integer(self.latent, "latent"))
        object.__setattr__(self, "shape", as_shape(self.shape))
        own = getattr(self.network, "latent", self.latent)
        require(own == self.latent, "latent must fit the network", got=self.latent,
                do=f"the network takes {own}")  # fmt: skip

    def __repr__(self) -> str:
        weights = sum(p.numel() for p in self.network.parameters())
        network = f"{type(self.network).__name__} of {weights:,} weights"
        return f"Pushforward({network}, latent {self.latent}, points {self.shape})"

    @property
    def dim(self) -> int:
        """Number of coordinates of a point."""
        return prod(self.shape)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0) -> Points:
        """``n`` points ``(n, *shape)`` in data units, one evaluation of the network each.

        Of a law that knows its scaling they are float64.

        Row i depends on the seed and on i only: the latents are keyed, and the network sees them
        in tiles of a fixed size.

        Args:
            n: How many.
            seed: Of the latents.

        Raises:
            InputError: If ``n`` is not a positive integer, or the network not in evaluation mode.
        """
        n = as_integer(n, "n")
        require_settled(self)
        like = next(self.network.parameters())
        z = Streams(seed).normal("latent", 0, n, (self.latent,), like)
        points = in_tiles(self._made, z)
        return in_data_units(self.scaling, points)

    def _made(self, z: Tensor) -> Points:
        found: Any = self.network(z)
        require(isinstance(found, Tensor), "a generator must return a tensor",
                got=type(found).__name__)  # fmt: skip
        require(found.numel() == len(z) * self.dim,
                f"a generator must return {len(z)} points {self.shape} for as many latents",
                got=tuple(found.shape))  # fmt: skip
        points: Tensor = found.reshape(len(z), *self.shape)
        return points

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``save`` writes: the weights, and everything else as JSON types."""
        return dict(self.network.state_dict()), {
            "network": describe(self.network),
            "latent": self.latent,
            "shape": list(self.shape),
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
        }

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> "Pushforward":
        """The law whose :meth:`state` this is, ready for inference."""
        rest = dict(config)
        network = rebuild(rest.pop("network"), tensors).eval().requires_grad_(False)
        rest["shape"] = tuple(rest["shape"])
        if rest["scaling"] is not None:
            rest["scaling"] = Scaling.from_dict(rest["scaling"])
        law = cls(network, **rest)
        own = tuple(getattr(network, "shape", law.shape))
        require(own == law.shape, "shape must fit the network", got=law.shape)
        return law
