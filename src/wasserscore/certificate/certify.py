"""From a score and a reference to a certificate for the actual sampler."""

import math
from dataclasses import replace

from torch import Tensor

from wasserscore.certificate.assumptions import coupling_assumptions
from wasserscore.certificate.base import Certificate, Limit, Rung, smallest
from wasserscore.certificate.coupling import Coupled, Coupling
from wasserscore.certificate.lower import lower_estimates
from wasserscore.certificate.offset import stopping
from wasserscore.certificate.reference import describe, spread
from wasserscore.certificate.statistics import mean_limit, root_mean_square, share
from wasserscore.certificate.transport import coupled_transport
from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.core.typing import ScoreFn
from wasserscore.dynamics import TimeGrid
from wasserscore.sampling import Solver, time_grid
from wasserscore.sampling import solver as find_solver
from wasserscore.score.base import ClosedFormScore

RUNGS = 2
"""Rungs that share the error probability."""


def certify(
    score: ScoreFn,
    reference: ClosedFormScore,
    *,
    solver: str | Solver = "heun",
    steps: int = 40,
    grid: str | TimeGrid | None = None,
    eta: float | None = None,
    stop: float | None = None,
    start: str = "prior",
    n: int = 256,
    level: float = 0.95,
    seed: int = 0,
    batches: int = 8,
    parts: int = 4,
) -> Certificate:
    r"""An upper bound on W2(reference law, law of what ``sample`` returns), with its parts.

    Runs the reference's true reverse process and the model's sampler on the same noise. From the
    coupled ends X and Y it computes

    * *synchronous coupling*: :math:`(E|X - Y|^2)^{1/2}`,
    * *coupled transport*: exact optimal transport within batches of pairs,

    each as an upper confidence limit of the mean of *squares*; the level is shared by the rungs.

    Assumes: finite fourth moments and no unseen rare jumps (asymptotic limits).
    Source: coupling form of :cite:p:`kwon2022`, Theorem 1, with the sampler's error included.

    Args:
        score: The model: any callable ``(x, t)``; units and process are the reference's unless it
            carries a ``scaling`` of its own.
        reference: A closed-form score; its law is what "reference" means.
        solver: Name or object of the model's sampler.
        steps: Number of steps.
        grid: Kind of time grid, or a grid.
        eta: Noise level; None is the solver's own default.
        stop: Early stopping time; adds the distance from there to the data law.
        start: "prior", or "reference" (the noised reference law itself).
        n: Number of coupled pairs.
        level: Confidence level of the smallest rung, in (0, 1).
        seed: Seed of everything drawn.
        batches: Independent batches for transport, at least 2.
        parts: Substeps of the reference process per step, where the sampler has noise.

    Raises:
        InputError: On settings that make no sense, or a reference without a closed form.
    """
    _check(reference, n=n, batches=batches, parts=parts)
    method = find_solver(solver)
    noise_level = method.eta(eta)
    own = isinstance(grid, TimeGrid)
    times = time_grid(reference.process, None if own else steps, grid or "karras", stop=stop)
    coupling = Coupling(score, reference, method, times, noise_level, start, parts, Streams(seed))
    ends = coupling.run(n)
    rungs = ladder(ends, reference, times.stop, batches=batches, level=level)
    lower = lower_estimates(ends.reference, ends.model, batches=batches, seed=seed)
    return Certificate(
        upper=replace(smallest(rungs).upper, level=level),
        lower=max(lower.values(), key=float),
        rungs=rungs,
        lower_estimates=lower,
        terms=terms(ends) | {e[0]: e[1] for e in _added(ends, reference, times.stop, level)},
        assumptions=coupling_assumptions(ends, coupling),
        reference=describe(reference),
        spread=spread(reference),
        sampler=f"{method.name}, {times.steps} steps, eta {noise_level:g}, t {times.start:.4g} "
        f"to {times.stop:.4g}, start {start}",
        level=level,
        n=n,
        seed=seed,
    )


def ladder(
    ends: Coupled, reference: ClosedFormScore, stop: float, *, batches: int, level: float
) -> tuple[Rung, ...]:
    """The rungs of a coupled run; the smallest of them holds at ``level``.

    The error probability is shared by the rungs and, where the reference path was solved and not
    exact, by its error. Points that are not finite make a bound of infinity: valid, and vacuous.

    Args:
        ends: The coupled ends.
        reference: The law that is meant.
        stop: The sampler's last time; above zero the distance from there to the data is added.
        batches: Batches for transport.
        level: Confidence level of the smallest rung.
    """
    parts = RUNGS + (ends.path_error is not None)
    each = share(level, parts)
    added = _added(ends, reference, stop, each)
    costs = coupled_transport(ends.reference, ends.model, batches)
    found = (
        ("synchronous coupling", squares(ends.reference, ends.model),
         "pairs on the same noise, the sampler as it is"),
        ("coupled transport", costs, f"exact transport in {batches} batches of coupled pairs"),
    )  # fmt: skip
    rungs = []
    for name, values, note in found:
        limit = math.sqrt(mean_limit(values, each)) + sum(upper for _, _, upper in added)
        value = root_mean_square(values)
        value = replace(value, value=value.value + sum(e.value for _, e, _ in added))
        upper = Limit(limit, n=values.numel(), level=each, kind="asymptotic")
        rungs.append(Rung(name, upper, value, vacuous=limit > spread(reference), note=note))
    return tuple(rungs)


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


def _added(
    ends: Coupled, reference: ClosedFormScore, stop: float, level: float
) -> list[tuple[str, Estimate, float]]:
    """Further distances on the way to the data law: name, estimate, upper limit."""
    added = []
    if stop > 0:
        cost = stopping(reference, stop)
        added.append(("stop", cost, cost.value))
    if ends.path_error is not None:
        errors = ends.path_error.square()
        added.append(
            ("reference path", root_mean_square(errors), math.sqrt(mean_limit(errors, level)))
        )
    return added


def _check(reference: object, *, n: int, batches: int, parts: int) -> None:
    if not isinstance(reference, ClosedFormScore):
        raise InputError(
            explain(
                "the reference must have a closed-form score",
                got=type(reference).__name__,
                do="use GaussianScore, MixtureScore, EmpiricalScore or ProximalScore",
            )
        )
    require(
        batches >= 2, "batches must be at least 2: a limit needs independent batches", got=batches
    )
    require(n >= 2 * batches, "n must give every batch at least two pairs", got=n,
            do=f"use n >= {2 * batches}")  # fmt: skip
    require(parts >= 1, "parts must be at least 1", got=parts)
