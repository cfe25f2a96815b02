"""From a score and a reference to a certificate for the actual sampler."""

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from wasserscore.certificate.assumptions import coupling_assumptions
from wasserscore.certificate.base import Certificate, smallest
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling, sampling_dtype
from wasserscore.certificate.ladder import ladder, terms
from wasserscore.certificate.lower import lower_estimates
from wasserscore.certificate.named import named
from wasserscore.certificate.proposal import Confidence, Run, clipped
from wasserscore.certificate.reference import describe, same_units, smoothing, spread
from wasserscore.certificate.statistics import LEAST_BATCHES
from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.integers import as_integer
from wasserscore.core.numbers import is_number
from wasserscore.core.random import Streams
from wasserscore.core.typing import ScoreFn
from wasserscore.dynamics import TimeGrid
from wasserscore.sampling import Solver, time_grid
from wasserscore.sampling import solver as find_solver
from wasserscore.score.base import ClosedFormScore

TARGETS = ("reference", "data")
"""What a certificate may be about."""


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
    batches: int | None = None,
    parts: int = 16,
    clip: tuple[float, float] | None = None,
    constant: OneSided | str | float | None = None,
    weight: Callable[[Tensor], Tensor] | None = None,
    target: str = "reference",
    cloud: int = 0,
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
        batches: Independent batches for transport, at least 2; with ``clip`` at least 32 are
            needed for a limit of transport. None is 8, or 32 with ``clip`` and n >= 64.
        parts: Substeps of the reference process per step, where the sampler has noise and the
            choice of a component matters; elsewhere fewer are taken.
        clip: Lowest and highest value of a coordinate, data units. Both laws are then clipped to
            that box, which is what the certificate is about, and its limits hold at every n
            (``finite_sample``); without it they are asymptotic.
        constant: One-sided constant of the model's score, scaled units; adds the theorem's rungs
            (never the smallest one where the constant is only estimated). Or its name:
            "estimated", "certified", "reference", or a number that you state.
        weight: :math:`\lambda(t) > 0` of the theorem's Cauchy-Schwarz form; None is the likelihood
            weight g^2. The integral form has the best weight already.
        target: "reference", or "data": the unsmoothed data set of an ``EmpiricalScore``, for
            which at most sqrt(d) times the bandwidth is added. Neither is the population that the
            data came from.
        cloud: Points of each of the ``batches`` clouds of a further rung, restarted transport
            (:mod:`wasserscore.certificate.restart`); 0 leaves it out. Pays where a noisy sampler
            jumps between few modes, with many points for each; costs that many samples.

    Raises:
        InputError: On settings that make no sense, or a reference without a closed form.
    """
    n, parts = as_integer(n, "n"), as_integer(parts, "parts")
    cloud = as_integer(cloud, "cloud", least=0)
    require(is_number(level) and 0 < level < 1, "level must lie strictly between 0 and 1",
            got=level)  # fmt: skip
    require(callable(score), "a score must be a function of (x, t)", got=type(score).__name__)
    require(target in TARGETS, f"target must be one of {', '.join(TARGETS)}", got=repr(target))
    if batches is None:
        batches = 8 if clip is None or n < 2 * LEAST_BATCHES else LEAST_BATCHES
    batches = as_integer(batches, "batches", least=2)  # a limit needs independent ones
    require(n >= 2 * batches, "n must give every batch at least two pairs", got=n,
            do=f"use n >= {2 * batches}")  # fmt: skip
    _check(reference)
    method = find_solver(solver)
    noise_level = method.eta(eta)
    own = isinstance(grid, TimeGrid)
    times = time_grid(reference.process, None if own else steps, grid or "karras", stop=stop)
    require(start == "prior" or same_units(score, reference),
            "start='reference' needs a score in the reference's own units",
            got="two different scalings", do="start from the prior")  # fmt: skip
    coupling = Coupling(score, reference, method, times, noise_level, start, parts, Streams(seed),
                        sampling_dtype(score))  # fmt: skip
    raw = coupling.run(n)
    ends = raw if clip is None else clipped(raw, *clip)
    confidence = Confidence(level, batches, None if clip is None else _diameter(reference, clip))
    beyond = smoothing(reference) if target == "data" else 0.0
    run = Run(coupling, ends, confidence, named(constant, coupling), beyond, cloud, weight)
    wide = spread(reference)
    if clip is not None:
        wide = min(wide, float(ends.reference.flatten(1).var(0).sum().sqrt()))
    rungs = ladder(run, wide)
    lower = lower_estimates(ends.reference, ends.model, batches=batches, seed=seed)
    added = run.added(level)
    common = coupling_assumptions(raw, coupling, clip=clip)
    special = dict.fromkeys(a for rung in rungs for a in rung.assumptions)
    law = describe(reference) if target == "reference" else describe(reference, smoothed=False)
    return Certificate(
        upper=replace(smallest(rungs).upper, level=level),
        lower=max(lower.values(), key=lambda e: (e.value, -(e.stderr or 0.0))),
        rungs=rungs,
        lower_estimates=lower,
        terms=terms(run) | {a.name: a.estimate for a in added},
        assumptions=(*common, *special),
        reference=law if clip is None else f"{law}, clipped to [{clip[0]:g}, {clip[1]:g}]",
        spread=wide,
        sampler=f"{method.name}, {times.steps} steps, eta {noise_level:g}, t {times.start:.4g} "
        f"to {times.stop:.4g}, start {start}",
        level=level,
        n=n,
        seed=seed,
    )


def _diameter(reference: ClosedFormScore, clip: tuple[float, float]) -> float:
    """Diameter of the box, data units."""
    require(clip[0] < clip[1], "clip must be (lowest, highest)", got=clip)
    return math.sqrt(reference.dim) * (clip[1] - clip[0])


def _check(reference: object) -> None:
    if not isinstance(reference, ClosedFormScore):
        raise InputError(
            explain(
                "the reference must have a closed-form score",
                got=type(reference).__name__,
                do="use GaussianScore, MixtureScore, EmpiricalScore or ProximalScore",
            )
        )
