"""Rungs that only need the coupled ends: synchronous coupling and coupled transport."""

from dataclasses import replace

from torch import Tensor

from wasserscore.certificate.proposal import RARE, Bound, Proposal, Run, squares
from wasserscore.certificate.statistics import root_mean_square
from wasserscore.certificate.transport import coupled_transport


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


def _from_squares(run: Run, values: Tensor, note: str, level: float) -> Bound:
    """The bound from independent squares, and what comes on top of coupled ends."""
    added = run.added(level)
    limit = run.confidence.root(values, level) + sum(a.limit for a in added)
    found = root_mean_square(values)
    found = replace(found, value=found.value + sum(a.estimate.value for a in added))
    kind = run.confidence.kind
    return Bound(limit, found, kind, note, (RARE,) if kind == "asymptotic" else ())
