r"""The score difference as a classifier learns it, and the losses of GANs.

The best classifier between target and particles, both noised to sigma, is
:math:`D = p_\sigma / (p_\sigma + q_\sigma)`; the gradient of its logit is the score difference. So
a classifier that is told sigma, and trained while particles or a generator move, is a drift:

.. math:: V(x) = \sigma^2\,c(z)\,\nabla_z\,\mathrm{logit}\,D(z, \sigma), \qquad
          z = x + \sigma \epsilon

With c = 1 it follows KL(q || p) itself. With the weight of a GAN's loss
(:mod:`wasserscore.flow.divergence`) :math:`V / \sigma^2` is the gradient of that loss in the
generated point. It lags behind the particles, and with few target points it learns them by heart.

Source: :cite:p:`weber2023` (the claim); the identities are checked by automatic differentiation.
"""

import math

import torch
from torch import Tensor, nn

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.modes import gradients
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.flow.baselines import points_of
from wasserscore.flow.difference import Drift
from wasserscore.flow.divergence import known_divergence, weight
from wasserscore.flow.sides import Side
from wasserscore.training.averaged import Averaged
from wasserscore.training.denoising import CLIP
from wasserscore.training.schedule import Schedule
from wasserscore.training.weighting import stratified

AVERAGED = 0.9
"""How much of the averaged weights survives an update: the particles move on."""


class Adversary(Averaged):
    r"""A drift that is learnt by telling target points from particles.

    It has a state. Whoever follows it follows a copy, so one object can be used many times.

    Args:
        network: ``L(x (b, d), c_noise (b,)) -> (b,)``, smooth, for example
            ``ws.networks.LogitMLP``; it is copied.
        divergence: A name of :mod:`wasserscore.flow.divergence`, the GAN losses among them.
        turns: Updates of the classifier per step; 0 leaves a trained one as it is.
        batch_size: Points of either side per update, at most.
        learning_rate: Of AdamW, constant.
        spread: About the standard deviation of the points; 1 in model units.

    Raises:
        InputError: For a name that is not known, or numbers out of range.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        divergence: str = "reverse_kl",
        turns: int = 1,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        spread: float = 1.0,
    ) -> None:
        self.divergence = known_divergence(divergence)
        turns = as_integer(turns, "turns", least=0)
        batch_size = as_integer(batch_size, "batch_size")
        for name, value in (("learning_rate", learning_rate), ("spread", spread)):
            require(0 < value < math.inf, f"{name} must be positive and finite", got=value)
        self.turns, self.batch_size, self.spread = turns, batch_size, spread
        super().__init__(network, Schedule(None, learning_rate, AVERAGED), 0.0, CLIP)

    def __repr__(self) -> str:
        settings: dict[str, object] = {"divergence": self.divergence, "turns": self.turns,
                    "batch_size": self.batch_size, "spread": self.spread,
                    "learning_rate": self.schedule.learning_rate}  # fmt: skip
        written = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return f"Adversary({type(self.network).__name__}, {written})"

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """Some updates of the classifier, then the weighted gradient of its logit.

        Raises:
            InputError: For a target that is not a cloud.
        """
        if self.turns:
            y = points_of(target, "a classifier").points
            for turn in range(self.turns):
                self.learn(x, y, sigma, streams.child(f"turn/{turn}"))
        z = x + sigma * streams.normal("query", 0, len(x), tuple(x.shape[1:]), x)
        logit, slope = self.slope(z, sigma)
        fisher = float(slope.double().square().sum(1).mean())
        return Drift(sigma**2 * weight(self.divergence, -logit)[:, None] * slope, fisher=fisher)

    def learn(self, x: Cloud, y: Tensor, sigma: float, streams: Streams) -> dict[str, float]:
        r"""One update at noise levels between :math:`\sigma / 2` and :math:`2 \sigma`.

        Neighbouring levels prepare the classifier for the next step's.

        Args:
            x: Particles ``(n, d)``.
            y: Points of the target ``(m, d)``.
            sigma: The level of this step.
            streams: Rows, levels and noise.
        """
        like = next(iter(self.weights.values()))
        losses = []
        for side, points, sign in (("target", y, -1), ("source", x, 1)):
            generator = streams.generator(side)
            rows = torch.randperm(len(points), generator=generator)[: self.batch_size]
            chosen = points[rows.to(points.device)].to(like)
            levels = (sigma * 2 ** (2 * stratified(len(chosen), generator) - 1)).to(like)
            noise = streams.normal(f"{side} noise", 0, len(chosen), tuple(x.shape[1:]), chosen)
            with gradients("an adversary"):
                logit = self.logit(self.network, chosen + levels[:, None] * noise, levels)
                losses.append(nn.functional.softplus(sign * logit).mean())
        with gradients("an adversary"):
            return self.descend([losses[0] + losses[1]])

    def slope(self, z: Cloud, sigma: float) -> tuple[PerPoint, Cloud]:
        """The averaged classifier's logit and its gradient, where points carry noise ``sigma``."""
        like = next(iter(self.weights.values()))
        levels = torch.full((len(z),), sigma, dtype=like.dtype, device=like.device)
        with gradients("an adversary"):
            at = z.detach().to(like).requires_grad_()
            logit = self.logit(self.average, at, levels)
            (found,) = torch.autograd.grad(logit.sum(), at)
        return logit.detach().to(z), found.to(z)

    def logit(self, network: nn.Module, z: Cloud, levels: PerPoint) -> PerPoint:
        """A network at points of unit size, told the logarithm of their noise."""
        size = (self.spread**2 + levels.square()).sqrt()
        found: Tensor = network(z / size[:, None], (levels / self.spread).log() / 4)
        return found
