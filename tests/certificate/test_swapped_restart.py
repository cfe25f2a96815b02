"""The swapped form from a time in the middle: between the coupling and the whole form."""

import pytest
import torch

from wasserscore.certificate.closed import certified
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.frozen import frozen_steps
from wasserscore.certificate.proposal import Confidence, Run
from wasserscore.certificate.swapped import swapped_bound
from wasserscore.certificate.swapped_restart import (
    coupled_limit,
    restart_step,
    swapped_restarted,
)
from wasserscore.certificate.swapped_rung import swapped
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
FAST = VP.linear(a=19.9, b=0.1, horizon=1.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)
MIX = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
                   torch.full((2,), 0.1, dtype=F64), FAST)  # fmt: skip


def coupling(score, reference, *, name="heun", eta=0.0, steps=20, start="prior"):
    grid = time_grid(reference.process, steps)
    return Coupling(score, reference, solver(name), grid, eta, start, 2, Streams(3))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "eta"), [("heun", 0.0), ("dpmpp_2m", 0.0), ("ancestral", 1.0)])
def test_the_run_above_is_the_samplers_own(name, eta):
    one = coupling(MIX, MIX, name=name, eta=eta, steps=8)
    steps = {step.k: step for step in frozen_steps(one, 16)}
    for k in (1, 5):
        above = Coupling(MIX, MIX, one.solver, TimeGrid(one.grid.times[: k + 1]), eta, "prior", 2,
                         Streams(3)).run(16)  # fmt: skip
        alpha = float(MIX.process.alpha(one.grid.times[k]))
        assert torch.allclose(above.model / alpha, steps[k].y, atol=1e-12)


@pytest.mark.slow
def test_a_bias_is_the_same_from_every_time():
    # the inequality is an equality for a bias, so it does not matter where the coupling stops
    biased = lambda x, t: STANDARD(x, t) + 0.3
    one = coupling(biased, STANDARD, steps=60, start="reference")
    whole = swapped_bound(one, certified(STANDARD), n=64, level=0.9).upper.value
    for k in (10, 40):
        here = coupled_limit(one, k, n=64, level=0.9)
        found = swapped_bound(one, certified(STANDARD), n=64, level=0.9, first=k, start=here)
        assert len(found.shares) == 60 - k
        assert found.upper.value == pytest.approx(whole, rel=0.01)
        assert found.upper.value == pytest.approx(found.error + found.offset)


@pytest.mark.slow
def test_two_modes_gain_from_a_restart():
    model = lambda x, t: MIX(x, t) + 0.1
    one = coupling(model, MIX, name="ancestral", eta=1.0)
    run = Run(one, one.run(128), Confidence(0.95, 2), certified(MIX))
    (whole,), (middle,) = swapped(run), swapped_restarted(run)
    assert middle.limits == 2
    large, small = (p.prove(0.95).limit for p in (whole, middle))
    end = run.ends.reference - run.ends.model
    assert float(end.square().sum(1).mean().sqrt()) <= small < large / 10
    assert 1 <= restart_step(one, certified(MIX)) < 20


def test_a_scaling_is_undone_where_the_runs_meet():
    scaling = Scaling(torch.ones(2, dtype=F64), torch.tensor([0.1, 30.0], dtype=F64))
    laws = [GaussianScore(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64), UNIT, scaling=unit)
            for unit in (None, scaling)]  # fmt: skip
    plain, wide = (
        coupled_limit(coupling(lambda x, t, law=law: law(x, t) + 0.3, law), 5, n=32, level=0.9)
        for law in laws
    )
    assert wide == pytest.approx(plain, rel=1e-9)


def test_one_step_has_no_middle():
    one = coupling(STANDARD, STANDARD, steps=1)
    run = Run(one, one.run(8), Confidence(0.95, 2), certified(STANDARD))
    assert "no time in the middle" in swapped_restarted(run)[0].obstacle
