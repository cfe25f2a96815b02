r"""A one-step generator as a task of the training loop: follow the drift, without looking at it.

Where each generated point should go is the drift's business; the network only fits that:

.. math:: L = \frac12\,\frac1b \sum_i \bigl| G(z_i) - \mathrm{stop}(G(z_i) + a V(G(z_i))) \bigr|^2,
          \qquad \nabla_\theta L = -\frac ab \sum_i J_\theta(z_i)^T V(G(z_i)) .

With V the score difference at noised points this is the gradient of
:math:`a \sigma^2 KL(q_\sigma \| p_\sigma)`. Differentiating through V would be another objective.

Source: :cite:p:`weber2023`; :cite:p:`deng2026`.
"""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wasserscore.core.distributed import total
from wasserscore.core.random import Streams, normal_like
from wasserscore.core.typing import Cloud, Points
from wasserscore.flow.difference import DriftField, LearntField
from wasserscore.flow.features import FeatureMap
from wasserscore.flow.kernels import GAUSSIAN, Kernel
from wasserscore.flow.sides import CloudSide
from wasserscore.training.averaged import Averaged, Measure, measured, shares, under
from wasserscore.training.schedule import Schedule


class View(NamedTuple):
    """One feature map and how drifts are taken in it.

    Args:
        feature: Points to features.
        widths: The drift's bandwidth at every step, in units of the feature.
        unit: Spread of the target's features, which the loss is counted in.
    """

    feature: FeatureMap
    widths: Sequence[float]
    unit: float


def drift_loss(features: Cloud, move: Cloud) -> Tensor:
    """Half of the mean squared distance to where the drift points; the aim is a constant.

    Args:
        features: Of generated points ``(b, k)``, with gradients.
        move: Displacements ``(b, k)``.
    """
    aim = (features + move).detach()
    return (features - aim).square().sum(1).mean() / 2


class DriftTask(Averaged):
    """A generator that follows a drift.

    Args:
        network: Latents ``(b, latent)`` to points.
        latent: Coordinates of a latent.
        drift: Where points go; one that learns is copied.
        views: The feature maps.
        schedule: Learning rate and averaging.
        step: Step size a.
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        measure: Asked about the averaged network every so many steps; see ``every``.
        every: Steps between two measurements.
    """

    def __init__(
        self,
        network: nn.Module,
        latent: int,
        drift: DriftField,
        views: Sequence[View],
        schedule: Schedule,
        *,
        step: float,
        weight_decay: float,
        clip: float,
        measure: Measure | None = None,
        every: int = 250,
    ) -> None:
        super().__init__(network, schedule, weight_decay, clip)
        self.latent, self.views, self.size = latent, views, step
        self.drift = copy.deepcopy(drift)
        self.measure, self.every = measure, every

    def step(self, batch: Points, generator: torch.Generator) -> dict[str, float]:
        """One update; without one where the loss or its gradient is not finite (the logs say).

        Every rank draws the same numbers and sends its share of the latents through the network.

        Raises:
            InputError: If there are fewer points than ranks.
        """
        z = normal_like(batch.new_empty(len(batch), self.latent), generator).to(self.device)
        streams = Streams(int(torch.randint(2**62, (), generator=generator)))
        k = self.count
        loss, logs = self.loss(z, batch.to(self.device), k, streams)
        logs |= self.begin([loss], shared=True)()
        return logs | measured(self, self.measure, self.every)

    def loss(
        self, z: Cloud, batch: Points, k: int, streams: Streams
    ) -> tuple[Tensor, dict[str, float]]:
        """This rank's part of the loss of step ``k``, and what the drift says of itself.

        The drift looks at all points, so every rank computes it from all features.

        Args:
            z: Latents ``(b, latent)``.
            batch: Points of the target.
            k: The step, which sets the bandwidths.
            streams: Noise of the drift.
        """
        (mine,) = shares(len(z))
        points = self.network(z[mine])
        loss, logs = points.new_zeros(()), {}
        for i, view in enumerate(self.views):
            features = view.feature(points)
            with torch.no_grad():
                there = CloudSide(view.feature(batch), self._kernel)
                here = features.new_zeros(len(z), features.shape[1])
                here[mine] = features.detach()
                found = self.drift(total(here), there, view.widths[k], streams.child(f"{i}"))
            part = drift_loss(features, self.size * found.move[mine]) * (len(points) / len(z))
            loss = loss + part / view.unit**2
            if i == 0:
                known = {"fisher": found.fisher, "ess_target": found.ess_target}
                logs = {name: value for name, value in known.items() if math.isfinite(value)}
                logs["bandwidth"] = view.widths[k]
        return loss, logs

    def state(self) -> dict[str, Tensor]:
        """The generator's state, and the drift's if it learns."""
        learnt = self.drift.state() if isinstance(self.drift, LearntField) else {}
        return super().state() | {f"drift/{name}": value for name, value in learnt.items()}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what :meth:`state` gave."""
        super().load_state(tensors)
        if isinstance(self.drift, LearntField):
            self.drift.load_state(under("drift/", tensors))

    @property
    def _kernel(self) -> Kernel:
        kernel: Kernel = getattr(self.drift, "kernel", GAUSSIAN)
        return kernel
