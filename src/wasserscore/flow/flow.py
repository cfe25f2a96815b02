"""``ScoreDifferenceFlow``: any source to any target, with nothing to train."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.flow.difference import Drift, DriftField, ScoreDifference
from wasserscore.flow.interaction import RULES
from wasserscore.flow.kernels import Kernel, as_kernel
from wasserscore.flow.particles import Flow
from wasserscore.flow.sides import CloudSide, ScoreSide, Side
from wasserscore.flow.state import FlowState
from wasserscore.kernel import Keys

LOOKED_AT = 500
"""Target points at which the rule is chosen."""
ALONE = 0.5
"""Own weight from which a particle is taken to see mostly itself."""


@dataclass(frozen=True)
class ScoreDifferenceFlow(Flow):
    r"""Particles that descend KL to the target along the score difference.

    .. math:: x \leftarrow x + a\,\sigma_k^2 (\nabla \log p_{\sigma_k}
              - \nabla \log q_{\sigma_k})(x)

    with both laws smoothed to the bandwidth of the step, from coarse to fine. The target may be
    points, a score, or a gradient; the law of the particles is estimated from them, or given.

    Source: :cite:p:`weber2023`.

    Args:
        kernel: ``"gaussian"``, ``"inverse_multiquadric"``, ``"laplace"``, ``"student_t"``, or a
            kernel object, such as ``Widths((0.5, 1, 2))``.
        self_interaction: What particles see of themselves: ``"keep"``, ``"leave_one_out"``,
            ``"noised"``, ``"independent"`` (:mod:`wasserscore.flow.interaction`); None keeps, or
            takes noised where particles would see mostly themselves, and the record says why.
        divergence: What is descended, a name of :mod:`wasserscore.flow.divergence`.
        stochasticity: 0 is the flow, 1 Langevin, any other the same marginals.
        draws: Noise draws per particle under ``"noised"``.
        source_score: The law of the particles where it is known: a score with a process (kept as
            it is), or a function that makes a side of the particles at every step.

    Raises:
        InputError: For a name that is not known, or numbers out of range.
    """

    _: KW_ONLY
    kernel: str | Kernel = "gaussian"
    self_interaction: str | None = None
    divergence: str = "reverse_kl"
    stochasticity: float = 0.0
    draws: int = 1
    source_score: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._drift(self.self_interaction or RULES[0])

    @property
    def smoother(self) -> Kernel:
        """The kernel of both sides."""
        return as_kernel(self.kernel)

    def field(self, state: FlowState, target: Side) -> tuple[DriftField, str, tuple[str, ...]]:
        """The score difference, under the rule asked for or the one that fits the target."""
        if self.source_score is not None:
            drift, law = self._drift(RULES[0]), self.source_score
            make = (lambda x: ScoreSide(law)) if hasattr(law, "process") else law
            return _KnownSource(drift, make), "", ()
        if self.self_interaction is not None:
            return self._drift(self.self_interaction), self.self_interaction, ()
        rule, why = self._choose(state, target)
        return self._drift(rule), rule, (why,)

    def _drift(self, rule: str) -> ScoreDifference:
        return ScoreDifference(as_kernel(self.kernel), rule, self.divergence,
                               self.stochasticity, self.draws)  # fmt: skip

    def _choose(self, state: FlowState, target: Side) -> tuple[str, str]:
        """Keep, unless a particle among others like the target would see mostly itself."""
        n, d = state.particles.shape
        sigma = min(state.widths)
        if not isinstance(target, CloudSide) or len(target.points) < 2:
            return (
                "keep",
                f"self_interaction keep in {d} dimensions: a score stands for the target.",
            )
        stand_in = target.points[:: -(-len(target.points) // LOOKED_AT)]
        others = self.smoother.sums(stand_in, Keys(stand_in), sigma, leave_one_out=True)
        own = float((1 / (1 + (n - 1) * others.log_mean.exp())).median())
        size = float((1 + (n - 1) * others.log_mean.exp()).median())
        rule = "keep" if own <= ALONE else "noised"
        return rule, (f"self_interaction {rule} in {d} dimensions: at the last bandwidth, "
                      f"{sigma:.3g}, a particle like the target has {own:.2g} of its own softmax "
                      f"among {n} (about {size:.3g} neighbours' worth of weight).")  # fmt: skip


@dataclass(frozen=True)
class _KnownSource:
    """The score difference with a source side made of the particles at every step."""

    drift: ScoreDifference
    make: Callable[[Tensor], Side]

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """The drift against the known law."""
        return self.drift(x, target, sigma, streams, source=self.make(x))
