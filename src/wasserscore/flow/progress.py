"""How far a generator has come, measured from outside: the loss of a drift does not fall."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Points
from wasserscore.data import Scaling, in_data_units
from wasserscore.distance import prdc, w2
from wasserscore.score import Pushforward

MEASURED = 500
"""Most points of a measurement."""
NEIGHBOURS = 5
"""Of the balls that coverage counts."""


@dataclass(frozen=True, eq=False)
class Progress:
    """W2 to held-out points, the same of the training points, and coverage.

    All at the same number of points, so ``w2`` may be compared with ``w2_floor``: two sets of the
    same law are that far apart.

    Args:
        train: Points that the generator learns from, model units.
        holdout: Points that it does not see, model units.
        latent: Coordinates of a latent.
        scaling: How model units came from data units; distances are in data units.
        seed: Of the points chosen and of the latents.
    """

    train: Tensor
    holdout: Tensor
    latent: int
    scaling: Scaling | None
    seed: int

    def __post_init__(self) -> None:
        require(self.holdout.shape[1:] == self.train.shape[1:], "holdout must be like the target",
                got=tuple(self.holdout.shape[1:]))  # fmt: skip
        fewest = min(len(self.train), len(self.holdout))
        require(fewest > NEIGHBOURS, f"coverage needs more than {NEIGHBOURS} points of the target "
                "and of the holdout", got=fewest)  # fmt: skip

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``w2``, ``w2_floor`` and ``coverage`` of a network's samples."""
        law = Pushforward(network, self.latent, tuple(self.train.shape[1:]), self.scaling)
        generated = law.sample(len(self._there), seed=Streams(self.seed).key("progress"))
        return {
            "w2": w2(generated, self._there).value,
            "w2_floor": self._floor,
            "coverage": prdc(generated, self._there, NEIGHBOURS).coverage.value,
        }

    @cached_property
    def _floor(self) -> float:
        return w2(self._some("train", self.train), self._there).value

    @cached_property
    def _there(self) -> Tensor:
        return self._some("holdout", self.holdout)

    def _some(self, name: str, points: Points) -> Tensor:
        n = min(MEASURED, len(self.train), len(self.holdout))
        generator = Streams(self.seed).generator(f"progress/{name}")
        rows = points[torch.randperm(len(points), generator=generator)[:n]]
        return in_data_units(self.scaling, rows)
