"""The ladder's own rules: shares of the level, obstacles, assumptions of single rungs."""

import math

import pytest
import torch

from wasserscore.certificate import ladder as ladders
from wasserscore.certificate.base import Assumption
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import Bound, Confidence, Proposal, Run
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)


@pytest.fixture
def run():
    grid = time_grid(UNIT, 4)
    coupling = Coupling(STANDARD, STANDARD, solver("heun"), grid, 0.0, "prior", 1, Streams(0))
    return Run(coupling, coupling.run(8), Confidence(0.9, 2))


def offer(name, limits, *, kind="asymptotic", obstacle="", status="checked"):
    seen = []

    def prove(level):
        seen.append(level)
        rests = (Assumption("its own", status),)
        return Bound(1.0, Estimate(0.5), kind, "a test", rests)

    return Proposal(name, prove, limits, obstacle), seen


def test_every_limit_of_every_proposal_has_its_share(run, monkeypatch):
    one, at_one = offer("one", 1)
    three, at_three = offer("three", 3)
    monkeypatch.setattr(ladders, "PROVIDERS", (lambda r: [one], lambda r: [three]))
    rungs = ladders.ladder(run, 1.0)
    assert at_one == at_three == [pytest.approx(1 - 0.1 / 4)]
    assert [rung.upper.level for rung in rungs] == [pytest.approx(0.975)] * 2


def test_an_obstacle_refuses_one_rung_and_costs_nothing(run, monkeypatch):
    good, at = offer("good", 1)
    bad, never = offer("bad", 5, obstacle="no density")
    monkeypatch.setattr(ladders, "PROVIDERS", (lambda r: [bad, good],))
    refused, kept = ladders.ladder(run, 1.0)
    assert never == []
    assert at == [pytest.approx(0.9)]
    assert kept.valid
    assert not refused.valid
    assert refused.upper.value == math.inf
    assert "no density" in refused.note


def test_a_rung_is_valid_unless_it_is_estimated_or_its_own_assumption_fails(run, monkeypatch):
    offers = [
        offer("sound", 1, status="assumed"),
        offer("guess", 1, kind="estimated"),
        offer("broken", 1, status="violated"),
    ]
    monkeypatch.setattr(ladders, "PROVIDERS", (lambda r: [o[0] for o in offers],))
    assert [rung.valid for rung in ladders.ladder(run, 1.0)] == [True, False, False]
