"""How often a limit holds: planted rare jumps, and whole certificates with a known distance."""

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from unittest import mock

import numpy as np
import torch
from tests.problems import gaussian, line
from tests.problems.base import Problem
from torch import Tensor

from wasserscore.certificate.base import smallest
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.continuous import integral_limit
from wasserscore.certificate.coupling import Coupled, Coupling
from wasserscore.certificate.expansion import Expansion
from wasserscore.certificate.ladder import ladder
from wasserscore.certificate.proposal import Confidence, Run, clipped, squares
from wasserscore.certificate.restart import restarted_transport
from wasserscore.certificate.score_error import Plan
from wasserscore.certificate.statistics import (
    LEAST_BATCHES,
    mean_limit,
    pilot_limit,
    share,
    transport_limit,
)
from wasserscore.certificate.theorem import log_add
from wasserscore.certificate.variance import controlled, gaussian_end
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore

NONE = {"none": Estimate(0.0)}
MODULE = importlib.import_module("wasserscore.certificate.certify")
Row = dict[str, object]
REPLICATES, LEVEL = 500, 0.95
NUMERICAL = 1e-6
"""Relative accuracy of a truth; limits without any sampling error may differ by as much."""
TIMES = 64
"""Random times of a theorem's limit."""
RARE, COUNTS = (0.0005, 0.002, 0.005, 0.02), (256, 1024, 4096)
JUMP, BOUND, BATCHES = 25.0, 36.0, 32
"""Squared distance of a jump, largest one possible, batches of transport."""


def without_lower_estimates() -> AbstractContextManager[object]:
    """Certificates without them: no part of any limit, most of a small certificate's time."""
    return mock.patch.object(MODULE, "lower_estimates", return_value=NONE)


def planted(p: float, n: int) -> Row:
    """Numbers near .01 that are 25 with probability p: the truth is known to all digits."""
    rng = np.random.default_rng([int(1e4 * p), n])
    jumps = torch.from_numpy(rng.binomial(1, p, (REPLICATES, n)) * 1.0)
    near = torch.from_numpy(rng.chisquare(4, (REPLICATES, n)) / 400)
    values = near * (1 - jumps) + JUMP * jumps
    truth = (1 - p) * 0.01 + p * JUMP
    # transport that saves half of what is near, so that its mean is known too
    costs = (values - near / 2).reshape(REPLICATES, BATCHES, -1).mean(2)
    return {
        "case": f"planted jumps, p = {p:g}",
        "n": n,
        "asymptotic": covered(lambda v, c: mean_limit(v, LEVEL) >= truth, values, costs),
        "finite_sample, pairs": covered(
            lambda v, c: pilot_limit(v, BOUND, LEVEL) >= truth, values, costs
        ),
        "asymptotic, batches": covered(lambda v, c: mean_limit(c, LEVEL) >= truth - 0.005,
                                     values, costs),
        "finite_sample, batches": covered(
            lambda v, c: transport_limit(v, c, BOUND, share(LEVEL, 2)) >= truth - 0.005,
            values, costs
        ),
    }  # fmt: skip


def covered(holds: Callable[[Tensor, Tensor], bool], values: Tensor, costs: Tensor) -> float:
    return float(np.mean([holds(v, c) for v, c in zip(values, costs, strict=True)]))


def tight(error: str) -> Problem:
    """On the line, without noise: the synchronous coupling is optimal, E|X - Y|^2 = W2^2."""
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    reference = GaussianScore(torch.tensor([0.4]).double(), torch.tensor([[0.25]]).double(),
                              process)  # fmt: skip
    return Problem(error, gaussian.wrong(reference, error, 0.3), reference, gaussian.truth,
                   "ddim", 12, "karras", 0.0)  # fmt: skip


def waved() -> Problem:
    """The same for two modes: increasing maps without noise, and an error no control explains."""
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    law = ([0.4, 0.6], [-1.0, 1.0], [0.3, 0.3])
    reference = line.mixture(*law, process)
    model = lambda x, t: (
        reference(x, t) + 0.4 * torch.sin(3 * x) / (1 + process.variance(t)).sqrt()
    )
    return Problem("wave on two modes", model, reference, line.flow_truth(law), "ddim", 30,
                   "karras", 0.0)  # fmt: skip


def rare(p: float) -> Problem:
    """The model does not know the second mode, which has mass p."""
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    law = ([1 - p, p], [0.0, 5.0], [0.2, 0.2])
    model = line.mixture([1.0], [0.0], [0.2], process)
    return Problem(f"missing mode, p = {p:g}", model, line.mixture(*law, process),
                   line.chain_truth(law), "ancestral", 12, "uniform", 1.0,
                   options={"parts": 1})  # fmt: skip


def certified(problem: Problem, n: int, clip: tuple[float, float] | None) -> Row:
    """Share of ladders whose rungs, and whose best, are at least the true distance.

    Pairs are independent, so all replicates are blocks of one coupled run.
    """
    truth, hits = problem.w2() * (1 - NUMERICAL), {}
    one = Coupling(problem.score, problem.reference, solver(problem.solver), problem.grid,
                   problem.noise_level, problem.start, problem.options.get("parts", 16),
                   Streams(0))  # fmt: skip
    raw, controls = _ends(one, n * REPLICATES), gaussian_end(one, n * REPLICATES)
    ends = raw if clip is None else clipped(raw, *clip)
    diameter = None if clip is None else clip[1] - clip[0]
    confidence = Confidence(LEVEL, 8 if clip is None else LEAST_BATCHES, diameter)
    for rows in (slice(k * n, (k + 1) * n) for k in range(REPLICATES)):
        parts = [v[rows] if isinstance(v, Tensor) else v for v in ends]
        run = Run(one, Coupled(*parts), confidence)
        if clip is None:  # the controls of these rows, not of the first n
            v = squares(run.ends.reference, run.ends.model)
            run.__dict__["squares"] = controlled(v, controls[rows])
        rungs = ladder(run, math.inf)
        for rung in rungs:
            name = f"{rung.name}, {rung.upper.kind}"
            hits.setdefault(name, []).append(rung.upper.value >= truth)
        hits.setdefault("best", []).append(smallest(rungs).upper.value >= truth)
    return {
        "case": problem.name + ("" if clip is None else ", clipped"),
        "n": n,
        "true W2": truth,
        **{name: float(np.mean(found)) for name, found in hits.items()},
    }


def _ends(one: Coupling, n: int) -> Coupled:
    """The coupled ends of reference and model; no terms are asked for, so no runs in between."""
    start, noise = one.starts(n), one.noise(n)
    end = one.path.run(start.x, one.grid, one.path_noise(n), start.rough)
    model = one.sample(one.score, one.begin(noise), noise)
    shift = start.shift if end.error is None else 0.0
    return Coupled(end.x, model, model, model, end.error, shift)


def restarted(rows: int) -> Row:
    """Restarted transport, which draws its own clouds; the model misses a fifth of the mass."""
    problem = rare(0.2)
    square, hits = (problem.w2() * (1 - NUMERICAL)) ** 2, []
    for seed in range(REPLICATES):
        one = Coupling(problem.score, problem.reference, solver(problem.solver), problem.grid,
                       1.0, "prior", 1, Streams(seed))  # fmt: skip
        hits.append(mean_limit(restarted_transport(one, rows, 8), LEVEL) >= square)
    return {"case": problem.name, "cloud": rows, "true W2": math.sqrt(square),
            "restarted transport, asymptotic": float(np.mean(hits))}  # fmt: skip


def theorem(eta: float) -> Row:
    """Theorem 1 where it is an equality: a bias, from the law itself; A1 and A2 of the checks."""
    process, e = VP.constant(beta=1.0, horizon=2.0), 0.3
    unit = torch.ones(1, dtype=torch.float64)
    reference = GaussianScore(0 * unit, unit[:, None], process)
    model = lambda x, t: reference(x, t) + e * torch.exp(torch.zeros_like(x))
    slope = OneSided(lambda t: -torch.ones_like(t), "stated")
    growth = (1 + eta**2) / 2
    # int k I sqrt(b), with I(t) = exp(int (1/2 - k)) and k = (1 + eta^2) / 2
    truth = e * (2 * (1 - math.exp(-1)) if eta == 1 else growth * 2) * (1 - NUMERICAL)
    make = lambda seed: Coupling(model, reference, solver("exponential"), time_grid(process, 4),
                                 eta, "reference", 1, Streams(seed))  # fmt: skip
    plan = Plan.of(make(0), Expansion.along(process, slope, eta=eta, start=2.0, stop=0.0))
    log_head = plan.expansion.head_bound(float(plan.pilot.largest[0]))
    hits = []
    for seed in range(1, REPLICATES + 1):
        draws = plan.draw(make(seed), TIMES)
        log_limit = integral_limit(plan, draws, plan.pilot.score, draws.errors.score, LEVEL)
        hits.append(math.exp(log_add(log_limit, log_head)) >= truth)
    return {"case": f"theorem, a bias, eta {eta:g}", "random times": TIMES, "true W2": truth,
            "integral, asymptotic": float(np.mean(hits))}  # fmt: skip


def cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """All cases by name, the cheap ones first."""
    for n in COUNTS:
        for p in RARE:
            yield f"planted {p} {n}", lambda p=p, n=n: planted(p, n)
    for error in ("scale", "bias"):
        for clip in (None, (-4.0, 5.0)):
            yield (f"tight {error} {clip}",
                   lambda error=error, clip=clip: certified(tight(error), 64, clip))  # fmt: skip
    for n in (64, 256):
        for clip in (None, (-4.0, 5.0)):
            yield f"waved {n} {clip}", lambda n=n, clip=clip: certified(waved(), n, clip)
    for eta in (1.0, 0.0):
        yield f"theorem {eta}", lambda eta=eta: theorem(eta)
    sizes = [(p, 256) for p in RARE] + [(p, n) for n in COUNTS[1:] for p in (RARE[0], RARE[-1])]
    for p, n in sizes:
        for clip in (None, (-2.0, 7.0)):
            yield (f"rare {p} {n} {clip}",
                   lambda p=p, n=n, clip=clip: certified(rare(p), n, clip))  # fmt: skip
    yield "restarted", lambda: restarted(32)
