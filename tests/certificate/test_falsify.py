"""A constant that is too small is shown to be, with a witness; a true one never is."""

import pytest
import torch

from wasserscore.certificate.concavity import LogConcave, Smoothed
from wasserscore.certificate.constants import OneSided, from_concavity
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.falsify import falsified, falsify
from wasserscore.certificate.meetings import meetings
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)
TWO = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
                   torch.full((2,), 0.04, dtype=F64), UNIT)  # fmt: skip


def flat(value):
    return OneSided(lambda t: torch.full_like(t, value), "stated")


def pairs(score, reference, *, eta=1.0, n=32, steps=12, name="ddim"):
    grid = time_grid(reference.process, steps, "karras")
    return meetings(Coupling(score, reference, solver(name), grid, eta, "prior", 2, Streams(2)), n)


def weak(x, t):
    return 0.3 * STANDARD(x, t)


def test_the_constant_of_the_true_score_is_refuted_for_a_weaker_model():
    constant = from_concavity(LogConcave(1.0, 1.0), UNIT)  # -1, and the model has -.3
    witness = falsify(constant, weak, pairs(weak, STANDARD))
    assert witness is not None
    assert witness.found == pytest.approx(-0.3, abs=1e-6)
    assert witness.constant == pytest.approx(-1.0)
    found = falsified(constant, witness, weak)
    assert found.status == "violated"
    assert "-0.3 > -1" in found.detail
    # and the pair it names does show it
    assert witness.y is not None
    slope = (weak(witness.x[None], 1.0) - weak(witness.y[None], 1.0)) / (witness.x - witness.y)
    assert float(slope) == pytest.approx(-0.3)


@pytest.mark.parametrize("value", [-0.3, -0.2999])
def test_a_tight_constant_survives(value):
    constant = flat(value)
    assert falsify(constant, weak, pairs(weak, STANDARD)) is None
    assert falsified(constant, None, weak).status == "assumed"


def test_the_valley_between_modes_is_a_witness_where_no_pair_lies_across_it():
    bound, met = from_concavity(Smoothed(1.0, 0.2), UNIT), pairs(TWO, TWO)
    assert falsify(bound, TWO, met) is None
    shrunk = OneSided(lambda t: 0.5 * bound.value(t), "stated")
    near = [(m.t, m.x, m.x + 1e-3) for m in met if 0.05 < m.t < 0.3]
    beyond = [(t, x[keep], y[keep]) for t, x, y in near if (keep := x[:, 0] > 0.6).any()]
    assert falsify(shrunk, TWO, beyond) is None
    climbed = falsify(shrunk, TWO, near, steps=20)
    assert climbed is not None
    assert climbed.how == "eigenvalue"
    assert abs(float(climbed.x)) < 0.3


def test_the_sampler_in_the_meetings_is_the_one_that_is_certified():
    grid = time_grid(UNIT, 12, "karras")
    for eta in (0.0, 1.0):
        coupling = Coupling(weak, STANDARD, solver("ddim"), grid, eta, "prior", 2, Streams(2))
        met, ends = meetings(coupling, 16), coupling.run(16)
        assert [m.t for m in met] == grid.times.tolist()
        assert torch.equal(met[-1].y, ends.model)
        assert torch.allclose(met[-1].x, ends.reference, atol=1e-12)


def test_the_reference_keeps_its_law_at_every_meeting():
    for m in pairs(TWO, TWO, n=4096, steps=6):
        alpha, variance = float(UNIT.alpha(m.t)), float(UNIT.variance(m.t))
        expected = alpha**2 * 1.04 + variance
        assert float(m.x.square().mean()) == pytest.approx(expected, rel=0.1)
        inner = (m.x.abs() < 0.5 * alpha).double().mean()
        drawn = TWO.sample_marginal(20000, m.t, generator=torch.Generator().manual_seed(0))
        assert float(inner) == pytest.approx(
            float((drawn.abs() < 0.5 * alpha).double().mean()), abs=0.03
        )


def test_points_that_are_not_finite_are_no_witness():
    x = torch.tensor([[float("nan")], [1.0]], dtype=F64)
    assert falsify(flat(-0.3), weak, [(1.0, x, x + 1)]) is None
