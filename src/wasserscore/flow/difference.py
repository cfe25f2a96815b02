r"""The score difference as a drift of particles.

.. math:: V(x) = \sigma^2 (\nabla \log p_\sigma - \nabla \log q_\sigma)(x), \qquad
          x \leftarrow x + a\,c(x)\,V(x)

``p`` is the target, ``q`` the law of the particles, both smoothed to noise level sigma. Among all
fields the score difference is the steepest descent of KL(q || p):
:math:`\frac{d}{dt} KL(q_t \| p) = -E_{q_t} |\nabla \log p - \nabla \log q_t|^2` along
:math:`dx/dt = \nabla \log p - \nabla \log q_t`. A step here is one of length
:math:`a \sigma^2` in that time; the weight ``c`` turns KL into other divergences.

The stochastic family :math:`dx = (\nabla \log p - (1 - \lambda) \nabla \log q_t) dt
+ \sqrt{2 \lambda}\,dw` has the same marginals at every :math:`\lambda`: 0 is the flow, 1 Langevin.

Source: :cite:p:`weber2023`; constants derived in docs/theory/flow.md.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import Streams
from wasserscore.flow.divergence import known_divergence, weight
from wasserscore.flow.interaction import RULES, Seen, queries, seen
from wasserscore.flow.kernels import GAUSSIAN, Kernel
from wasserscore.flow.sides import CloudSide, Pull, Side


class Drift(NamedTuple):
    """What moves the particles, and what there is to know about it (NaN where it is not known).

    Args:
        move: Displacement of a step of size one, ``(n, d)``.
        noise: Standard deviation of the noise of such a step.
        fisher: Mean square of the score difference (relative Fisher information, no factor 1/2).
        ess_target: Median effective number of target points behind a particle's pull.
        ess_source: Likewise of particles.
        self_weight: Median share of a particle in its own softmax.
        capped: Share of particles whose source pull was cut.
    """

    move: Tensor
    noise: float = 0.0
    fisher: float = math.nan
    ess_target: float = math.nan
    ess_source: float = math.nan
    self_weight: float = math.nan
    capped: float = 0.0


@runtime_checkable
class DriftField(Protocol):
    """A drift: particles and a target in, displacements out.

    Anything that moves points towards a law has this form, so it drives the particles of a
    :class:`~wasserscore.flow.particles.ParticleFlow` and the samples of a generator alike.
    """

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """The drift of particles ``x (n, d)`` at width ``sigma``; noise comes from ``streams``."""
        ...


@runtime_checkable
class LearntField(DriftField, Protocol):
    """A drift that learns while it is followed: what follows it keeps its state with its own."""

    def state(self) -> dict[str, Tensor]:
        """Everything its next step needs."""
        ...

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Continue from a state."""
        ...


@dataclass(frozen=True)
class ScoreDifference:
    r"""The drift of the score-difference flow.

    Args:
        kernel: What smooths clouds.
        self_interaction: A rule of :mod:`wasserscore.flow.interaction`.
        divergence: A name of :mod:`wasserscore.flow.divergence`; its weight needs densities on
            both sides.
        stochasticity: :math:`\lambda`, non-negative; only for ``"reverse_kl"``.
        draws: Noise draws per particle under ``"noised"``.

    Raises:
        InputError: For a name that is not known, or numbers out of range.
    """

    kernel: Kernel = GAUSSIAN
    self_interaction: str = "keep"
    divergence: str = "reverse_kl"
    stochasticity: float = 0.0
    draws: int = 1

    def __post_init__(self) -> None:
        require(self.self_interaction in RULES, "unknown self_interaction",
                got=repr(self.self_interaction), do=f"use one of {', '.join(RULES)}")  # fmt: skip
        known_divergence(self.divergence)
        require(0 <= self.stochasticity < math.inf, "stochasticity must be non-negative",
                got=self.stochasticity)  # fmt: skip
        plain = self.stochasticity == 0 or self.divergence == "reverse_kl"
        require(plain, "only reverse_kl has a stochastic family", got=self.divergence)
        object.__setattr__(self, "draws", as_integer(self.draws, "draws"))

    def __call__(
        self,
        x: Tensor,
        target: Side,
        sigma: float,
        streams: Streams,
        /,
        source: Side | None = None,
    ) -> Drift:
        """The drift of particles ``x`` at smoothing ``sigma``.

        Args:
            x: Particles ``(n, d)``.
            target: Where to.
            sigma: The smoothing, in data units.
            streams: Noise and halves of this step.
            source: The law of the particles: None estimates it from ``x`` by the rule; an
                independent cloud of it, or a score, needs no rule.

        Raises:
            InputError: For clouds that another kernel smooths: their proxies would differ.
        """
        for side in (target, source):
            other = isinstance(side, CloudSide) and side.kernel != self.kernel
            require(not other, "both sides must be smoothed by the drift's kernel",
                    got=f"{getattr(side, 'kernel', None)} beside {self.kernel}")  # fmt: skip
        draws = self.draws if self.self_interaction == "noised" else 1
        found = [self._at(x, queries(self.self_interaction, x, sigma, streams, k), target, sigma,
                          streams, source) for k in range(draws)]  # fmt: skip
        if draws == 1:
            return found[0]
        return Drift(*(sum(values) / draws for values in zip(*found, strict=True)))

    def _at(
        self,
        x: Tensor,
        z: Tensor,
        target: Side,
        sigma: float,
        streams: Streams,
        source: Side | None,
    ) -> Drift:
        """The drift of particles ``x`` with the field asked at ``z``."""
        towards = target(z, sigma)
        if source is None:
            law = seen(self.self_interaction, x, z, self.kernel, sigma, streams)
        else:
            law = Seen(source(z, sigma), math.nan, 0.0)
        away = law.pull
        difference = towards.pull - away.pull
        fisher = float(difference.double().square().sum(1).mean()) / sigma**4
        move = difference
        if self.stochasticity:
            move = towards.pull - (1 - self.stochasticity) * away.pull
        if self.divergence != "reverse_kl":
            move = self._weight(towards, away)[:, None] * move
        curvature = self.kernel.curvature(x.shape[1])
        noise = sigma * math.sqrt(2 * self.stochasticity / curvature)
        return Drift(move / curvature, noise, fisher, _median(towards.ess), _median(away.ess),
                     law.self_weight, law.capped)  # fmt: skip

    def _weight(self, towards: Pull, away: Pull) -> Tensor:
        known = towards.log_density is not None and away.log_density is not None
        require(known, f"divergence {self.divergence!r} needs densities on both sides",
                got="a score without one", do="use divergence='reverse_kl'")  # fmt: skip
        assert towards.log_density is not None
        assert away.log_density is not None
        return weight(self.divergence, away.log_density - towards.log_density)


def _median(ess: Tensor | None) -> float:
    return math.nan if ess is None else float(ess.median())
