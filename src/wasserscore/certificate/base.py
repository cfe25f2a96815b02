r"""What a certificate says: rungs, terms, assumptions, and one sentence anybody can read.

Every rung is an upper bound on :math:`W_2(\text{reference law}, \text{generated law})`. Rungs
that are estimated by Monte Carlo carry the upper confidence limit of a *named kind*; the level is
shared between the rungs (Bonferroni), so that the smallest still holds at the certificate's level.
"""

import math
from dataclasses import dataclass
from typing import Any

from wasserscore.core.errors import AssumptionError, require
from wasserscore.core.results import Estimate, Record, plain

STATUSES = ("checked", "assumed", "violated")
_KINDS = {"asymptotic": " (asymptotic)", "finite_sample": " (at every sample size)"}
_PARTS = {"score": "score error", "stop": "early stop"}


@dataclass(frozen=True)
class Assumption(Record):
    """A condition that a bound rests on.

    Args:
        name: What must hold, in words.
        status: "checked" (verified in this run or true by construction), "assumed" or "violated".
        detail: How it was checked, or why it can only be assumed.
    """

    name: str
    status: str
    detail: str = ""

    def __post_init__(self) -> None:
        require(self.status in STATUSES, "status must be one of " + ", ".join(STATUSES),
                got=self.status)  # fmt: skip

    def __repr__(self) -> str:
        return f"[{self.status}] {self.name}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, repr=False)
class Limit(Estimate):
    """An upper limit: the true distance is below ``value`` with probability ``level``.

    Args:
        level: Confidence level; 1.0 for a limit that involves no Monte Carlo.
        kind: "asymptotic", "finite_sample", "deterministic", or "estimated", which is no bound.
    """

    level: float = 1.0
    kind: str = "deterministic"

    def upper(self, level: float = 0.95) -> float:
        """The limit itself, where its own level is high enough.

        Raises:
            AssumptionError: If a higher level is asked for than the limit was computed at.
        """
        if level > self.level + 1e-12:
            raise AssumptionError(f"this limit holds at level {self.level}, not {level}")
        return self.value

    def __repr__(self) -> str:
        level = f"at level {self.level:g}, {self.kind}" if self.level < 1 else self.kind
        return f"<= {self.value:.4g} {self.units} ({level})"


@dataclass(frozen=True)
class Rung(Record):
    """One upper bound on the distance.

    Args:
        name: Name on the ladder, for example "synchronous coupling".
        upper: The bound with its level and kind.
        estimate: The quantity it is the limit of, with standard error where it is sampled.
        vacuous: Whether the bound exceeds the reference's own root-mean-square spread.
        valid: False where an assumption is violated; such a rung is shown, never chosen.
        note: What the rung is, in a few words.
        assumptions: What it rests on beside what all rungs rest on.
        details: A record with more to show, such as curves over time.
    """

    name: str
    upper: Limit
    estimate: Estimate
    vacuous: bool = False
    valid: bool = True
    note: str = ""
    assumptions: tuple[Assumption, ...] = ()
    details: Record | None = None

    def __repr__(self) -> str:
        marks = ("  vacuous" if self.vacuous else "") + ("" if self.valid else "  not valid here")
        return f"{self.name:<22} <= {_number(self.upper.value):<9} [{self.estimate!r}]{marks}"


@dataclass(frozen=True)
class Certificate(Record):
    """An upper bound on W2(reference law, law of the sampler's output), and how it came about.

    Args:
        upper: The smallest valid rung; holds at ``level``.
        lower: The largest lower estimate (an estimate, not a limit).
        rungs: All upper bounds, in ladder order.
        lower_estimates: Estimates that lie below the distance up to their own error.
        terms: Where the distance comes from: "start", "steps", "score" and, where present, "stop"
            and "reference path"; root-mean-square differences along one coupling, so their sum is
            at least the synchronous rung's estimate, and a term is no bound by itself.
        assumptions: Conditions by name, each checked, assumed or violated.
        reference: The law that is meant by "reference".
        spread: Root-mean-square distance of the reference law from its mean.
        sampler: Solver, steps, eta, start and stop, in words.
        level: Confidence level of ``upper``.
        n: Number of coupled pairs.
        units: Units of every distance here.
        seed: Seed of the run.
    """

    upper: Limit
    lower: Estimate
    rungs: tuple[Rung, ...]
    lower_estimates: dict[str, Estimate]
    terms: dict[str, Estimate]
    assumptions: tuple[Assumption, ...]
    reference: str
    spread: float
    sampler: str
    level: float
    n: int
    units: str = "data units"
    seed: int = 0

    def best(self) -> Rung:
        """The smallest valid rung."""
        return smallest(self.rungs)

    @property
    def vacuous(self) -> bool:
        """Whether even the smallest bound exceeds the reference's own spread."""
        return self.best().vacuous

    @property
    def resting(self) -> tuple[Assumption, ...]:
        """What the smallest valid rung rests on: what all do, and its own."""
        best = self.best().assumptions
        others = {a for rung in self.rungs for a in rung.assumptions if a not in best}
        return tuple(a for a in self.assumptions if a not in others)

    @property
    def violated(self) -> tuple[Assumption, ...]:
        """What the smallest rung rests on and this run contradicts: with any, not valid."""
        return tuple(a for a in self.resting if a.status == "violated")

    @property
    def certified(self) -> bool:
        """Whether nothing is left to believe.

        True where everything the smallest rung rests on is checked and its limit holds at every
        sample size; never for an asymptotic limit or an estimated constant.
        """
        proved = self.best().upper.kind in ("finite_sample", "deterministic")
        return proved and all(a.status == "checked" for a in self.resting)

    @property
    def shares(self) -> dict[str, float]:
        """The bound, shared out in proportion to the terms along the coupling."""
        total = sum(e.value for e in self.terms.values())
        if not (0 < total < math.inf and math.isfinite(self.upper.value)):
            return {name: e.value for name, e in self.terms.items()}
        return {name: self.upper.value * e.value / total for name, e in self.terms.items()}

    def reading(self) -> str:
        """The certificate in plain words."""
        best = self.best()
        first, *more = sorted(self.shares.items(), key=lambda item: -item[1])
        parts = [f"{_number(first[1])} of it is {_PARTS.get(first[0], first[0])}"]
        parts += [f"{_number(value)} {_PARTS.get(name, name)}" for name, value in more]
        kind = _KINDS.get(best.upper.kind, "")
        below = _number(self.lower.value)
        below += f" ± {self.lower.stderr:.2g}" if self.lower.stderr else ""
        words = (
            f"With {100 * self.level:g} % confidence{kind} the sampler's law is "
            f"within {_number(self.upper.value)} of {self.reference} in W2 ({self.units}), "
            f"by {best.name}; {', '.join(parts)}. "
            f"From below it is estimated, no bound, at {below}."
        )
        if self.vacuous:
            words += (
                f" The bound is vacuous: the reference's own spread is {_number(self.spread)},"
                " so it says nothing yet; use more steps, a better score or more pairs."
            )
        if self.violated:
            words += " NOT VALID, violated: " + "; ".join(a.name for a in self.violated) + "."
        return words

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON types, with the best rung, the verdict and the sentence added.

        Where anything is ``violated``, neither the certificate nor a rung of it is "valid".
        """
        valid = not self.violated
        return super().to_dict() | {
            "rungs": [r.to_dict() | {"valid": r.valid and valid} for r in self.rungs],
            "valid": valid,
            "best": self.best().name,
            "vacuous": self.vacuous,
            "shares": plain(self.shares),
            "certified": self.certified,
            "reading": self.reading(),
        }

    def __repr__(self) -> str:
        lines = [self.reading(), f"  sampler: {self.sampler}", "  upper bounds:"]
        lines += [f"    {rung!r}" for rung in self.rungs]
        lines += ["  lower estimates:"]
        lines += [f"    {name:<22} {e!r}" for name, e in self.lower_estimates.items()]
        lines += ["  terms:"] + [f"    {name:<22} {e!r}" for name, e in self.terms.items()]
        lines += ["  assumptions:"] + [f"    {a!r}" for a in self.assumptions]
        return "\n".join(lines)


def smallest(rungs: tuple[Rung, ...]) -> Rung:
    """The smallest valid rung.

    Raises:
        AssumptionError: If no rung is valid.
    """
    valid = [r for r in rungs if r.valid and not math.isnan(r.upper.value)]
    if not valid:
        raise AssumptionError("no rung is valid: see the assumptions marked violated")
    return min(valid, key=lambda rung: rung.upper.value)


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else str(value)
