"""The one loop that carries particles along a drift, from coarse to fine."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_floats, as_points, require_alike, require_shape
from wasserscore.flow.annealing import Annealing
from wasserscore.flow.difference import DriftField, LearntField
from wasserscore.flow.kernels import GAUSSIAN, Kernel
from wasserscore.flow.optimiser import Optimiser, as_optimiser
from wasserscore.flow.sides import CloudSide, ScoreSide, Side, as_side
from wasserscore.flow.state import FlowRecord, FlowState, Info

Observer = Callable[[Info, Tensor], dict[str, Any] | None]
"""Told of every step and its particles ``(n, d)``; a dictionary it returns is kept."""
MEMORIZED = 50.0
"""Pulls from fewer target points than this can lead to copies (digits in benchmarks/flows.md)."""
FAR = 1000.0
"""Times the largest coordinate of source and target: no particle that converges is so far."""
STAND_IN = 1000
"""Points drawn from a law in closed form where a schedule needs to see the target."""


@dataclass(frozen=True)
class Flow(ABC):
    """What every flow of particles shares; see :class:`ParticleFlow` for any drift.

    Args:
        bandwidths: An :class:`Annealing`, its name ("geometric", "cosine", "karras", "random"),
            or one width per step, data units.
        step: Step size a: the displacement is a times the drift.
        optimiser: ``"plain"``, ``"momentum"``, ``"adam"``, or an object.
        batch: Target points per step, drawn afresh; all by default.
        least_ess: Stop before a step whose pulls come from fewer target points than this
            (median): from few points, particles run into single ones of them.
        tolerance: Stop when particles move less than this many bandwidths (root mean square) and
            no later width is smaller.
    """

    bandwidths: Annealing | str | Sequence[float] = "geometric"
    _: KW_ONLY
    step: float = 1.0
    optimiser: str | Optimiser = "plain"
    batch: int | None = None
    least_ess: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        require(0 < self.step < math.inf, "step must be positive and finite", got=self.step)
        require(self.batch is None or self.batch >= 1, "batch must be positive", got=self.batch)
        as_optimiser(self.optimiser)
        if isinstance(self.bandwidths, str):
            object.__setattr__(self, "bandwidths", Annealing(self.bandwidths))
        if not isinstance(self.bandwidths, Annealing):
            given = as_floats(self.bandwidths, "bandwidths").double()
            widths = tuple(given.flatten().tolist())
            good = given.ndim == 1 and widths and all(0 < width < math.inf for width in widths)
            require(bool(good), "bandwidths must be positive and finite, one per step",
                    got=widths[:5] if given.ndim else widths[0],
                    do="pass a list of them, or the name of a schedule")  # fmt: skip
            object.__setattr__(self, "bandwidths", widths)

    @property
    def smoother(self) -> Kernel:
        """The kernel that makes a side of a cloud."""
        return GAUSSIAN

    @abstractmethod
    def field(self, state: FlowState, target: Side) -> tuple[DriftField, str, tuple[str, ...]]:
        """The drift, the name of its self-interaction rule, and why it was chosen."""

    def start(self, source: Any, target: Any, *, seed: int = 0) -> FlowState:
        """The state before the first step.

        Args:
            source: Particles ``(n, *shape)``: tensor, array or DataFrame, data units.
            target: As in :meth:`run`.
            seed: Of everything drawn.

        Raises:
            InputError: For points that are not finite, shapes that do not fit, or a target that
                does not tell how wide it is where the schedule has to know.
        """
        points = as_points(source, "source")
        if hasattr(target, "process"):
            require_shape(points, tuple(target.shape))
        require_alike(source=source, target=target)
        x = points.flatten(1)
        side = as_side(target, x, self.smoother)
        streams = Streams(seed)
        if isinstance(self.bandwidths, Annealing):
            given = self.bandwidths.sigma_max is not None and self.bandwidths.sigma_min is not None
            y = x if given else _seen_target(side, streams)
            widths = self.bandwidths.widths(x, y, streams)
        else:
            assert not isinstance(self.bandwidths, str)
            widths = tuple(self.bandwidths)
        return FlowState(x, 0, widths, seed, tuple(points.shape[1:]))

    def run(
        self, source: Any, target: Any, *, seed: int = 0, observe: Observer | None = None
    ) -> FlowRecord:
        """Carry the source to the target.

        Args:
            source: Particles ``(n, *shape)``: tensor, array or DataFrame, data units.
            target: Points ``(m, *shape)``; a score with a process (it is smoothed along it); or
                any function ``x -> grad log p(x)`` (it is not smoothed).
            seed: Of everything drawn: same seed, same particles.
            observe: Told of every step; what it returns is kept in the history.

        Raises:
            InputError: For input that cannot be used, or particles that diverge.
        """
        return self.resume(self.start(source, target, seed=seed), target, observe=observe)

    @torch.no_grad()
    def resume(
        self,
        state: FlowState,
        target: Any,
        *,
        steps: int | None = None,
        observe: Observer | None = None,
    ) -> FlowRecord:
        """Go on from a state, for at most ``steps`` steps; as if there had been no break."""
        side = as_side(target, state.particles, self.smoother)
        drift, rule, notes = self.field(state, side)
        if isinstance(drift, LearntField):
            drift = copy.deepcopy(drift)
            if state.learnt:
                drift.load_state({name: part.clone() for name, part in state.learnt.items()})
        history: list[Info] = []
        status, reach = "finished", _reach(state, side)
        last = len(state.widths) if steps is None else min(len(state.widths), state.k + steps)
        while state.k < last:
            after, info = self.advance(state, side, drift)
            farthest = float(after.particles.abs().max())
            require(farthest <= reach, "particles must stay near source and target",
                    got=f"one at {farthest:.3g} after step {info.k}",
                    do="take a smaller step")  # fmt: skip
            if self.least_ess is not None and info.ess_target < self.least_ess:
                status = (f"stopped before step {info.k}: {info.ess_target:.2g} target points "
                          f"behind a pull, fewer than {self.least_ess:g}")  # fmt: skip
                break
            extra = observe(info, after.particles) if observe is not None else None
            history.append(info._replace(extra=extra or {}))
            state = after
            if self._settled(state, info):
                status = f"stopped after step {info.k}: particles rest"
                break
        if isinstance(drift, LearntField):
            state = replace(state, learnt=drift.state())
        if status == "finished" and not state.finished:
            status = f"paused after {state.k} of {len(state.widths)} steps"
        found = state.particles.reshape(-1, *state.shape)
        return FlowRecord(
            found, tuple(history), rule, (*notes, *_warnings(history)), status, state
        )

    def advance(self, state: FlowState, target: Side, drift: DriftField) -> tuple[FlowState, Info]:
        """One step: the next state, and what there is to know about the step.

        Raises:
            InputError: If a particle leaves the finite numbers.
        """
        sigma, k = state.widths[state.k], state.k
        streams = Streams(state.seed).child(f"step/{k}")
        found = drift(state.particles, self._batch(target, streams), sigma, streams)
        optimiser = as_optimiser(self.optimiser)
        move, memory = optimiser(found.move, state.memory, k, sigma / state.widths[0])
        move = self.step * move
        if found.noise:
            n, d = state.particles.shape
            z = streams.normal("step", 0, n, (d,), state.particles)
            move = move + math.sqrt(self.step) * found.noise * z
        particles = state.particles + move
        bad = ~particles.isfinite().all(1)
        if bool(bad.any()):
            require(False, "particles must stay finite",
                    got=f"NaN or infinity in particle {int(bad.nonzero()[0])} at step {k}",
                    do="take a smaller step")  # fmt: skip
        moved = float(move.double().square().sum(1).mean().sqrt())
        info = Info(k, len(state.widths), sigma, moved, found.fisher, found.ess_target,
                    found.ess_source, found.self_weight, found.capped, {})  # fmt: skip
        after = FlowState(particles, k + 1, state.widths, state.seed, state.shape, memory)
        return after, info

    def _batch(self, target: Side, streams: Streams) -> Side:
        if self.batch is None or not isinstance(target, CloudSide):
            return target
        m = len(target.points)
        if self.batch >= m:
            return target
        rows = torch.randperm(m, generator=streams.generator("batch"))[: self.batch]
        return CloudSide(target.points[rows.to(target.points.device)], target.kernel)

    def _settled(self, state: FlowState, info: Info) -> bool:
        if self.tolerance is None or info.moved > self.tolerance * info.sigma:
            return False
        return min(state.widths[state.k :], default=info.sigma) >= info.sigma


@dataclass(frozen=True)
class ParticleFlow(Flow):
    """Particles along any drift: the baselines, or one of your own.

    Args:
        drift: The field; see :class:`~wasserscore.flow.difference.DriftField`. One that learns,
            such as :class:`~wasserscore.flow.Adversary`, is copied.
    """

    _: KW_ONLY
    drift: DriftField

    @property
    def smoother(self) -> Kernel:
        """The drift's kernel, if it has one."""
        kernel: Kernel = getattr(self.drift, "kernel", GAUSSIAN)
        return kernel

    def field(self, state: FlowState, target: Side) -> tuple[DriftField, str, tuple[str, ...]]:
        """The drift itself."""
        return self.drift, getattr(self.drift, "self_interaction", ""), ()


def _reach(state: FlowState, side: Side) -> float:
    """A coordinate so large that only particles of a diverging flow come to have it."""
    if not isinstance(side, CloudSide):
        return math.inf
    there = max(float(points.abs().max()) for points in (state.particles, side.points))
    return FAR * (there + max(state.widths) * math.sqrt(state.particles.shape[1]))


def _seen_target(side: Side, streams: Streams) -> Tensor:
    """Points of the target, so that a schedule can measure it."""
    if isinstance(side, CloudSide):
        return side.points
    law = side.score if isinstance(side, ScoreSide) else None
    require(hasattr(law, "sample_marginal"), "the target does not tell how wide it is",
            got="a score without samples",
            do="pass bandwidths with sigma_max and sigma_min")  # fmt: skip
    assert law is not None
    y: Tensor = law.sample_marginal(STAND_IN, generator=streams.generator("target")).flatten(1)
    return y if law.scaling is None else law.scaling.undo(y)


def _warnings(history: list[Info]) -> tuple[str, ...]:
    """What the diagnostics of a run say in words."""
    notes = []
    few = sum(info.ess_target < MEMORIZED for info in history)
    if few:
        first = next(info for info in history if info.ess_target < MEMORIZED)
        notes.append(f"{few} of {len(history)} steps, from bandwidth {first.sigma:.3g} on, saw "
                     f"fewer than {MEMORIZED:g} target points per particle (median): they can "
                     "then end on single target points, so audit them for copies.")  # fmt: skip
    alone = sum(info.self_weight > 0.9 for info in history)
    if alone:
        notes.append(f"In {alone} of {len(history)} steps a particle saw hardly anything but "
                     "itself (own weight above 0.9): there was no repulsion.")  # fmt: skip
    return tuple(notes)
