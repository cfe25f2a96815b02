"""Denoising score matching as a task of the loop: network, average, optimizer, one step."""

import copy
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from wasserscore.core.random import normal_like
from wasserscore.core.tensors import expand_like
from wasserscore.core.typing import PerPoint, Points
from wasserscore.score import NetworkScore
from wasserscore.training.levels import Weighting
from wasserscore.training.regularise import Regulariser
from wasserscore.training.weighting import stratified

CLIP = 1.0
"""Largest gradient norm, unless told."""
BETAS = (0.9, 0.99)
"""AdamW's memories; 0.99 forgets the large early gradients sooner, which short runs need."""


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


@dataclass(frozen=True)
class Schedule:
    r"""Learning rate and averaging by step number, so that nothing needs to be saved.

    The rate falls by a half cosine from ``learning_rate`` to zero over ``steps``; the average
    keeps :math:`\min(ema, (1 + k) / (10 + k))` of itself, so that it forgets the untrained
    weights quickly.
    """

    steps: int
    learning_rate: float
    ema: float

    def rate(self, k: int) -> float:
        """Learning rate of step ``k``."""
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * k / self.steps))

    def keep(self, k: int) -> float:
        """How much of the average survives step ``k``."""
        return min(self.ema, (1 + k) / (10 + k))


class Denoising:
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
        network = copy.deepcopy(score.network).train().requires_grad_(True)
        self.regularise, self.clip = regularise, clip
        if regularise is not None:
            regularise(network)
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.score = replace(score, network=network)
        self.weighting, self.schedule, self.count = weighting, schedule, 0
        self.weights = dict(network.named_parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights.values(),
            lr=schedule.learning_rate,
            betas=BETAS,
            weight_decay=weight_decay,
            fused=True,
        )

    def step(self, batch: Points, generator: torch.Generator) -> dict[str, float]:
        """One update; without one where the loss or its gradient is not finite (the logs say)."""
        device = next(iter(self.weights.values())).device
        uniform = stratified(len(batch), generator)
        x0, noise = batch.to(device), normal_like(batch, generator).to(device)
        loss = denoising_loss(self.score, self.weighting, x0, uniform, noise)
        self.optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(self.weights.values(), self.clip)
        rate = self.schedule.rate(self.count)
        logs = {"loss": loss.item(), "gradient_norm": norm.item(), "learning_rate": rate}
        if all(map(math.isfinite, logs.values())):
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
            if self.regularise is not None:
                self.regularise(self.score.network)
            self._update_average()
            self.count += 1
        return logs

    @torch.no_grad()
    def _update_average(self) -> None:
        fresh = 1 - self.schedule.keep(self.count)
        for average, weight in zip(self.average.parameters(), self.weights.values(), strict=True):
            average.lerp_(weight, fresh)
        buffers = zip(self.average.buffers(), self.score.network.buffers(), strict=True)
        for kept, buffer in buffers:
            kept.copy_(buffer)

    def result(self) -> NetworkScore:
        """The score with the averaged weights, ready for inference."""
        return replace(self.score, network=self.average)

    def state(self) -> dict[str, Tensor]:
        """Everything the next step needs: weights, average, both moments of AdamW, the count."""
        tensors = {
            f"network/{name}": value for name, value in self.score.network.state_dict().items()
        }
        tensors |= {f"average/{name}": value for name, value in self.average.state_dict().items()}
        for name, weight in self.weights.items():
            for moment, value in self.optimizer.state[weight].items():
                tensors[f"{moment}/{name}"] = value
        return tensors | {"count": torch.tensor(self.count)}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what :meth:`state` gave.

        Raises:
            KeyError: If a tensor is missing.
            RuntimeError: If a tensor has another shape.
        """
        self.score.network.load_state_dict(_under("network/", tensors))
        self.average.load_state_dict(_under("average/", tensors))
        self.count = int(tensors["count"])
        for name, weight in self.weights.items() if self.count else ():
            self.optimizer.state[weight] = {
                moment: tensors[f"{moment}/{name}"].to(weight.device)
                for moment in ("step", "exp_avg", "exp_avg_sq")
            }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
