"""Gaussian laws and linear scores: the certificate is the distance itself."""

import math
from dataclasses import replace

import pytest
import torch
from tests.problems import gaussian
from tests.problems.base import Problem

from wasserscore.certificate import certify
from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)


def law(mean, covariance, process, scaling=None):
    return GaussianScore(torch.tensor(mean, dtype=F64), torch.tensor(covariance, dtype=F64),
                         process, scaling=scaling)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "eta", "process", "start"),
    [
        ("exponential", 1.0, VP_LINEAR, "prior"),
        ("ddim", 0.5, EDM(sigma_max=10.0), "reference"),
        ("heun", 0.0, VP_LINEAR, "prior"),
        ("dpmpp_2m_sde", 1.0, VP_LINEAR, "reference"),
    ],
)
def test_the_rung_is_the_distance(name, eta, process, start):
    reference = law([0.5, -1.0], [[1.0, 0.6], [0.6, 0.5]], process)
    model = law([0.4, -0.7], [[1.2, 0.3], [0.3, 0.8]], process)
    problem = Problem("p", model, reference, gaussian.truth, name, 12, "karras", eta, start)
    found = certify(model, reference, n=16, **problem.settings())
    rung = found.rungs[-1]
    assert rung.name == "exact moments"
    assert rung.upper.value == pytest.approx(problem.w2(), rel=1e-8)
    assert found.best() == rung
    assert found.certified


def test_each_side_keeps_its_own_units_and_a_stop_is_no_extra():
    scaling = Scaling(torch.tensor([1.0], dtype=F64), torch.tensor([2.0], dtype=F64))
    plain = law([0.0], [[1.0]], VP_LINEAR)
    scaled = law([0.0], [[1.0]], VP_LINEAR, scaling=scaling)
    settings = {"solver": "exponential", "eta": 1.0, "steps": 80, "n": 16}
    found = certify(plain, scaled, **settings)  # N(1, 4) against N(0, 1)
    assert found.upper.value == pytest.approx(math.sqrt(2), rel=0.05)
    stopped = certify(plain, plain, stop=0.05, **settings).rungs[-1].upper.value
    assert stopped < 0.05  # p_t is N(0, 1) at every t


@pytest.mark.parametrize("name", ["heun", "dpmpp_2m", "dpmpp_2m_sde"])
def test_data_in_other_units_and_far_from_zero_have_the_same_distance(name):
    def found(scale, shift):
        process = EDM(sigma_max=20.0 * scale)
        steps = TimeGrid(time_grid(EDM(sigma_max=20.0), 10).times * scale)
        reference, model = (
            law([scale * m + shift for m in mean], [[v * scale**2 for v in row] for row in rows],
                process)
            for mean, rows in (([0.5, -1.0], [[1.0, 0.6], [0.6, 0.5]]),
                               ([0.4, -0.7], [[1.2, 0.3], [0.3, 0.8]]))
        )  # fmt: skip
        rungs = certify(model, reference, solver=name, grid=steps, n=16, start="reference").rungs
        return {rung.name: rung for rung in rungs}["exact moments"]

    here = found(1.0, 0.0).upper.value
    for scale, shift, digits in ((1e8, 0.0, 1e-12), (1e-8, 0.0, 1e-12), (1.0, 1.7e9, 1e-5)):
        moved = found(scale, shift)
        assert moved.upper.value == pytest.approx(scale * here, rel=digits)
        assert moved.assumptions[-1].status == "checked"


def test_other_scores_and_solvers_have_no_such_rung():
    plain = law([0.0], [[1.0]], VP_LINEAR)
    for score, name in ((plain, "adaptive"), (lambda x, t: plain(x, t), "ddim")):
        found = certify(score, plain, solver=name, n=16, steps=4)
        assert all(rung.name != "exact moments" for rung in found.rungs)


def test_a_run_that_is_not_affine_is_noticed():
    def build(law):
        step = solver("heun").start(law)
        return lambda x, t, s, z: step(x, t, s, z).clamp(-1.0, 1.0)

    own = replace(solver("heun"), name="mine", build=build)
    plain = law([0.0], [[1.0]], VP_LINEAR)
    rung = certify(plain, plain, solver=own, n=16, steps=4).rungs[-1]
    assert rung.name == "exact moments"
    assert not rung.valid
