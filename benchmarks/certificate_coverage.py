"""How often a limit holds: planted rare jumps, and whole certificates with a known distance."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from unittest import mock

import numpy as np
import torch
from tests.problems import gaussian, line
from tests.problems.base import Problem
from torch import Tensor

from wasserscore.certificate import certify
from wasserscore.certificate.statistics import mean_limit, pilot_limit, share, transport_limit
from wasserscore.core.results import Estimate
from wasserscore.process import VP
from wasserscore.score import GaussianScore

NONE = {"none": Estimate(0.0)}
MODULE = importlib.import_module("wasserscore.certificate.certify")
Row = dict[str, object]
REPLICATES, LEVEL = 500, 0.95
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


def rare(p: float) -> Problem:
    """The model does not know the second mode, which has mass p."""
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    law = ([1 - p, p], [0.0, 5.0], [0.2, 0.2])
    model = line.mixture([1.0], [0.0], [0.2], process)
    return Problem(f"missing mode, p = {p:g}", model, line.mixture(*law, process),
                   line.chain_truth(law), "ancestral", 12, "uniform", 1.0,
                   options={"parts": 1})  # fmt: skip


def certified(problem: Problem, n: int, clip: tuple[float, float] | None) -> Row:
    """Share of certificates whose rungs, and whose best, are at least the true distance.

    Lower estimates are left out.
    """
    truth, hits = problem.w2() * (1 - 1e-9), {}
    for seed in range(REPLICATES):
        with without_lower_estimates():
            found = certify(problem.score, problem.reference, n=n, level=LEVEL, seed=seed,
                            clip=clip, **problem.settings())  # fmt: skip
        for rung in found.rungs:
            hits.setdefault(f"{rung.name}, {rung.upper.kind}", []).append(
                rung.upper.value >= truth
            )
        hits.setdefault("best", []).append(float(found.upper) >= truth)
    return {
        "case": problem.name + ("" if clip is None else ", clipped"),
        "n": n,
        "true W2": truth,
        **{name: float(np.mean(found)) for name, found in hits.items()},
    }


def cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """All cases by name, the cheap ones first."""
    for n in COUNTS:
        for p in RARE:
            yield f"planted {p} {n}", lambda p=p, n=n: planted(p, n)
    for error in ("scale", "bias"):
        for clip in (None, (-4.0, 5.0)):
            yield (f"tight {error} {clip}",
                   lambda error=error, clip=clip: certified(tight(error), 64, clip))  # fmt: skip
    for p in (0.002, 0.02):
        for clip in (None, (-2.0, 7.0)):
            yield f"rare {p} {clip}", lambda p=p, clip=clip: certified(rare(p), 256, clip)
