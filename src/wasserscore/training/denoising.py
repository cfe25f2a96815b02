"""Denoising score matching as a task of the loop: network, average, optimizer, one step."""

from dataclasses import replace

import torch
from torch import Tensor

from wasserscore.core.random import normal_like
from wasserscore.core.tensors import expand_like
from wasserscore.core.typing import PerPoint, Points
from wasserscore.score import NetworkScore
from wasserscore.training.averaged import Averaged
from wasserscore.training.levels import Weighting
from wasserscore.training.regularise import Regulariser
from wasserscore.training.schedule import Schedule
from wasserscore.training.weighting import stratified

CLIP = 1.0
"""Largest gradient norm, unless told."""


def denoising_loss(
    score: NetworkScore, weighting: Weighting, x0: Points, uniform: PerPoint, noise: Points
) -> Tensor:
    r"""Mean of :math:`w(r) \|D(x_t, t) - x_0\|^2 / d`: the objective per coordinate.

    Args:
        score: The network in training.
        weighting: Where along the noise, and what it counts.
        x0: Clean points, model units.
        uniform: One number of [0, 1) per point: its noise level.
        noise: Standard normal, shaped like ``x0``.

    Source: :cite:`karras2022` eq. (2) and (8); see :mod:`wasserscore.training.weighting`.
    """
    levels = weighting(score.process, score.data_std, uniform.to(torch.float64))
    t = score.process.time_at(levels.r.square()).to(x0.device)
    alpha = score.process.alpha(t)
    x_t = expand_like(alpha, x0) * (x0 + expand_like(levels.r, x0) * noise)
    squared = (score.denoise(x_t, t) - x0).square().flatten(1).mean(1)
    return (levels.weight.to(squared) * squared).mean()


class Denoising(Averaged):
    """A score network that learns by :func:`denoising_loss`, AdamW and an average of its weights.

    Args:
        score: The untrained score; its network is copied, never changed.
        weighting: See :mod:`wasserscore.training.weighting`.
        schedule: Learning rate and averaging.
        weight_decay: Of AdamW.
        regularise: Called on the network before the first and after every update.
        clip: Largest gradient norm.
    """

    def __init__(
        self,
        score: NetworkScore,
        weighting: Weighting,
        schedule: Schedule,
        weight_decay: float,
        regularise: Regulariser | None = None,
        clip: float = CLIP,
    ) -> None:
        super().__init__(score.network, schedule, weight_decay, clip, regularise)
        self.score = replace(score, network=self.network)
        self.weighting = weighting

    def step(self, batch: Points, generator: torch.Generator) -> dict[str, float]:
        """One update; without one where the loss or its gradient is not finite (the logs say)."""
        uniform = stratified(len(batch), generator)
        x0, noise = batch.to(self.device), normal_like(batch, generator).to(self.device)
        return self.descend(denoising_loss(self.score, self.weighting, x0, uniform, noise))

    def result(self) -> NetworkScore:
        """The score with the averaged weights, ready for inference."""
        return replace(self.score, network=self.average)
