import math

import pytest
import torch

from wasserscore.certificate.concavity import LogConcave, Smoothed
from wasserscore.certificate.constants import (
    OneSided,
    estimate,
    from_concavity,
    tabulated,
)
from wasserscore.certificate.jacobian import local
from wasserscore.core.errors import InputError
from wasserscore.process import VP
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)


@pytest.mark.parametrize(
    ("alpha2", "offset", "square", "top"),
    [
        (0.9, 0.373598, 9.626402, 80.0),
        (0.5, 0.899199, 1.100801, 0.0),
        (0.1, 0.111041, 1.000070, -0.987654),
    ],
)
def test_two_points(alpha2, offset, square, top):  # A9
    process = VP.constant(beta=1.0, horizon=10.0)
    score = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), process)
    t = -math.log(alpha2)
    alpha, sigma = math.sqrt(alpha2), math.sqrt(1 - alpha2)
    z = torch.linspace(-10, 10, 20001, dtype=F64)
    weight = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    x = alpha + sigma * z
    squared = float(torch.trapezoid(weight * score(x[:, None], t)[:, 0] ** 2, z))
    assert squared == pytest.approx(square, abs=1e-6)
    assert 1 / (1 - alpha2) - squared == pytest.approx(offset, abs=1e-6)
    # the supremum is in the middle, and the ball bound is exact for two points
    assert float(local(score, torch.zeros(1, 1, dtype=F64), t)[0]) == pytest.approx(top, abs=1e-5)
    ball = from_concavity(Smoothed(1.0, 1e-9), process).value(torch.tensor([t], dtype=F64))
    assert float(ball[0]) == pytest.approx(top, abs=1e-5)


def test_an_estimate_sees_the_valley_between_modes_and_says_it_is_an_estimate():
    score = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), VP_LINEAR, bandwidth=0.2)
    generator = torch.Generator().manual_seed(0)
    clouds = [(t, score.sample_marginal(64, t, generator=generator)) for t in (0.01, 0.1, 0.9)]
    found = estimate(score, clouds)
    bound = from_concavity(Smoothed(1.0, 0.2), VP_LINEAR)
    times = torch.tensor([t for t, _ in clouds], dtype=F64)
    assert found.kind == "estimated"
    assert not found.bounding
    assert bool((found.value(times) <= bound.value(times) + 1e-8).all())
    assert float(found.value(times)[0]) > 100


def test_an_estimate_climbs_to_the_valley_from_points_that_do_not_see_it():
    score = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
                         torch.full((2,), 0.04, dtype=F64), VP_LINEAR)  # fmt: skip
    clouds = [(0.1, torch.tensor([[0.3], [0.35], [0.4]], dtype=F64))]
    top = float(from_concavity(Smoothed(1.0, 0.2), VP_LINEAR).value(torch.tensor([0.1]))[0])
    still, climbed = (float(estimate(score, clouds, steps=k).value(torch.tensor([0.1]))[0])
                      for k in (0, 20))  # fmt: skip
    assert still < 0.8 * top
    assert climbed == pytest.approx(top, rel=1e-3)
    assert climbed <= top


def table(kind="stated", **settings):
    times = torch.tensor([0.0, 1.0, 2.0], dtype=F64)
    return tabulated(times, torch.tensor([2.0, 4.0, 3.0], dtype=F64), kind, **settings)


def test_a_table_is_the_larger_neighbour_and_knows_nothing_outside():
    at = torch.tensor([0.0, 0.25, 1.0, 1.5, 2.0], dtype=F64)
    assert table().value(at).tolist() == [2.0, 4.0, 4.0, 4.0, 3.0]
    outside = torch.tensor([-0.1, 2.1], dtype=F64)
    assert bool(torch.isinf(table().value(outside)).all())
    assert table("estimated").value(outside).tolist() == [2.0, 3.0]


def test_a_table_with_a_modulus_bounds_every_curve_of_that_modulus():
    curve = lambda t: torch.sin(3 * t) + 0.2 * torch.cos(20 * t)
    times = torch.linspace(0, 2, 9, dtype=F64)
    at = torch.linspace(-0.2, 2.3, 400, dtype=F64)
    bound = tabulated(times, curve(times), "stated", modulus=7.0).value(at)
    assert bool((bound >= curve(at)).all())
    assert torch.allclose(tabulated(times, curve(times), "stated", modulus=7.0).value(times),
                          curve(times), atol=1e-12)  # fmt: skip
    # the rule without a modulus is for monotone stretches, and this curve has none
    assert not bool((tabulated(times, curve(times), "stated").value(at) >= curve(at)).all())


def test_a_certified_table_needs_a_modulus():
    with pytest.raises(InputError, match="modulus"):
        table("certified", of=object())


def test_a_constant_belongs_to_one_score():
    law = from_concavity(LogConcave(1.0, 1.0), VP_LINEAR)
    score, other = (GaussianScore(torch.zeros(1), torch.ones(1), VP_LINEAR) for _ in range(2))
    assert law.belongs_to("reference", score)
    assert not law.belongs_to("model", score)
    mine = OneSided(law.value, "certified", of=score)
    assert mine.belongs_to("model", score)
    assert not mine.belongs_to("model", other)
    assert mine.status(score) == "checked"
    assert mine.status(other) == "assumed"
    # a user's word is never more than that
    for kind in ("stated", "analytic", "estimated"):
        assert OneSided(law.value, kind, of=score).status(score) == "assumed"


def test_a_certified_constant_names_its_score():
    with pytest.raises(InputError, match="certified constant belongs to one score"):
        OneSided(lambda t: t, "certified")
    with pytest.raises(InputError, match="of must be"):
        OneSided(lambda t: t, "stated", of="somebody")


def test_only_named_kinds():
    with pytest.raises(InputError, match="kind"):
        OneSided(lambda t: t, "guessed")
    assert from_concavity(LogConcave(1.0, 1.0), VP_LINEAR).bounding
