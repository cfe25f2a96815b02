"""Matrix form and projected error in the ladder: never below the distance, order of the table."""

import numpy as np
import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.affine import AffineScore, affine
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.linear import COARSE
from wasserscore.certificate.linear_rung import SLACK, linear, linear_problem
from wasserscore.certificate.moments import exact_moments, output_moments
from wasserscore.certificate.proposal import Confidence, Run
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.distance import w2_gaussian
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM, VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
MEAN = torch.tensor([0.5, -1.0], dtype=F64)
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=F64)
REFERENCE = GaussianScore(MEAN, COVARIANCE, UNIT)
FLAT = OneSided(lambda t: 0 * t, "stated")
FORMS = ("theorem, matrix form", "theorem, projected error")
TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64)


def turned(size=0.2, scale=1.0):
    """The reference's score with a rotation on top, about the moving mean."""

    def slope(t):
        alpha, variance = float(UNIT.alpha(t)), float(UNIT.variance(t))
        truth = torch.linalg.inv(alpha**2 * COVARIANCE + variance * torch.eye(2, dtype=F64))
        return -scale * truth - size / (1 + 3 * t) * TURN

    return AffineScore(slope, lambda t: -slope(t) @ MEAN * float(UNIT.alpha(t)))


def coupling(score, reference=REFERENCE, *, name="exponential", eta=1.0, steps=40, start="prior"):
    grid = time_grid(UNIT, steps, "logsnr")
    return Coupling(score, reference, solver(name), grid, eta, start, 1, Streams(0))


def rungs(one, constant=FLAT):
    """The proposals of both providers by name."""
    run = Run(one, one.run(8), Confidence(0.95, 2), constant)
    return {p.name: p for provider in (linear, exact_moments) for p in provider(run)}


def proved(one):
    return {name: p.prove(0.95) for name, p in rungs(one).items()}


def test_a_gaussians_score_is_affine():
    found = affine(REFERENCE)
    x = torch.tensor([[0.3, -2.0], [1.0, 1.0]], dtype=F64)
    assert torch.allclose(found(x, 0.4), REFERENCE(x, 0.4), rtol=1e-12)
    assert affine(turned()) is not None
    assert affine(lambda x, t: -x) is None


def test_no_noise_at_time_zero_divides_nothing_by_nothing():
    edm = EDM(sigma_max=2.0)
    reference, score = (GaussianScore(m, COVARIANCE, edm) for m in (MEAN, MEAN + 0.1))
    grid = time_grid(edm, 3, "karras")
    one = Coupling(score, reference, solver("heun"), grid, 0.0, "reference", 1, Streams(0))
    ladder = linear_problem(one, affine(score)).ladder(solver=COARSE)
    assert 0 < ladder.matrix <= ladder.integral <= ladder.cauchy_schwarz * (1 + SLACK) < 1e3


@pytest.mark.parametrize(
    ("name", "eta"), [pytest.param("exponential", 1.0, marks=pytest.mark.slow), ("heun", 0.0)]
)
def test_both_forms_stand_between_the_distance_and_the_theorem(name, eta):
    one = coupling(turned(), name=name, eta=eta, start="reference")
    ladder = linear_problem(one, one.score).ladder(solver=COARSE)
    found = proved(one)
    exact, matrix, projected = (found[rung].limit for rung in ("exact moments", *FORMS))
    gap = matrix - ladder.matrix * (1 + SLACK)
    assert projected == pytest.approx(ladder.projected * (1 + SLACK) + gap, rel=1e-9)
    assert ladder.projected < 0.8 * ladder.integral  # a rotation is no gradient
    assert exact <= min(projected, matrix)
    assert ladder.matrix < ladder.integral
    for rung in FORMS:
        assert found[rung].kind == "deterministic"
        assert all(a.status == "checked" for a in found[rung].assumptions)


@pytest.mark.slow
def test_what_the_steps_add_is_the_distance_to_the_continuous_sampler():
    gaps = []
    for steps in (40, 80):
        one = coupling(turned(0.0, 1.15), name="heun", eta=0.0, steps=steps)
        ladder = linear_problem(one, one.score).ladder(solver=COARSE)
        found = proved(one)
        gaps.append(found["theorem, matrix form"].limit - ladder.matrix * (1 + SLACK))
        assert abs(ladder.w2 - found["exact moments"].limit) <= gaps[-1] * (1 + 1e-9)
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.1)  # second order


def test_start_stop_and_first_time_are_the_samplers():
    grid = time_grid(UNIT, 8, "uniform", stop=0.1)
    late = TimeGrid(grid.times[2:])
    for start in ("prior", "reference"):
        one = Coupling(turned(), REFERENCE, solver("ddim"), late, 0.5, start, 1, Streams(0))
        problem = linear_problem(one, one.score)
        assert problem.top == pytest.approx(float(late.times[0]))
        assert problem.stop == pytest.approx(0.1)
        alpha, sigma = float(UNIT.alpha(problem.top)), float(UNIT.sigma(problem.top))
        if start == "prior":
            assert problem.start_covariance == pytest.approx(sigma**2 * np.eye(2))
        else:
            assert problem.start_mean == pytest.approx(alpha * MEAN.numpy())
        assert problem.ladder(solver=COARSE).w2 == pytest.approx(
            float(w2_gaussian(*marginal(0.1), *output(late, start))), abs=0.05
        )


def marginal(t):
    alpha = float(UNIT.alpha(t))
    return alpha * MEAN, alpha**2 * COVARIANCE + float(UNIT.variance(t)) * torch.eye(2).double()


def output(grid, start):
    """What the same sampler returns on a grid eight times finer."""
    fine = Coupling(turned(), REFERENCE, solver("ddim"), grid.refine(8), 0.5, start, 1, Streams(0))
    return output_moments(fine, turned())[:2]


def test_scaled_units_are_undone():
    scaling = Scaling(torch.zeros(2, dtype=F64), torch.tensor(3.0, dtype=F64))
    found = []
    for unit in (None, scaling):
        law = GaussianScore(MEAN, COVARIANCE, UNIT, scaling=unit)
        wrong = GaussianScore(1.2 * MEAN, 0.8 * COVARIANCE, UNIT, scaling=unit)
        found.append(proved(coupling(wrong, law, steps=6)))
    for name, bound in found[0].items():
        assert found[1][name].limit == pytest.approx(3 * bound.limit, rel=1e-9)


def test_where_there_is_no_such_form():
    mixture = MixtureScore(torch.ones(1, dtype=F64), MEAN[None], COVARIANCE[None], UNIT)
    for score, reference in ((lambda x, t: -x, REFERENCE), (turned(), mixture)):
        assert rungs(coupling(score, reference, steps=4)) == {}
    one = coupling(turned(), name="heun_churn", steps=4)
    assert "moments are not known" in rungs(one)["theorem, matrix form"].obstacle
    assert set(rungs(coupling(turned(), steps=4), None)) == {"exact moments"}


@pytest.mark.slow
def test_they_stand_in_the_ladder():
    found = certify(turned(), REFERENCE, solver="ddim", steps=4, n=16, constant=FLAT)
    assert {*FORMS, "exact moments"} <= {rung.name for rung in found.rungs if rung.valid}
    assert found.best().name == "exact moments"
    assert found.certified
