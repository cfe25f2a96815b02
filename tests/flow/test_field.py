"""The score difference as a field: its fixed points, symmetries and limits."""

import math

import pytest
import torch
from tests.flow.clouds import STREAMS, difference, draw

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.flow import ScoreDifference
from wasserscore.flow.interaction import REACH
from wasserscore.flow.kernels import KERNELS
from wasserscore.flow.sides import CloudSide, PlainSide, ScoreSide, as_side
from wasserscore.kernel import stream
from wasserscore.process import EDM, VP
from wasserscore.score import GaussianScore, MixtureScore, NetworkScore


def dense(z, y, sigma):
    weights = (-(z[:, None] - y).square().sum(2) / (2 * sigma**2)).softmax(1)
    return weights @ y


@pytest.mark.parametrize("tile", [2**11, 2**21])
def test_C5_streams_like_the_full_matrix(monkeypatch, tile):
    monkeypatch.setattr(stream, "TILE_BYTES", tile)  # runs of 256 keys, then all at once
    x, y, sigma = draw(300), draw(600, seed=1, scale=3), 0.4
    expected = dense(x, y, sigma) - dense(x, x, sigma)
    found = difference(x, y, sigma)
    assert float((found - expected).abs().max()) < 1e-12
    low = difference(x.float(), y.float(), sigma)
    assert float((low - expected).abs().max()) < 2e-6 * float(y.norm(dim=1).max())


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_C6_equals_the_attention_of_torch(sigma):
    """Queries (z, 1), keys (y, -|y|^2/2), scale 1/sigma^2, in float32."""
    x, y = draw(50, 7).float(), draw(80, 7, seed=1).float()

    def attention(y):
        ones = torch.ones(len(x), 1)
        queries = torch.cat([x, ones], 1)
        keys = torch.cat([y, -y.square().sum(1, keepdim=True) / 2], 1)
        return torch.nn.functional.scaled_dot_product_attention(
            queries[None], keys[None], y[None], scale=sigma**-2
        )[0]

    expected = attention(y) - attention(x)
    assert float((difference(x, y, sigma) - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("kernel", KERNELS)
def test_C7_the_same_set_is_at_rest_only_if_particles_count_themselves(kernel):
    x = draw(80)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1))
    settings = {"kernel": KERNELS[kernel]}
    assert float(difference(x, x[order], 0.3, **settings).abs().max()) < 1e-12
    assert float(difference(x, x, 0.3, "leave_one_out", **settings).abs().max()) > 1e-3


@pytest.mark.parametrize("rule", ["keep", "leave_one_out"])
def test_C8_moves_with_the_space(rule):
    x, y, sigma = draw(40, 3), draw(60, 3, seed=1, scale=2), 0.6
    rotation = torch.linalg.qr(draw(3, 3, seed=2)).Q
    shift = torch.tensor([5.0, -3.0, 1.0], dtype=torch.float64)
    moved = difference(x @ rotation.T + shift, y @ rotation.T + shift, sigma, rule)
    assert float((moved - difference(x, y, sigma, rule) @ rotation.T).abs().max()) < 1e-10


@pytest.mark.parametrize("kernel", KERNELS)
def test_C9_scales_with_the_space(kernel):
    x, y, c = draw(40), draw(60, seed=1, scale=2), 7.0
    settings = {"kernel": KERNELS[kernel]}
    large = difference(c * x, c * y, 0.6 * c, **settings)
    assert float((large - c * difference(x, y, 0.6, **settings)).abs().max()) < 1e-10


def test_C10_changes_sign_with_the_sides():
    z, x, y = draw(9), draw(40, seed=1), draw(60, seed=2, scale=2)
    field = ScoreDifference()
    there = field(z, CloudSide(y), 0.5, STREAMS, source=CloudSide(x)).move
    back = field(z, CloudSide(x), 0.5, STREAMS, source=CloudSide(y)).move
    assert torch.equal(there, -back)


def test_C11_far_queries_go_to_the_nearest_target():
    y = draw(30)
    x = 1e3 * torch.nn.functional.normalize(draw(5, seed=1), dim=1)
    found = difference(x, y, 0.05)
    nearest = y[torch.cdist(x, y).argmin(1)] - x  # a particle's nearest particle is itself
    torch.testing.assert_close(found, nearest, rtol=0, atol=1e-9)


def test_C12_a_wide_kernel_moves_the_mean():
    x, y = draw(40), draw(60, seed=1, scale=2, shift=3)
    mean = y.mean(0) - x.mean(0)
    errors = [float((difference(x, y, sigma) - mean).abs().max()) for sigma in (200.0, 400.0)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.01)
    assert errors[1] < 1e-3


# Rules ------------------------------------------------------------------------------------------


def test_gains_of_the_rules():
    """Slope of the estimate on the true smoothed score of N(0, 1): one too low, one too high."""
    sigma, n, slopes = 0.4, 50, {"keep": [], "leave_one_out": []}
    nothing = PlainSide(torch.zeros_like)
    for seed in range(60):
        x = draw(n, 1, seed=seed)
        truth = -x / (1 + sigma**2)
        for rule, found in slopes.items():
            field = ScoreDifference(self_interaction=rule)
            estimate = -field(x, nothing, sigma, STREAMS).move / sigma**2
            found.append(float((estimate * truth).sum() / truth.square().sum()))
    means = {rule: sum(found) / len(found) for rule, found in slopes.items()}
    assert means["keep"] == pytest.approx(0.852, abs=0.03)
    assert means["leave_one_out"] == pytest.approx(1.174, abs=0.06)


def test_K2_particles_that_leave_themselves_out_do_not_run_away():
    """Two particles double their distance at every step unless the source's pull is cut."""
    x, y, sigma = draw(2, scale=3), draw(20, seed=1), 0.1
    field, radius = ScoreDifference(self_interaction="leave_one_out"), float(y.norm(dim=1).max())
    for _ in range(30):
        drift = field(x, CloudSide(y), sigma, STREAMS)
        x = x + drift.move
        assert float(x.norm(dim=1).max()) < radius + 3 * sigma * math.sqrt(2) + 1e-9
    assert drift.capped > 0


def test_noised_queries_average_to_the_gradient_of_the_smoothed_divergence():
    """KL(q_s || p_s) between a cloud and a Gaussian on the line, by quadrature and autograd."""
    sigma, x = 0.5, draw(4, 1)
    grid = torch.linspace(-12, 12, 6001, dtype=torch.float64)

    def divergence(x):
        logs = (-(grid[:, None] - x[:, 0]).square() / (2 * sigma**2)).logsumexp(1)
        log_q = logs - math.log(len(x) * sigma * math.sqrt(2 * math.pi))
        log_p = (
            -(grid - 1).square() / (2 * (2 + sigma**2))
            - math.log(2 * math.pi * (2 + sigma**2)) / 2
        )
        return torch.trapezoid(log_q.exp() * (log_q - log_p), grid)

    variable = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(variable), variable)
    target = ScoreSide(
        GaussianScore(torch.ones(1).double(), torch.full((1,), 2.0).double(), EDM())
    )
    field = ScoreDifference(self_interaction="noised", draws=4)
    again = x.repeat(1000, 1)  # the same law, and a thousand draws at once
    found = field(again, target, sigma, STREAMS).move.reshape(1000, 4, 1).mean(0)
    torch.testing.assert_close(found / sigma**2, -len(x) * gradient, rtol=0, atol=0.06)


def test_independent_halves_see_each_other_only():
    x, sigma = draw(10), 0.5
    found = ScoreDifference(self_interaction="independent")(
        x, PlainSide(torch.zeros_like), sigma, STREAMS
    )
    order = torch.randperm(10, generator=STREAMS.generator("halves"))
    first, second = order[:5], order[5:]
    expected = torch.empty_like(x)
    expected[first] = x[first] - dense(x[first], x[second], sigma)
    expected[second] = x[second] - dense(x[second], x[first], sigma)
    cut = REACH * sigma * math.sqrt(2)
    expected *= (cut / expected.norm(dim=1, keepdim=True)).clamp_max(1)
    torch.testing.assert_close(found.move, expected, rtol=1e-12, atol=1e-12)
    assert found.self_weight == 0


def test_diagnostics_by_hand():
    x, y, sigma = draw(25), draw(31, seed=1), 0.3
    drift = ScoreDifference()(x, CloudSide(y), sigma, STREAMS)
    weights = lambda z, y: (-(z[:, None] - y).square().sum(2) / (2 * sigma**2)).softmax(1)
    of_target, of_source = weights(x, y), weights(x, x)
    expected = (dense(x, y, sigma) - dense(x, x, sigma)) / sigma**2
    assert drift.fisher == pytest.approx(float(expected.square().sum(1).mean()))
    assert drift.ess_target == pytest.approx(float((1 / of_target.square().sum(1)).median()))
    assert drift.ess_source == pytest.approx(float((1 / of_source.square().sum(1)).median()))
    assert drift.self_weight == pytest.approx(float(of_source.diagonal().median()))


# Sides ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [EDM(), VP.linear(a=0.1, b=20.0)], ids=repr)
def test_a_score_is_asked_at_its_noise_level(process):
    """The pull of N(m, C) at sigma, in closed form, whatever the process; densities agree."""
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
    z, sigma = draw(6), 0.7
    smoothed = covariance + sigma**2 * torch.eye(2, dtype=torch.float64)
    law = torch.distributions.MultivariateNormal(mean, smoothed)
    found = ScoreSide(GaussianScore(mean, covariance, process))(z, sigma)
    expected = sigma**2 * (mean - z) @ torch.linalg.inv(smoothed)
    torch.testing.assert_close(found.pull, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found.log_density, law.log_prob(z), rtol=1e-8, atol=1e-8)


def test_networks_clouds_and_laws_agree_where_they_are_the_same_law():
    """A point mass: a cloud of one point, a Gaussian of no width, a network that says so."""

    class Constant(torch.nn.Module):
        dim = 3

        def forward(self, x, noise):
            return torch.full_like(x, 0.25)

    z, sigma = draw(6, 3), 0.7
    point = torch.full((1, 3), 0.25, dtype=torch.float64)
    network = NetworkScore(Constant(), EDM(), prediction="data", preconditioning="none")
    law = MixtureScore(torch.ones(1), point, torch.zeros(1).double(), EDM())
    cloud = CloudSide(point)(z, sigma)
    for score in (network, law):
        torch.testing.assert_close(ScoreSide(score)(z, sigma).pull, cloud.pull)
    expected = ScoreSide(law)(z, sigma).log_density
    torch.testing.assert_close(cloud.log_density, expected)


def test_what_does_not_fit_is_refused():
    x = draw(5)
    score = GaussianScore(torch.zeros(2).double(), torch.ones(2).double(), EDM(sigma_max=2.0))
    with pytest.raises(InputError, match="same dimension, got 2 and 3"):
        as_side(draw(5, 3), x, KERNELS["gaussian"])
    with pytest.raises(InputError, match="must be finite, got nan at row 0"):
        as_side(x * torch.nan, x, KERNELS["gaussian"])
    with pytest.raises(InputError, match="smoothed by a Gaussian"):
        as_side(score, x, KERNELS["laplace"])
    with pytest.raises(InputError, match="must reach the bandwidth"):
        ScoreSide(score)(x, 3.0)
    with pytest.raises(InputError, match="one gradient per particle"):
        PlainSide(lambda z: z[:1])(x, 1.0)
    for settings, words in (
        ({"self_interaction": "drop"}, "unknown self_interaction"),
        ({"divergence": "hellinger"}, "unknown divergence"),
        ({"stochasticity": -1.0}, "non-negative"),
        ({"stochasticity": 0.5, "divergence": "chi_squared"}, "only reverse_kl"),
        ({"draws": 0}, "draws"),
    ):
        with pytest.raises(InputError, match=words):
            ScoreDifference(**settings)
    with pytest.raises(InputError, match="two particles"):
        difference(x[:1], x, 1.0, "leave_one_out")
    with pytest.raises(InputError, match="needs densities on both sides"):
        ScoreDifference(divergence="chi_squared")(x, PlainSide(torch.neg), 1.0, Streams(0))
