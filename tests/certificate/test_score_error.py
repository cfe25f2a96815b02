"""The score-matching objective from random times: its value, its interval, and its offset."""

import math

import pytest
import torch

from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.continuous import likelihood_limit
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.expansion import Expansion
from wasserscore.certificate.score_error import Plan
from wasserscore.certificate.statistics import mean_limit
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STOP, SIZE = 0.1, 1.5
NORMAL = GaussianScore(torch.zeros(1, dtype=F64), torch.ones(1, 1, dtype=F64), UNIT)
EXACT = (SIZE - 1) ** 2 / 2 * (2.0 - STOP)
"""J_SM(g^2) = (1/2) int g^2 (a - 1)^2 E x_t^2 of the score -a x, as x_t stays standard normal."""
OFFSET = 1.10337750
"""C(g^2) on [.1, 2] for N(0, 1): the published value."""


def coupling(seed: int) -> Coupling:
    model = lambda x, t: -SIZE * x
    return Coupling(model, NORMAL, solver("exponential"), time_grid(UNIT, 10, stop=STOP), 1.0,
                    "reference", 1, Streams(seed))  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    constant = OneSided(lambda t: -SIZE * torch.ones_like(t), "stated")
    return Plan.of(coupling(0), Expansion.along(UNIT, constant, eta=1.0, start=2.0, stop=STOP))


def objectives(plan: Plan, seed: int, times: int):
    """Numbers whose means are J_SM(g^2) and J_DSM(g^2)."""
    draws = plan.draw(coupling(seed), times)
    weight = draws.log_ratio.exp() / (2 * plan.expansion.share)
    return draws, weight * draws.errors.score, weight * draws.errors.denoising


@pytest.mark.slow
def test_the_interval_of_the_objective_covers_in_ninety_of_a_hundred(plan):
    covered = above = 0
    for seed in range(100):
        draws, v, _ = objectives(plan, seed, 64)  # 32 points each: about 2000 in all
        low, high = -mean_limit(-v, 0.975), mean_limit(v, 0.975)
        covered += low <= EXACT <= high
        above += likelihood_limit(plan, draws, 0.95) >= math.log(EXACT)
        assert high - low < 0.6 * EXACT
    assert covered >= 90
    assert above >= 90


@pytest.mark.slow
def test_the_denoising_objective_is_the_score_objective_and_the_offset(plan):
    _, v, both = objectives(plan, 1, 512)
    error = float((both - v).std()) / math.sqrt(512)
    assert float(both.mean() - v.mean()) == pytest.approx(OFFSET, abs=4 * error)
    assert 4 * error < 0.15 * OFFSET
    assert float(v.mean()) == pytest.approx(EXACT, abs=4 * float(v.std()) / math.sqrt(512))
