"""What a rung is made from, and the form in which a provider offers one.

A *provider* is a function from a :class:`Run` to :class:`Proposal` objects. A proposal is lazy: it
first says how many confidence limits it will draw, and only computes them once the ladder knows at
which level each must hold so that all hold together. A new kind of rung is a new provider in a
file of its own and one name in the list of :mod:`wasserscore.certificate.ladder`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupled, Coupling
from wasserscore.certificate.offset import stopping
from wasserscore.certificate.statistics import mean_limit, pilot_limit, root_mean_square
from wasserscore.certificate.variance import freed
from wasserscore.core.results import Estimate, Record

ENDS = ("reference", "same_score", "same_start", "model")
"""The four runs of a coupling."""
RARE = Assumption(
    "no unseen rare jumps",
    "assumed",
    "the limits are asymptotic; a jump rarer than about 3 in n may not be seen",
)


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
            return math.sqrt(max(mean_limit(values, level), 0.0))
        bound = self.diameter**2
        return math.sqrt(pilot_limit(values.clamp_max(bound), bound, level))


class Added(NamedTuple):
    """A further distance on the way from the generated law to the data law."""

    name: str
    estimate: Estimate
    limit: float


@dataclass(frozen=True)
class Run:
    """One coupled run, and how limits are drawn from it: all a provider may use.

    Args:
        coupling: What was coupled.
        ends: The coupled ends, clipped where the confidence has a diameter.
        confidence: Level, batches and kind of limit.
        constant: One-sided constant of the model's score, where one is known.
        beyond: Distance from the reference law to the law that is meant, on top of every rung.
        cloud: Points of each cloud of the restarted transport; 0 for no such rung.
        weight: lambda(t) of the theorem's Cauchy-Schwarz form; None is g^2.
    """

    coupling: Coupling
    ends: Coupled
    confidence: Confidence
    constant: OneSided | None = None
    beyond: float = 0.0
    cloud: int = 0
    weight: Callable[[Tensor], Tensor] | None = None

    @property
    def n(self) -> int:
        """Number of coupled pairs."""
        return len(self.ends.model)

    @cached_property
    def squares(self) -> Tensor:
        """Squared distances of the pairs, freed by control variates where limits allow it.

        Limits that hold at every n need numbers in a known range, and get them as they are.
        """
        plain = squares(self.ends.reference, self.ends.model)
        return plain if self.confidence.diameter is not None else freed(plain, self.coupling)

    @property
    def limits(self) -> int:
        """Confidence limits that the run itself needs: the error of a solved reference path."""
        return int(self.ends.path_error is not None)

    @property
    def fixed(self) -> list[Added]:
        """What comes on top of every rung: an early stop, and a law beyond the reference."""
        found, stop = [], self.coupling.grid.stop
        if stop > 0:
            cost = stopping(self.coupling.reference, stop)
            found.append(Added("stop", cost, cost.value))
        if self.beyond > 0:
            found.append(Added("smoothing", Estimate(self.beyond), self.beyond))
        return found

    def added(self, level: float) -> list[Added]:
        """What comes on top of coupled ends: the fixed part, a solved start, a solved path."""
        found, shift = [], self.ends.start_shift
        if shift > 0:
            found.append(Added("start solved", Estimate(shift), shift))
        if self.ends.path_error is not None:
            errors = self.ends.path_error.square()
            limit = self.confidence.root(errors, level)
            found.append(Added("reference path", root_mean_square(errors), limit))
        return self.fixed + found


@dataclass(frozen=True)
class Bound:
    """What a proposal proves.

    Args:
        limit: The upper bound, data units.
        estimate: The quantity it is the limit of.
        kind: "asymptotic", "finite_sample", "deterministic", or "estimated" for what is no bound.
        note: What the rung is, in a few words.
        assumptions: What this rung rests on beside what all of them rest on.
        details: A record with more to show, such as curves over time.
    """

    limit: float
    estimate: Estimate
    kind: str
    note: str
    assumptions: tuple[Assumption, ...] = ()
    details: Record | None = None


@dataclass(frozen=True)
class Proposal:
    """A rung that can be computed once its level is known.

    Args:
        name: Name on the ladder.
        prove: From the level that each of its limits must hold at to the bound.
        limits: How many confidence limits ``prove`` draws; limits that proposals of one provider
            share are counted by one of them.
        obstacle: Why there is no such bound here, in words; empty where there is. A rung with an
            obstacle is shown as not valid, with this reason, and costs no share of the level.
    """

    name: str
    prove: Callable[[float], Bound]
    limits: int = 1
    obstacle: str = ""


Provider = Callable[[Run], list[Proposal]]
"""From a coupled run to the rungs that it allows."""


def squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances of matching rows; infinite where a point is not finite."""
    return (x - y).flatten(1).square().sum(1).nan_to_num(math.inf, math.inf)


def clipped(ends: Coupled, low: float, high: float) -> Coupled:
    """All ends projected on a box, coordinate by coordinate; distances can only fall."""
    boxed: dict[str, Any] = {name: getattr(ends, name).clamp(low, high) for name in ENDS}
    return ends._replace(**boxed)
