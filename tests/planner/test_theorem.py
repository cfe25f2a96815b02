"""Theorem mode: the bound it returns is the theorem's, and the truth is always below it (C17)."""

import math
from dataclasses import replace

import pytest
import torch

from wasserscore.certificate.convergence import (
    convergence_bound,
    gaussian_time_lipschitz,
    step_limit,
)
from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.planner import Surrogate, gaussian_recursion, plan
from wasserscore.planner.theorem import data_law, guaranteed_steps, with_horizon
from wasserscore.process import EDM, OU, VE, VP, LinearSDE, SubVP

FAMILIES = (
    VP.linear(a=1.0, b=0.1),
    VP.exponential(a=0.3, b=1.0),
    VE.exponential(a=1.0, b=1.0),
    EDM(sigma_max=80.0),
)


class Law:
    """Moments only."""

    def __init__(self, mean, values, scaling=None):
        self.mean, self.values, self.scaling = mean, values, scaling

    def moments(self):
        return self.mean, torch.diag(self.values)


def random_law(seed):
    generator = torch.Generator().manual_seed(seed)
    d = 1 + seed % 6
    values = 0.15 + 0.85 * torch.rand(d, generator=generator, dtype=torch.float64)
    mean = 0.3 * torch.randn(d, generator=generator, dtype=torch.float64)
    share = 0.15 + 0.35 * float(torch.rand((), generator=generator, dtype=torch.float64))
    return Law(mean, values), share * float(values.sum()) ** 0.5


def true_w2(law, made):
    mean, variance = gaussian_recursion(
        made.process, made.solver, made.grid, law.mean, law.values, eta=made.eta
    )
    errors = (mean - law.mean) ** 2 + (variance.sqrt() - law.values.sqrt()) ** 2
    return float(errors.sum().sqrt())


@pytest.mark.parametrize("seed", range(12))
def test_c17_the_target_is_never_missed(seed):
    law, eps = random_law(seed)
    process = FAMILIES[seed % len(FAMILIES)]
    made = plan(law, eps, processes=[process], mode="theorem")
    assert made.predicted.w2 <= eps
    assert true_w2(law, made) <= eps
    here = with_horizon(process, made.horizon)
    m1 = gaussian_time_lipschitz(here, law.mean, law.values)
    told = replace(data_law(Surrogate.of(law)), time_lipschitz=m1)
    assert told.rms == pytest.approx(float((law.values + law.mean**2).sum().sqrt()), rel=1e-12)
    bound = convergence_bound(here, told, made.steps)
    expected = (bound.start, bound.steps, bound.score, bound.total)
    parts = made.predicted
    assert (parts.start, parts.discretisation, parts.score, parts.w2) == pytest.approx(expected)
    assert made.horizon / made.steps <= step_limit(here, told)
    assert made.grid.times.diff().neg().tolist() == pytest.approx([here.horizon / made.steps]
                                                                  * made.steps)  # fmt: skip


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        (VP.linear(a=1.0, b=0.1), 6.99e3),
        (VP.exponential(a=0.3, b=1.0), 6.69e3),
        (VP.constant(beta=1.0), 1.27e4),
        (VE.exponential(a=1.0, b=1.0), 1.57e4),
    ],
)
def test_steps_of_table_8_5(process, expected):
    """The table is the leading order without I3; the whole bound needs about as many."""
    law = Law(torch.full((100,), 0.3).double(), torch.full((100,), 0.25).double())
    made = plan(law, 0.5, processes=[process], mode="theorem")
    assert 0.8 * expected < made.steps < 1.2 * expected


def test_fewer_steps_do_not_meet_the_target():
    """The search is not wasteful: nine tenths of the steps at the same horizon are too few."""
    law, eps = random_law(4)
    found = guaranteed_steps(Surrogate.of(law), FAMILIES[0], eps, score_error=0.0, most=10**6)
    assert found is not None
    m1 = gaussian_time_lipschitz(found.process, law.mean, law.values)
    told = replace(data_law(Surrogate.of(law)), time_lipschitz=m1)
    fewer = convergence_bound(found.process, told, int(0.85 * found.steps))
    assert fewer.total > eps


@pytest.mark.slow
def test_a_score_error_is_paid_for_and_its_largest_is_told():
    law, eps = random_law(3)
    process = [VP.linear(a=1.0, b=0.1)]
    exact = plan(law, eps, processes=process, mode="theorem")
    rough = plan(law, eps, processes=process, mode="theorem", score_error=0.05)
    assert exact.predicted.score == 0 < rough.predicted.score
    assert rough.predicted.w2 <= eps
    assert rough.steps > exact.steps
    found = guaranteed_steps(Surrogate.of(law), process[0], eps, score_error=0.05, most=10**6)
    assert found is not None
    assert found.largest_score_error >= 0.05
    assert f"up to {found.largest_score_error:.3g}" in repr(rough)
    with pytest.raises(InputError, match="no candidate reaches"):
        plan(law, eps, processes=process, mode="theorem", score_error=10.0)


@pytest.mark.slow
def test_assumption_four_is_never_violated():
    """VP needs m0 > 1/2 and sub-VP fails for every law: neither is offered."""
    wide = Law(torch.zeros(2).double(), torch.tensor([0.5, 3.0]).double())
    with pytest.raises(InputError, match="A4 allows no step under VP"):
        plan(wide, 0.5, processes=[VP.linear(a=1.0, b=0.1)], mode="theorem")
    law, eps = random_law(5)
    with pytest.raises(InputError, match="A4 allows no step under SubVP"):
        plan(law, eps, processes=[SubVP.linear(a=19.9, b=0.1)], mode="theorem")
    both = [SubVP.linear(a=19.9, b=0.1), OU(alpha=0.5, sigma=1.0)]
    made = plan(law, eps, processes=both, mode="theorem")
    assert made.process == both[1]
    assert [option.note for option in made.options] == ["", "A4 allows no step"]
    assert "A4 allows no step" in repr(made)
    assert all(assumption.status != "violated" for assumption in made.assumptions)


@pytest.mark.parametrize(
    "process",
    [
        VP.strasman(beta_min=0.1, beta_max=5.0, curvature=1.0, horizon=3.0),
        pytest.param(
            LinearSDE(f=lambda t: 0.5 + 0 * t, g2=lambda t: 1.0 + 0 * t, horizon=6.0),
            marks=pytest.mark.slow,
            id="LinearSDE",
        ),
    ],
)
def test_user_processes_keep_their_schedule_and_horizon(process):
    law, eps = random_law(2)
    made = plan(law, eps, processes=[process], mode="theorem")
    assert made.process is process
    assert made.horizon < process.horizon
    assert true_w2(law, made) <= eps


def test_a_horizon_too_short_for_the_target_is_refused():
    law, eps = random_law(2)
    short = VP.linear(a=1.0, b=0.1, horizon=0.5)
    with pytest.raises(InputError, match="longer horizon"):
        plan(law, eps, processes=[short], mode="theorem")


@pytest.mark.slow
def test_the_default_processes_are_compared():
    law, eps = random_law(1)
    made = plan(law, eps, mode="theorem")
    assert [option.evaluations for option in made.options] == sorted(
        option.steps for option in made.options
    )
    assert {option.grid_kind for option in made.options} == {"uniform"}
    assert made.process.horizon == made.horizon
    assert made.mode == "theorem"
    assert not made.vacuous
    assert "A2: score Lipschitz in time" in repr(made)
    assert made.to_dict()["assumptions"][0]["name"] == "Gaussian surrogate"
    assert plan(law, 5.0, mode="theorem").vacuous


def test_a_scaling_stretches_the_bound():
    law, eps = random_law(2)
    scale = torch.full_like(law.mean, 2.0)
    scaled = Law(law.mean, law.values, Scaling(0 * scale, scale))
    here, there = (
        plan(target, size, processes=[FAMILIES[1]], mode="theorem")
        for target, size in ((law, eps), (scaled, 2 * eps))
    )
    assert here.steps == there.steps
    assert there.predicted.w2 == pytest.approx(2 * here.predicted.w2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"solver": "heun"}, "about integrated_euler only"),
        ({"grids": ["karras"]}, "uniform grids only"),
        ({"most_steps": 50}, "no candidate"),
    ],
)
def test_what_the_theorem_does_not_cover_is_refused(options, words):
    law, eps = random_law(2)
    with pytest.raises(InputError, match=words):
        plan(law, eps, mode="theorem", **options)


def test_a_constant_direction_is_refused():
    flat = Law(torch.zeros(2).double(), torch.tensor([0.0, 0.5]).double())
    with pytest.raises(InputError, match="full rank"):
        plan(flat, math.sqrt(0.1), mode="theorem")
