"""The loss of points that are not trained on, per noise level."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from wasserscore.core.random import Streams, normal_like
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Points
from wasserscore.score import NetworkScore
from wasserscore.training.denoising import denoising_loss
from wasserscore.training.levels import Weighting

LEVELS = 8
"""Noise levels; the middles of as many equal parts of the weighting's law of levels."""
POINTS = 1024
"""Most points of a measurement."""
BATCH = 256


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Logs ``holdout_loss``, and its parts ``holdout_loss at r=...``, one per noise level.

    The same points with the same noise every time, so that two measurements differ by the network
    alone; the mean over levels is the objective itself, to compare with the loss.

    Args:
        score: The score in training; its network is replaced by the one that is measured.
        weighting: Where along the noise, and what it counts.
        points: Held-out points, model units; of more than 1024 so many are drawn.
        seed: Of their noise.
    """

    score: NetworkScore
    weighting: Weighting
    points: Points
    seed: int

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The losses of a network, in its own precision."""
        score = replace(self.score, network=network)
        device = next(network.parameters()).device
        losses = {}
        for level, name in zip(self._levels, self._names, strict=True):
            total = 0.0
            for part in tiles(len(self._noise), BATCH):
                x0, noise = self._points[part].to(device), self._noise[part].to(device)
                where = level.expand(len(x0))
                total += len(x0) * float(denoising_loss(score, self.weighting, x0, where, noise))
            losses[name] = total / len(self._noise)
        return {"holdout_loss": sum(losses.values()) / LEVELS, **losses}

    @cached_property
    def _levels(self) -> Tensor:
        return (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS

    @cached_property
    def _names(self) -> list[str]:
        r = self.weighting(self.score.process, self.score.data_std, self._levels).r
        return [f"holdout_loss at r={level:.3g}" for level in r.tolist()]

    @cached_property
    def _noise(self) -> Points:
        return normal_like(self._points, Streams(self.seed).generator("holdout"))

    @cached_property
    def _points(self) -> Points:
        # the first ones of a file may be of one class
        return self.points[Streams(self.seed).subset("asked", len(self.points), POINTS)]
