"""A mixture of proximal laws is one proximal law, where the laws share their floor."""

import pytest
import torch
from tests.score.contract import draw

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.process import EDM, VP
from wasserscore.score import GroupedScore, LatentScore, ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VP.linear(a=2.0, b=0.1)
SHARES = torch.tensor([1.0, 3.0], dtype=torch.float64)
FLOOR = torch.tensor([0.3, 0.1, 0.2], dtype=torch.float64)
SCALING = Scaling(torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 3.0, 1.0]))


def parts(**options):
    """Two laws of three coordinates, with weights of their own."""
    return tuple(
        ProximalScore(
            1.5 * draw(k, 3, seed=k), Spiked(0.4 * draw(k, 3, 1, seed=10 + k), FLOOR), CLOCK,
            torch.arange(1, k + 1).double(), **options,
        )
        for k in (4, 6)
    )  # fmt: skip


def joined(laws):
    """All centres in one law."""
    weights = [s * law.law.weights for s, law in zip(SHARES / 4, laws, strict=True)]
    factors = torch.cat([law.covariance.factors for law in laws])
    return ProximalScore(torch.cat([law.centres for law in laws]), Spiked(factors, FLOOR), CLOCK,
                         torch.cat(weights), scaling=SCALING)  # fmt: skip


@pytest.fixture
def pair():
    laws = parts(scaling=SCALING)
    return GroupedScore(laws, SHARES, CLOCK, scaling=SCALING), joined(laws)


def same(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def test_it_is_the_law_of_all_centres(pair):
    grouped, one = pair
    x, t = 2 * draw(8, 3), torch.linspace(0.05, 1.0, 8).double()
    uniform, noise = torch.linspace(0, 0.999, 8).double(), draw(8, 3, seed=3)
    for name in ("__call__", "log_prob", "denoise", "divergence"):
        same(getattr(grouped, name)(x, t), getattr(one, name)(x, t))
    assert torch.equal(grouped.component(x, t, uniform), one.component(x, t, uniform))
    index = torch.tensor([0, 3, 4, 9, 5, 1, 8, 2])
    same(grouped.bridge(x, index, t, t / 3, noise=noise),
         one.bridge(x, index, t, t / 3, noise=noise))  # fmt: skip
    for got, wanted in zip(grouped.moments(), one.moments(), strict=True):
        same(got, wanted)
    assert (grouped.components, grouped.least_variance) == (10, one.least_variance)


def test_every_component_comes_with_its_probability(pair):
    """The inverse of the distribution function, at the middle of every step of it."""
    grouped, one = pair
    x, t = draw(1, 3), 0.7
    tau = float(CLOCK.noise_to_signal(torch.tensor(t)))
    probabilities = one.law.log_joint(x / CLOCK.alpha(torch.tensor(t)), tau)[0].softmax(0)
    middles = probabilities.cumsum(0) - probabilities / 2
    assert grouped.component(x.expand(10, -1), t, middles).tolist() == list(range(10))


def test_given_some_coordinates_it_is_that_of_all_centres(pair):
    grouped, one = pair
    y = torch.tensor([0.4, torch.nan, torch.nan], dtype=torch.float64)
    got, wanted, x = grouped.conditioned(y), one.conditioned(y), draw(5, 2)
    same(got.log_prob(x), wanted.log_prob(x))
    assert torch.equal(got.scaling.shift, wanted.scaling.shift)
    columns = torch.tensor([2, 0])
    got, wanted = grouped.marginal(columns), one.marginal(columns)
    same(got.log_prob(x), wanted.log_prob(x))
    assert torch.equal(got.scaling.scale, wanted.scaling.scale)


def test_a_group_that_a_condition_excludes_is_left_out():
    apart = torch.tensor([100.0, 0.0, 0.0], dtype=torch.float64)
    one, other = parts()
    far = ProximalScore(other.centres + apart, other.covariance, CLOCK, other.weights)
    nan = torch.nan
    found = GroupedScore((one, far), SHARES, CLOCK).conditioned(torch.tensor([100.0, nan, nan]))
    assert len(found.laws) == 1
    same(found.log_prob(draw(5, 2)), far.conditioned(torch.tensor([100.0, nan, nan])).log_prob(
        draw(5, 2)))  # fmt: skip


def test_draws_have_the_shares_and_moments_of_the_groups():
    laws = parts()
    far = ProximalScore(laws[1].centres + 50, laws[1].covariance, CLOCK, laws[1].weights)
    grouped = GroupedScore((laws[0], far), SHARES, CLOCK)
    x = grouped.sample_marginal(20_000, generator=torch.Generator().manual_seed(0))
    of_far = x[:, 0] > 25
    assert abs(float(of_far.double().mean()) - 0.75) < 4 * (0.75 * 0.25 / 20_000) ** 0.5
    for law, rows in ((laws[0], x[~of_far]), (far, x[of_far])):
        mean, covariance = law.moments()
        error = (torch.diagonal(covariance) / len(rows)).sqrt()
        assert bool(((rows.mean(0) - mean).abs() < 4 * error).all())
    # groups come mixed, not one after the other
    assert 0.7 < float(of_far[:10_000].double().mean()) < 0.8


def test_laws_of_other_points_and_shares_are_refused():
    one, other = parts()
    flat = LatentScore(ProximalScore(draw(4, 1), Spiked(draw(4, 1, 1), FLOOR[:1]), CLOCK),
                       torch.tensor([[0.6], [0.8]]).double(), draw(2), 0.1, CLOCK)  # fmt: skip
    with pytest.raises(InputError, match="as many coordinates, got \\[3, 2\\]"):
        GroupedScore((one, flat), SHARES, CLOCK)
    with pytest.raises(InputError, match="positive, one per law"):
        GroupedScore((one, other), SHARES[:1], CLOCK)
    with pytest.raises(InputError, match="positive, one per law"):
        GroupedScore((one, other), torch.tensor([1.0, 0.0]), CLOCK)
    moved = GroupedScore((one, other), SHARES, CLOCK).under(EDM())
    assert all(law.process == EDM() for law in moved.laws)
