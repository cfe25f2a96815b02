"""The ladder: upper bounds from a coupled run, all at one level, the smallest of them named."""

import math

from wasserscore.certificate.base import Limit, Rung
from wasserscore.certificate.convergence_rung import converged
from wasserscore.certificate.insight import insight
from wasserscore.certificate.linear_rung import linear
from wasserscore.certificate.moments import exact_moments
from wasserscore.certificate.pairs import restarted, synchronous, transport
from wasserscore.certificate.proposal import Bound, Proposal, Provider, Run, squares
from wasserscore.certificate.reference import same_units
from wasserscore.certificate.statistics import root_mean_square, share
from wasserscore.certificate.swapped_restart import swapped_restarted
from wasserscore.certificate.swapped_rung import swapped
from wasserscore.certificate.theorem_rungs import theorem
from wasserscore.core.results import Estimate

PROVIDERS: tuple[Provider, ...] = (
    theorem, linear, swapped, swapped_restarted, converged, insight,
    synchronous, transport, restarted, exact_moments,
)  # fmt: skip
"""Whatever may offer a rung, in ladder order."""


def ladder(run: Run, wide: float) -> tuple[Rung, ...]:
    """The rungs of a coupled run; the smallest of them holds at the confidence's level.

    The error probability is shared by everything that can fail (Bonferroni): all limits of all
    proposals, and the error of a solved reference path. A proposal that meets an obstacle is shown
    with its reason and costs nothing. Points that are not finite make a bound of infinity: valid,
    and vacuous.

    Args:
        run: The coupled run.
        wide: The reference's own spread, data units; a bound above it is vacuous.
    """
    proposals = [p for provider in PROVIDERS for p in provider(run)]
    parts = run.limits + sum(p.limits for p in proposals if not p.obstacle)
    level = share(run.confidence.level, parts)
    return tuple(_rung(proposal, run.n, level, wide) for proposal in proposals)


def _rung(proposal: Proposal, n: int, level: float, wide: float) -> Rung:
    if proposal.obstacle:
        found = Bound(math.inf, Estimate(math.inf, n=n, status="not computed"), "estimated",
                      f"no bound here: {proposal.obstacle}")  # fmt: skip
    else:
        found = proposal.prove(level)
    violated = any(a.status == "violated" for a in found.assumptions)
    numbers = found.estimate.n or n
    return Rung(
        proposal.name,
        Limit(found.limit, n=numbers, level=level, kind=found.kind),
        found.estimate,
        vacuous=found.limit > wide,
        valid=found.kind != "estimated" and not violated,
        note=found.note,
        assumptions=found.assumptions,
        details=found.details,
    )


def terms(run: Run) -> dict[str, Estimate]:
    """Where the distance comes from: root-mean-square differences along the chain of runs.

    A start in the reference's coordinates means nothing to a score with a scaling of its own;
    then score and start cannot be told apart.
    """
    ends = run.ends
    found = {
        "start": squares(ends.same_start, ends.model),
        "steps": squares(ends.reference, ends.same_score),
        "score": squares(ends.same_score, ends.same_start),
    }
    if not same_units(run.coupling.score, run.coupling.reference):
        found = {
            "steps": found["steps"],
            "score and start": squares(ends.same_score, ends.model),
        }
    return {name: root_mean_square(values) for name, values in found.items()}
