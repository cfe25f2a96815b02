"""The ladder: upper bounds from a coupled run, all at one level, the smallest of them named."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from wasserscore.certificate.base import Limit, Rung
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.continuous import continuous_bound, steps_gap
from wasserscore.certificate.coupling import Coupled, Coupling
from wasserscore.certificate.fallback import (
    bolley_villani,
    bounded_support,
    entropy,
    moment_constant,
)
from wasserscore.certificate.offset import start_entropy, stopping
from wasserscore.certificate.reference import spread
from wasserscore.certificate.statistics import mean_limit, pilot_limit, root_mean_square, share
from wasserscore.certificate.transport import coupled_transport
from wasserscore.core.results import Estimate

ENDS = ("reference", "same_score", "same_start", "model")
"""The four runs of a coupling."""


@dataclass(frozen=True)
class Confidence:
    """How the limits of a ladder are computed.

    Args:
        level: Level at which the smallest rung holds; shared by all that can fail.
        batches: Independent batches for transport.
        diameter: Diameter of the box both laws are clipped to, data units; None leaves them as
            they are, and the limits asymptotic.
    """

    level: float
    batches: int
    diameter: float | None = None

    @property
    def kind(self) -> str:
        """The kind of the coupling's limits."""
        return "asymptotic" if self.diameter is None else "finite_sample"

    def root(self, values: Tensor, level: float) -> float:
        """Upper limit of the root of a mean of squares."""
        if self.diameter is None:
            return math.sqrt(mean_limit(values, level))
        bound = self.diameter**2
        return math.sqrt(pilot_limit(values.clamp_max(bound), bound, level))


class Added(NamedTuple):
    """A further distance on the way from the generated law to the data law."""

    name: str
    estimate: Estimate
    limit: float


def ladder(
    ends: Coupled,
    coupling: Coupling,
    confidence: Confidence,
    constant: OneSided | None = None,
) -> tuple[Rung, ...]:
    """The rungs of a coupled run; the smallest of them holds at the confidence's level.

    The error probability is shared by everything that can fail: the rungs, the error of a solved
    reference path, and for the theorem its score errors and its steps. Points that are not finite
    make a bound of infinity: valid, and vacuous.

    Args:
        ends: The coupled ends, clipped where the confidence has a diameter.
        coupling: What was coupled.
        confidence: Level, batches and kind of limit.
        constant: One-sided constant of the model's score; adds the theorem's rungs.
    """
    transport = confidence.diameter is None
    parts = 1 + transport + (ends.path_error is not None) + (0 if constant is None else 2)
    each = share(confidence.level, parts)
    added = further(ends, coupling, confidence, each)
    wide = spread(coupling.reference)
    values = {"synchronous coupling": squares(ends.reference, ends.model)}
    notes = {
        "synchronous coupling": "pairs on the same noise, the sampler as it is",
        "coupled transport": f"exact transport in {confidence.batches} batches of coupled pairs",
    }
    if transport:
        costs = coupled_transport(ends.reference, ends.model, confidence.batches)
        values["coupled transport"] = costs
    rungs = [] if constant is None else _theorem(coupling, constant, ends, confidence, each)
    for name, numbers in values.items():
        limit = confidence.root(numbers, each) + sum(a.limit for a in added)
        value = root_mean_square(numbers)
        value = replace(value, value=value.value + sum(a.estimate.value for a in added))
        upper = Limit(limit, n=numbers.numel(), level=each, kind=confidence.kind)
        rungs.append(Rung(name, upper, value, vacuous=limit > wide, note=notes[name]))
    return tuple(rungs)


def _theorem(
    coupling: Coupling, constant: OneSided, ends: Coupled, confidence: Confidence, level: float
) -> list[Rung]:
    """Theorem 1 and the fallback for the continuous-time sampler, plus what grid and stop add."""
    n, wide = len(ends.model), spread(coupling.reference)
    bound = continuous_bound(coupling, constant, n=n, level=level)
    gap, added = steps_gap(coupling, n, level)
    if coupling.grid.stop > 0:
        added += stopping(coupling.reference, coupling.grid.stop).value
    found = [
        ("theorem, Cauchy-Schwarz", bound.cauchy_schwarz, f"{constant.kind} constant"),
        ("theorem, integral", bound.integral, f"{constant.kind} constant"),
    ]
    if coupling.eta > 0:
        found.append(_fallback(coupling, ends, bound.score_matching, confidence.diameter, level))
    rungs = []
    for name, limit, note in found:
        upper = replace(limit, value=limit.value + added)
        estimate = Estimate(upper.value, n=n, status=note)
        rungs.append(
            Rung(name, upper, estimate, upper.value > wide, limit.kind != "estimated",
                 f"{note}; {gap.value:.3g} of it for the steps")
        )  # fmt: skip
    return rungs


def _fallback(
    coupling: Coupling, ends: Coupled, score_matching: float, diameter: float | None, level: float
) -> tuple[str, Limit, str]:
    """W2 from relative entropy: by the box both laws are clipped to, else by a moment."""
    reference, start = coupling.reference, 0.0
    if coupling.start == "prior":
        sigma = float(reference.process.sigma(coupling.grid.start))
        start = start_entropy(reference, coupling.grid.start, sigma)
    bits = entropy(score_matching, start, coupling.eta)
    n = len(ends.model)
    if diameter is not None:
        limit = Limit(bounded_support(bits, diameter), n=n, level=level, kind="asymptotic")
        return "fallback, bounded support", limit, f"relative entropy at most {bits:.3g} nats"
    centred = (ends.model - ends.model.mean(0)).flatten(1)
    value = bolley_villani(bits, moment_constant(centred.square().sum(1)))
    limit = Limit(value, n=n, level=level, kind="estimated")
    return "fallback, moments", limit, "exponential moment estimated"


def terms(ends: Coupled) -> dict[str, Estimate]:
    """Where the distance comes from: root-mean-square differences along the chain of runs."""
    return {
        "start": root_mean_square(squares(ends.same_start, ends.model)),
        "steps": root_mean_square(squares(ends.reference, ends.same_score)),
        "score": root_mean_square(squares(ends.same_score, ends.same_start)),
    }


def squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances of matching rows; infinite where a point is not finite."""
    return (x - y).flatten(1).square().sum(1).nan_to_num(math.inf, math.inf)


def further(
    ends: Coupled, coupling: Coupling, confidence: Confidence, level: float
) -> list[Added]:
    """Distances that come on top of the coupled ends: an early stop, a solved reference path."""
    added, stop = [], coupling.grid.stop
    if stop > 0:
        cost = stopping(coupling.reference, stop)
        added.append(Added("stop", cost, cost.value))
    if ends.start_shift > 0:
        added.append(Added("start solved", Estimate(ends.start_shift), ends.start_shift))
    if ends.path_error is not None:
        errors = ends.path_error.square()
        limit = confidence.root(errors, level)
        added.append(Added("reference path", root_mean_square(errors), limit))
    return added


def clipped(ends: Coupled, low: float, high: float) -> Coupled:
    """All ends projected on a box, coordinate by coordinate; distances can only fall."""
    boxed = {name: getattr(ends, name).clamp(low, high) for name in ENDS}
    return ends._replace(**boxed)
