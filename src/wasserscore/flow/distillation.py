r"""A one-step generator from a score model, without data: two denoisers and their difference.

The teacher denoises the data law, a second network (the critic) learns to denoise the generator's
own law. At :math:`x_t = \alpha_t (x + r \epsilon)` with :math:`f, g` what the two make of it,
:math:`f - g = r^2 (\nabla \log p_r - \nabla \log q_r)`: a score difference of learnt denoisers.

``dmd``
    follows it, as :mod:`wasserscore.flow.generator` follows any drift, each point's in units of
    :math:`w = mean |x - f|`: distribution matching distillation.
``sid``
    descends :math:`E |f - g|^2`, the Fisher divergence, in a form that needs no derivative of the
    critic's error: as :math:`E[x \mid x_t] = g` for the exact critic,
    :math:`E |f - g|^2 = E[(f - g) \cdot (f - x)]`, and

    .. math:: L = E\bigl[(f - g) \cdot ((f - x) - \alpha (f - g))\bigr] / w

    with the gradient through :math:`x_t`. Its value is :math:`(1 - \alpha) E|f - g|^2` at the
    exact critic, negative for the usual :math:`\alpha = 1.2`: no measure of progress.

Source: :cite:p:`yin2024`; :cite:p:`zhou2024`; identities in docs/theory/one_step.md.
"""

from typing import Any

import torch
from torch import Tensor

from wasserscore.core.random import normal_like
from wasserscore.core.tensors import expand_like
from wasserscore.core.typing import PerPoint, Points
from wasserscore.flow.generator import drift_loss
from wasserscore.training.averaged import Averaged, Measure, measured, shares, under
from wasserscore.training.denoising import Denoising
from wasserscore.training.levels import largest
from wasserscore.training.weighting import stratified

METHODS = ("dmd", "sid")
RHO = 7
LEVELS = (0.004, 160.0)
"""Noise-to-signal ratios in standard deviations of the data, cut at the horizon."""
SHARE = (0.02, 0.98)
"""Of the way between them: neither end teaches anything."""
LEAST = 1e-5
"""Smallest weight that a point's loss is divided by."""


def matching_loss(x: Points, real: Points, fake: Points) -> Tensor:
    r"""The loss whose gradient in ``x`` is :math:`-(f - g) / (w b)`, b the number of points.

    Args:
        x: Generated points ``(b, *shape)``, with gradients.
        real: The teacher's denoised points f.
        fake: The critic's g.
    """
    move = (real - fake).detach() / expand_like(_weight(x, real), x)
    return drift_loss(x.flatten(1), move.flatten(1))


def identity_loss(x: Points, real: Points, fake: Points, alpha: float) -> PerPoint:
    r""":math:`(f - g) \cdot ((f - x) - \alpha (f - g))` of every point, ``(b,)``.

    Args:
        x: Generated points ``(b, *shape)``.
        real: The teacher's denoised points f.
        fake: The critic's g.
        alpha: How much of the plain Fisher divergence is taken off.
    """
    gap = real - fake
    return (gap * ((real - x) - alpha * gap)).flatten(1).sum(1)


def _weight(x: Points, real: Points) -> PerPoint:
    return (x - real).detach().abs().flatten(1).mean(1).clamp_min(LEAST)


class Distillation:
    """Generator and critic in turns, as one task of the loop; a batch says how many points.

    Args:
        generator: The network from latents to points, and its average.
        critic: Learns to denoise what the generator makes; its score holds the process.
        teacher: A score with ``denoise``, under the same process.
        latent: Coordinates of a latent.
        method: ``"dmd"`` or ``"sid"``.
        alpha: Of ``"sid"``.
        turns: Updates of the critic per update of the generator.
        measure: See :class:`~wasserscore.flow.generator.DriftTask`.
        every: Steps between two measurements.
    """

    def __init__(
        self,
        generator: Averaged,
        critic: Denoising,
        teacher: Any,
        latent: int,
        *,
        method: str,
        alpha: float,
        turns: int,
        measure: Measure | None = None,
        every: int = 250,
    ) -> None:
        self.generator, self.critic, self.teacher, self.latent = generator, critic, teacher, latent
        self.method, self.alpha, self.turns = method, alpha, turns
        self.measure, self.every = measure, every

    def step(self, batch: Points, generator: torch.Generator) -> dict[str, float]:
        """The critic's turns, then one update of the generator.

        Every rank draws the same numbers and sends its share of the latents through the networks.

        Raises:
            InputError: If there are fewer points than ranks.
        """
        n, (mine,) = len(batch), shares(len(batch))
        critic: dict[str, float] = {}
        for _ in range(self.turns):
            with torch.no_grad():
                made = self.generator.network(self._latents(n, generator)[mine])
            points = made.new_zeros(n, *made.shape[1:])
            points[mine] = made  # of the others the critic asks the other ranks
            critic = self.critic.step(points, generator)
        self.critic.network.requires_grad_(False)
        x = self.generator.network(self._latents(n, generator)[mine])
        noise = normal_like(torch.empty(n, *x.shape[1:], dtype=x.dtype), generator)[mine]
        loss = self.loss(x, stratified(n, generator)[mine], noise.to(x.device))
        logs = self.generator.begin([loss * (len(x) / n)], shared=True)()
        self.critic.network.requires_grad_(True)
        logs["critic_loss"] = critic["loss"]
        return logs | measured(self.generator, self.measure, self.every)

    def loss(self, x: Points, uniform: PerPoint, noise: Points) -> Tensor:
        """The generator's loss at noised points, their mean.

        Args:
            x: Generated points, with gradients.
            uniform: One number of [0, 1) per point: its noise level.
            noise: Standard normal, like ``x``.
        """
        process = self.critic.score.process
        low, high = (s * self.critic.score.data_std for s in LEVELS)
        ends = [level ** (1 / RHO) for level in (low, min(high, largest(process)))]
        way = SHARE[0] + (SHARE[1] - SHARE[0]) * uniform.double()
        r = (ends[1] + way * (ends[0] - ends[1])) ** RHO
        t = process.time_at(r.square()).to(x.device)
        alpha = process.alpha(t)
        x_t = expand_like(alpha, x) * (x + expand_like(r, x) * noise)
        if self.method == "dmd":
            with torch.no_grad():
                real, fake = self.teacher.denoise(x_t, t), self.critic.score.denoise(x_t, t)
            return matching_loss(x, real, fake)
        real, fake = self.teacher.denoise(x_t, t), self.critic.score.denoise(x_t, t)
        return (identity_loss(x, real, fake, self.alpha) / _weight(x, real)).mean()

    def _latents(self, n: int, generator: torch.Generator) -> Tensor:
        like = next(iter(self.generator.weights.values()))
        z = torch.empty(n, self.latent, dtype=like.dtype)
        return normal_like(z, generator).to(like.device)

    def state(self) -> dict[str, Tensor]:
        """Both networks' states."""
        parts = {"generator": self.generator, "critic": self.critic}
        return {f"{role}/{name}": tensor for role, part in parts.items()
                for name, tensor in part.state().items()}  # fmt: skip

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what :meth:`state` gave."""
        self.generator.load_state(under("generator/", tensors))
        self.critic.load_state(under("critic/", tensors))
