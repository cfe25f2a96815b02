"""How often a whole certificate holds where the true distance is known."""

import math

import pytest
import torch
from tests.problems import line
from tests.problems.base import Problem

from wasserscore.certificate import certify
from wasserscore.process import VP
from wasserscore.score import MixtureScore

PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
BOX = (-2.0, 7.0)


def missing_mode(p: float) -> Problem:
    """The model does not know the second mode, which has mass p: a rare jump of size 5."""
    law = ([1 - p, p], [0.0, 5.0], [0.2, 0.2])
    model = line.mixture([1.0], [0.0], [0.2], PROCESS)
    return Problem("", model, line.mixture(*law, PROCESS), line.chain_truth(law), "ancestral", 12,
                   "uniform", 1.0, options={"parts": 1})  # fmt: skip


def shares(problem: Problem, seeds: int, **options) -> dict[str, float]:
    """Share of seeds for which a valid rung is not below the truth, by name and kind."""
    truth, hits = problem.w2() * (1 - 1e-9), {}
    for seed in range(seeds):
        found = certify(problem.score, problem.reference, seed=seed,
                        **problem.settings() | options)  # fmt: skip
        for rung in found.rungs:
            name = f"{rung.name}, {rung.upper.kind}"
            hits.setdefault(name, []).append(rung.upper.value >= truth)
        hits.setdefault("best", []).append(found.upper.value >= truth)
    return {name: sum(h) / seeds for name, h in hits.items()}


@pytest.mark.slow
def test_clipped_certificates_see_a_mode_that_no_pair_has_seen():
    problem = missing_mode(0.002)
    clipped = shares(problem, 4, n=64, clip=BOX)
    assert clipped == {
        "synchronous coupling, finite_sample": 1.0,
        "coupled transport, finite_sample": 1.0,
        "best": 1.0,
    }
    plain = shares(problem, 4, n=64)
    assert plain["best"] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.002, 0.02])
def test_clipped_certificates_cover_at_their_level(p):
    found = shares(missing_mode(p), 20, n=256, clip=BOX)
    assert min(found.values()) >= 0.95


def shifted(by: float) -> tuple[MixtureScore, MixtureScore]:
    tensor = lambda v: torch.tensor(v, dtype=torch.float64)
    one = lambda shift: MixtureScore(
        tensor([0.4, 0.6]), tensor([[-1.0, 0.0], [1.0, 0.5]]) + shift,
        0.05 * torch.eye(2, dtype=torch.float64).expand(2, 2, 2), PROCESS,
    )  # fmt: skip
    return one(by), one(0.0)


@pytest.mark.slow
def test_transport_limits_need_enough_batches():
    model, reference = shifted(0.3)
    settings = {"steps": 4, "clip": (-3.0, 3.0)}
    rungs = lambda **more: {r.name: r for r in certify(model, reference, **settings | more).rungs}
    found = rungs(n=64)["coupled transport"]
    assert found.valid
    assert "32 batches" in found.note
    few = rungs(n=60)["coupled transport"]
    assert not few.valid
    assert "n >= 64" in few.note
    asked = rungs(n=64, batches=16)["coupled transport"]
    assert not asked.valid
    assert "there are 16" in asked.note
    noisy = {"solver": "ancestral", "parts": 1, "cloud": 4}
    assert not rungs(n=60, **noisy)["restarted transport"].valid
    restarted = rungs(n=64, **noisy)["restarted transport"]
    assert restarted.valid
    assert restarted.upper.kind == "finite_sample"


def test_what_transport_saves_is_passed_on():
    # the exact score: pairs of one law that end in different modes
    model, reference = shifted(0.0)
    found = certify(model, reference, solver="ancestral", steps=8, parts=1, n=1024, batches=32,
                    clip=(-3.0, 3.0))  # fmt: skip
    rungs = {r.name: r for r in found.rungs}
    pairs, transport = (rungs[name] for name in ("synchronous coupling", "coupled transport"))
    assert transport.upper.value < 0.9 * pairs.upper.value
    assert math.isfinite(transport.upper.value)
    assert transport.upper.value > transport.estimate.value
