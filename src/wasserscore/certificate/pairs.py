"""Rungs from coupled points: synchronous coupling, coupled transport, restarted transport."""

from dataclasses import replace

from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import RARE, Added, Bound, Proposal, Run, squares
from wasserscore.certificate.restart import restarted_transport
from wasserscore.certificate.statistics import root_mean_square
from wasserscore.certificate.transport import coupled_transport
from wasserscore.score import ProximalScore


def synchronous(run: Run) -> list[Proposal]:
    """The mean square of the coupled differences."""
    note = "pairs on the same noise, the sampler as it is"

    def prove(level: float) -> Bound:
        return _from_squares(run, squares(run.ends.reference, run.ends.model), note, level)

    return [Proposal("synchronous coupling", prove)]


def transport(run: Run) -> list[Proposal]:
    """Exact transport within batches; none for clipped laws, whose limits would be asymptotic."""
    batches = run.confidence.batches
    if run.confidence.diameter is not None:
        return []
    note = f"exact transport in {batches} batches of coupled pairs"

    def prove(level: float) -> Bound:
        costs = coupled_transport(run.ends.reference, run.ends.model, batches)
        return _from_squares(run, costs, note, level)

    return [Proposal("coupled transport", prove)]


def restarted(run: Run) -> list[Proposal]:
    """Clouds paired anew where modes are chosen; where asked for, and for unclipped laws."""
    batches = run.confidence.batches
    if run.cloud == 0 or run.confidence.diameter is not None:
        return []
    note = f"{batches} pairs of clouds of {run.cloud} points, paired anew late in the run"

    def prove(level: float) -> Bound:
        costs = restarted_transport(run.coupling, run.cloud, batches)
        return _from_squares(run, costs, note, level, run.fixed)

    return [Proposal("restarted transport", prove, obstacle=_obstacle(run.coupling))]


def _obstacle(coupling: Coupling) -> str:
    """Why clouds cannot be driven together anew; empty where they can."""
    if coupling.eta == 0:
        return "a sampler without noise has none to share anew"
    if coupling.eta < 1 and isinstance(coupling.reference, ProximalScore):
        return "the reference's low-rank components move at noise level 1 only"
    return ""


def _from_squares(
    run: Run, values: Tensor, note: str, level: float, added: list[Added] | None = None
) -> Bound:
    """The bound from independent squares, and what comes on top (of coupled ends if not said)."""
    added = run.added(level) if added is None else added
    limit = run.confidence.root(values, level) + sum(a.limit for a in added)
    found = root_mean_square(values)
    found = replace(found, value=found.value + sum(a.estimate.value for a in added))
    kind = run.confidence.kind
    return Bound(limit, found, kind, note, (RARE,) if kind == "asymptotic" else ())
