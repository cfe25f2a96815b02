"""Theorem 1 and the relative-entropy fallback as rungs: continuous time, plus what a grid adds."""

from dataclasses import replace
from functools import cache

from wasserscore.certificate.assumptions import constant_assumption
from wasserscore.certificate.base import Assumption
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.continuous import ContinuousBound, continuous_bound
from wasserscore.certificate.fallback import (
    bolley_villani,
    bounded_support,
    entropy,
    moment_constant,
)
from wasserscore.certificate.falsify import falsified, falsify
from wasserscore.certificate.meetings import some_pairs
from wasserscore.certificate.offset import limited_start, start_entropy
from wasserscore.certificate.proposal import RARE, Bound, Proposal, Run
from wasserscore.certificate.reference import same_units
from wasserscore.certificate.refinement import StepsGap, steps_gap
from wasserscore.core.results import Estimate
from wasserscore.core.typing import ScoreFn
from wasserscore.score.base import ClosedFormScore

NO_STOP = (
    "without an early stop the integral of g^2 b may be infinite; set stop, or use a score that"
    " stays bounded near the data"
)
FOREIGN = "the constant is not the model's; the swapped form is for the reference's"
NEAR_DATA = Assumption(
    "near the data the score error grows at most like 1 / sigma",
    "assumed",
    "below a noise-to-signal ratio of 1e-4; there is no early stop",
)
CONSTANT = Assumption("the one-sided constant is monotone between 16,384 times", "assumed")


def theorem(run: Run) -> list[Proposal]:
    """Theorem 1 for the continuous-time sampler, plus what grid and stop add; needs a constant."""
    if run.constant is None:
        return []
    shared = _Shared(run, run.constant)
    why = obstacle(run)
    infinite = why or ("" if bounded_near_data(run) else NO_STOP)
    foreign = "" if _of_the_model(run, run.constant) else FOREIGN
    found = [
        Proposal("theorem, denoising form", shared.denoising, obstacle=why or foreign),
        # without an own weight its limit serves the fallback as well
        Proposal("theorem, Cauchy-Schwarz", shared.cauchy_schwarz, obstacle=infinite or foreign),
        # and the limits of steps and start serve all of them
        Proposal(
            "theorem, integral",
            shared.integral,
            limits=2 + limited_start(run.coupling),
            obstacle=why or foreign,
        ),
    ]
    if run.coupling.eta > 0:
        boxed = run.confidence.diameter is not None
        name = "fallback, bounded support" if boxed else "fallback, moments"
        # likelihood and steps; the rungs above count them, where they hold and have no own weight
        limits = 2 if foreign else int(run.weight is not None)
        found.append(Proposal(name, shared.fallback, limits=limits, obstacle=infinite))
    return found


def _of_the_model(run: Run, constant: OneSided) -> bool:
    score = run.coupling.score
    return score is run.coupling.reference or constant.belongs_to("model", score)


def obstacle(run: Run) -> str:
    """Why the theorem says nothing about this sampler, score or reference; empty if it does."""
    coupling = run.coupling
    if not coupling.solver.eta_law:
        return f"{coupling.solver.name} need not tend to the reverse process at its eta"
    if not same_units(coupling.score, coupling.reference):
        return "score and reference are scaled differently, so their errors cannot be compared"
    if coupling.grid.stop == 0 and coupling.reference.least_variance == 0:
        return "the reference has no density; give it a bandwidth or stop early"
    return ""


def bounded_near_data(run: Run) -> bool:
    """Whether the error's integral with weight g^2 is finite: an early stop, or smooth scores."""
    coupling = run.coupling
    return coupling.grid.stop > 0 or _smooth(coupling.score)


def _smooth(score: ScoreFn) -> bool:
    return isinstance(score, ClosedFormScore) and score.least_variance > 0


class _Shared:
    """What the theorem's rungs have in common, computed once per level."""

    def __init__(self, run: Run, constant: OneSided) -> None:
        self.run, self.constant = run, constant
        self.continuous = cache(self._continuous)
        self.gap = cache(self._gap)
        self.tried = cache(self._tried)

    def integral(self, level: float) -> Bound:
        """The integral form."""
        found = self.continuous(level)
        return self._bound(found.integral.value, found.integral.kind, level, details=found)

    def cauchy_schwarz(self, level: float) -> Bound:
        """Corollary 1: the likelihood weight, or the one that was given."""
        found = self.continuous(level).cauchy_schwarz
        bound = self._bound(found.value, found.kind, level)
        return (
            bound if self.run.weight is None else replace(bound, note=f"{bound.note}; own weight")
        )

    def denoising(self, level: float) -> Bound:
        """Corollary 3: from denoising errors alone, so weaker by the noise of their target."""
        found = self.continuous(level).denoising
        return self._bound(found.value, found.kind, level)

    def fallback(self, level: float) -> Bound:
        """W2 from relative entropy: by the box both laws are clipped to, else by a moment."""
        run, start = self.run, 0.0
        reference, grid = run.coupling.reference, run.coupling.grid
        if run.coupling.start == "prior":
            sigma = float(reference.process.sigma(grid.start))
            start = start_entropy(reference, grid.start, sigma)
        nats = entropy(self.continuous(level).score_matching, start, run.coupling.eta)
        if run.confidence.diameter is not None:
            limit = bounded_support(nats, run.confidence.diameter)
            note = f"relative entropy at most {nats:.3g} nats"
            return self._bound(limit, "asymptotic", level, note)
        centred = (run.ends.model - run.ends.model.mean(0)).flatten(1)
        limit = bolley_villani(nats, moment_constant(centred.square().sum(1)))
        return self._bound(limit, "estimated", level, "exponential moment estimated")

    def _bound(
        self,
        limit: float,
        kind: str,
        level: float,
        note: str = "",
        details: ContinuousBound | None = None,
    ) -> Bound:
        """The continuous-time bound, with steps and stop on top; ``note`` is a fallback's."""
        coupling, found = self.run.coupling, self.continuous(level)
        gap = self.gap(level)
        total = limit + gap.limit + sum(a.limit for a in self.run.fixed)
        words = note or f"{self.constant.kind} constant"
        rests: tuple[Assumption, ...] = (RARE, gap.assumption)
        if coupling.grid.stop == 0:
            rests += (NEAR_DATA,)
        if not note:
            rests += (self.tried(found.refuted), CONSTANT)
        return Bound(
            total,
            Estimate(total, n=self.run.n, status=words),
            kind,
            f"{words}; {gap.estimate.value:.3g} of it for the steps",
            rests,
            details,
        )

    def _tried(self, refuted: float) -> Assumption:
        """The constant, after a search for a violation at random times and along the coupling."""
        coupling = self.run.coupling
        if refuted > 0:
            return constant_assumption(self.constant, refuted)
        witness = falsify(self.constant, coupling.score, some_pairs(coupling))
        if witness is None:
            return constant_assumption(self.constant)
        return falsified(self.constant, witness, coupling.score, "model score")

    def _continuous(self, level: float) -> ContinuousBound:
        return continuous_bound(
            self.run.coupling, self.constant, n=self.run.n, level=level, weight=self.run.weight
        )

    def _gap(self, level: float) -> StepsGap:
        return steps_gap(self.run.coupling, self.run.n, level)
