"""Rungs from coupled points: synchronous coupling, coupled transport, restarted transport."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import RARE, Added, Bound, Proposal, Run, squares
from wasserscore.certificate.restart import restarted_transport
from wasserscore.certificate.statistics import LEAST_BATCHES, root_mean_square, transport_limit
from wasserscore.certificate.transport import coupled_transport
from wasserscore.score import ProximalLaw


def synchronous(run: Run) -> list[Proposal]:
    """The mean square of the coupled differences."""
    note = "pairs on the same noise, the sampler as it is"

    def prove(level: float) -> Bound:
        return _from_squares(run, run.squares, note, level)

    return [Proposal("synchronous coupling", prove)]


def transport(run: Run) -> list[Proposal]:
    """Exact transport within batches.

    What control variates take from a batch's pairs they take from its cost: both means stay. For
    clipped laws the limit of the pairs, which is the synchronous rung's own, less a limit of what
    transport saves (:func:`~wasserscore.certificate.statistics.transport_limit`).
    """
    batches, diameter = run.confidence.batches, run.confidence.diameter
    note = f"exact transport in {batches} batches of coupled pairs"

    def prove(level: float) -> Bound:
        costs = coupled_transport(run.ends.reference, run.ends.model, batches)
        finite = bool(torch.isfinite(costs).all())
        if diameter is not None and finite:
            limit = transport_limit(run.squares, costs, diameter**2, level)
            return _bound(run, math.sqrt(limit), costs, note, level)
        if finite:
            taken = run.squares - squares(run.ends.reference, run.ends.model)
            rows = run.n // batches
            costs = costs + taken[: rows * batches].reshape(batches, rows).mean(1)
        return _from_squares(run, costs, note, level)

    return [Proposal("coupled transport", prove, obstacle=_few_batches(run))]


def restarted(run: Run) -> list[Proposal]:
    """Clouds paired anew where modes are chosen, where asked for.

    For clipped laws the limit rests on the costs of the batches alone, whose number decides.
    """
    batches = run.confidence.batches
    if run.cloud == 0:
        return []
    note = f"{batches} pairs of clouds of {run.cloud} points, paired anew late in the run"

    def prove(level: float) -> Bound:
        costs = restarted_transport(run.coupling, run.cloud, batches)
        return _from_squares(run, costs, note, level, run.fixed)

    obstacle = _immobile(run.coupling) or _few_batches(run)
    return [Proposal("restarted transport", prove, obstacle=obstacle)]


def _immobile(coupling: Coupling) -> str:
    """Why clouds cannot be driven together anew; empty where they can."""
    if coupling.eta == 0:
        return "a sampler without noise has none to share anew"
    low_rank = isinstance(coupling.reference, ProximalLaw)
    if coupling.eta < 1 and low_rank:
        return "the reference's low-rank components move at noise level 1 only"
    return ""


def _few_batches(run: Run) -> str:
    """Why transport has no finite-sample limit here; empty where it has, or needs none."""
    if run.confidence.diameter is None or run.confidence.batches >= LEAST_BATCHES:
        return ""
    return (f"a limit that holds at every n needs {LEAST_BATCHES} independent batches, and "
            f"n >= {2 * LEAST_BATCHES}; there are {run.confidence.batches}")  # fmt: skip


def _from_squares(
    run: Run, values: Tensor, note: str, level: float, added: list[Added] | None = None
) -> Bound:
    """The bound from independent squares, and what comes on top (of coupled ends if not said)."""
    return _bound(run, run.confidence.root(values, level), values, note, level, added)


def _bound(
    run: Run, limit: float, values: Tensor, note: str, level: float,
    added: list[Added] | None = None,
) -> Bound:  # fmt: skip
    added = run.added(level) if added is None else added
    limit += sum(a.limit for a in added)
    found = root_mean_square(values)
    found = replace(found, value=found.value + sum(a.estimate.value for a in added))
    kind = run.confidence.kind
    return Bound(limit, found, kind, note, (RARE,) if kind == "asymptotic" else ())
