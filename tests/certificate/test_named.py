"""Constants by name, as a command line gives them."""

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.named import named
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
TIMES = torch.tensor([0.1, 1.0], dtype=F64)
MIX = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
                   torch.full((2,), 0.04, dtype=F64), UNIT)  # fmt: skip
NARROW = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1,), 0.25, dtype=F64), UNIT)


def coupling(score, reference):
    grid = time_grid(UNIT, 8)
    return Coupling(score, reference, solver("heun"), grid, 0.0, "prior", 1, Streams(0))


def test_the_search_finds_the_valley_and_makes_no_bound():
    found = named("estimated", coupling(MIX, MIX))
    assert found.kind == "estimated"
    assert found.of == "model"
    times = coupling(MIX, MIX).grid.times[:-1]  # a table: exact at its own times
    top = named("certified", coupling(MIX, MIX)).value(times)
    assert bool((found.value(times) <= top + 1e-9 * top.abs()).all())
    assert float(found.value(times)[-1]) > 0.5 * float(top[-1])


def test_proofs_belong_to_their_score():
    both = coupling(NARROW, MIX)
    model, reference = named("certified", both), named("reference", both)
    assert (model.of is NARROW, reference.of is MIX) == (True, True)
    exact = -1 / (0.25 * UNIT.alpha(TIMES) ** 2 + UNIT.variance(TIMES))
    assert torch.allclose(model.value(TIMES), exact, rtol=1e-12)


def test_a_number_is_stated_and_a_constant_is_itself():
    for given in (-1.5, "-1.5"):
        found = named(given, coupling(NARROW, MIX))
        assert (found.kind, found.value(TIMES).tolist()) == ("stated", [-1.5, -1.5])
    own = OneSided(lambda t: 0 * t, "stated")
    assert named(own, coupling(NARROW, MIX)) is own
    assert named(None, coupling(NARROW, MIX)) is None


def test_what_is_not_known_is_refused():
    with pytest.raises(InputError, match="estimated, certified, reference"):
        named("guessed", coupling(NARROW, MIX))
    for given in ("nan", float("inf")):
        with pytest.raises(InputError, match="must be a number"):
            named(given, coupling(NARROW, MIX))
    with pytest.raises(InputError, match="no proved"):
        named("certified", coupling(lambda x, t: -x, MIX))


@pytest.mark.slow
def test_an_estimate_by_name_never_says_certified():
    found = certify(MIX, MIX, steps=4, n=16, constant="estimated")
    theorem = [rung for rung in found.rungs if rung.name.startswith("theorem")]
    assert theorem
    assert not any(rung.valid for rung in theorem)
    assert "certified" not in repr(found)
    assert not found.certified
