"""Likelihoods against densities known in closed form."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.process import EDM, OU, VE, VP
from wasserscore.sampling import log_likelihood
from wasserscore.sampling.divergence import divergence
from wasserscore.score import GaussianScore, MixtureScore

MEAN = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
ROOT = torch.tensor([[0.8, 0.0, 0.0], [0.3, 0.4, 0.0], [-0.2, 0.1, 1.1]], dtype=torch.float64)
COVARIANCE = ROOT @ ROOT.T
PROCESSES = [
    EDM(sigma_max=80.0),
    VP.linear(a=19.9, b=0.1, horizon=1.0),
    pytest.param(VE.exponential(a=1.0, b=1.0), marks=pytest.mark.slow),
    pytest.param(OU(alpha=1.0, sigma=2.0), marks=pytest.mark.slow),
]


@pytest.fixture
def points(generator):
    return torch.randn(30, 3, generator=generator, dtype=torch.float64) @ ROOT.T + MEAN


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
def test_gaussian_to_a_ten_thousandth_of_a_nat_per_dimension(points, process):
    score = GaussianScore(MEAN, COVARIANCE, process)
    truth = torch.distributions.MultivariateNormal(MEAN, COVARIANCE).log_prob(points)
    result = log_likelihood(score, points)
    assert result.stderr is None
    assert (result.value - truth).abs().max() < 1e-4 * 3


def test_the_integration_is_of_fourth_order(points):
    score = GaussianScore(MEAN, COVARIANCE, EDM(sigma_max=80.0))
    truth = score.log_prob(points)
    coarse, fine = (
        float((log_likelihood(score, points, steps=k, least_noise=1e-3).value - truth).abs().max())
        for k in (12, 24)
    )
    assert math.log2(coarse / fine) == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("away", [1e3, 1e8])
def test_data_far_from_zero_have_the_likelihood_of_data_around_it(points, away):
    for process in (EDM(sigma_max=80.0), VP.linear(a=19.9, b=0.1, horizon=1.0)):
        near, far = (GaussianScore(MEAN + by, COVARIANCE, process) for by in (0.0, away))
        near, far = log_likelihood(near, points).value, log_likelihood(far, points + away).value
        torch.testing.assert_close(far, near, rtol=0, atol=1e-6)


def test_a_plain_callable_has_the_density_of_its_samples(points):
    """From the prior N(0, S) the flow of N(mu, l) draws N(mu (1 - k), k^2 S), k^2 = l/(l+S)."""
    process, top = EDM(sigma_max=20.0), 400.0
    variance = torch.tensor([0.05, 0.25, 1.5], dtype=torch.float64)
    k = (variance / (variance + top)).sqrt()
    truth = torch.distributions.Normal(MEAN * (1 - k), k * top**0.5).log_prob(points).sum(1)
    score = lambda x, t: -(x - MEAN) / (variance + t**2)
    result = log_likelihood(score, points, process=process, steps=60)
    assert (result.value - truth).abs().max() < 2e-4


def test_mixture(generator):
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    spread = torch.tensor([0.3, 0.5], dtype=torch.float64) ** 2
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    score = MixtureScore(weights, means, spread, VP.linear(a=19.9, b=0.1, horizon=1.0))
    x = score.sample_marginal(60, generator=generator)
    result = log_likelihood(score, x, steps=50)
    assert (result.value - score.log_prob(x)).abs().max() < 2e-4


def test_a_network_that_errs_at_a_far_horizon_moves_no_data_away(generator):
    """What it errs by in units of the noise is a shift of the mean of 20,000 times as much."""
    process = VP.linear(a=19.9, b=0.1)
    process = VP.linear(a=19.9, b=0.1, horizon=float(process.time_at(4e8)))
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    exact = MixtureScore(torch.ones(2, dtype=torch.float64), means, torch.full((2,), 0.1), process)
    score = lambda x, t: exact(x, t) - 0.02 / process.sigma(t)
    points = means.repeat(4, 1) + 0.3 * torch.randn(8, 2, generator=generator, dtype=torch.float64)
    few, many = (log_likelihood(score, points, process=process, steps=k) for k in (40, 160))
    torch.testing.assert_close(few.value, many.value, rtol=0, atol=0.01)


def test_hutchinson_is_unbiased_with_an_honest_error(points):
    score = GaussianScore(MEAN, COVARIANCE, EDM(sigma_max=80.0))
    exact = log_likelihood(score, points, steps=15).value
    result = log_likelihood(score, points, probes=24, steps=15)
    pull = (result.value - exact) / result.stderr
    assert 0.7 < float(pull.square().mean().sqrt()) < 1.5
    assert (result.stderr > 0).all()
    assert result[3].stderr == pytest.approx(float(result.stderr[3]))
    assert "24 probes" in repr(result)


def test_a_point_depends_on_its_row_only(points):
    score = GaussianScore(MEAN, COVARIANCE, EDM(sigma_max=80.0))
    for probes in (0, 4):
        whole = log_likelihood(score, points, probes=probes, steps=8)
        some = log_likelihood(score, points[:7], probes=probes, steps=8)
        assert torch.equal(some.value, whole.value[:7])


def test_density_in_the_units_of_the_data(points):
    scale = torch.tensor([2.0, 0.5, 10.0], dtype=torch.float64)
    scaling = Scaling(MEAN, scale)
    score = GaussianScore(0 * MEAN, COVARIANCE, EDM(sigma_max=80.0), scaling=scaling)
    model = torch.distributions.MultivariateNormal(0 * MEAN, COVARIANCE)
    truth = model.log_prob((points - MEAN) / scale) - math.log(2.0 * 0.5 * 10.0)
    assert torch.allclose(log_likelihood(score, points).value, truth, atol=1e-4)


def test_bits_per_dimension(points):
    result = log_likelihood(GaussianScore(MEAN, COVARIANCE, EDM(sigma_max=80.0)), points)
    nats = float(result.value.mean())
    assert float(result.bits_per_dim()) == pytest.approx(-nats / 3 / math.log(2))
    assert float(result.bits_per_dim(1 / 8)) == pytest.approx(-nats / 3 / math.log(2) + 3)
    assert result.mean.stderr == pytest.approx(float(result.value.std()) / 30**0.5)
    assert result.bits_per_dim().stderr == pytest.approx(result.mean.stderr / 3 / math.log(2))
    assert "bits per dimension" in repr(result)
    assert len(result) == 30
    assert result.to_dict()["value"][0] == pytest.approx(float(result.value[0]))


def test_evaluations_are_counted_and_never_at_zero_noise(points, counting):
    score = counting(lambda x, t: -x / (1 + t**2))
    result = log_likelihood(score, points[:4], process=EDM(sigma_max=80.0), steps=10)
    assert score.evaluations == result.evaluations == 42
    assert min(score.times) == pytest.approx(0.002)


@pytest.mark.parametrize(("steps", "variance"), [(1000, 1.0), (1000, 0.01), (100, 0.05)])
def test_a_chain_is_not_asked_below_its_first_step(points, steps, variance):
    """Below it a network of timesteps repeats its first one, which is noise that is not there."""
    betas = torch.linspace(0.1, 20.0, steps, dtype=torch.float64) / steps
    process, asked = VP.chain(betas=betas.tolist()), []
    law = GaussianScore(torch.zeros_like(MEAN), variance * torch.eye(3).double(), process)

    def repeats(x, t):
        asked.append(float(t))
        seen = t.clamp_min(1.0)
        return law(x, seen) * process.sigma(seen) / process.sigma(t)

    x = variance**0.5 * points
    found = log_likelihood(repeats, x, process=process).value
    assert min(asked) == 1.0
    torch.testing.assert_close(found, law.log_prob(x, 0.0), rtol=0, atol=5e-3)


def test_divergence_of_a_cubic(generator):
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    field = lambda y: y**3 @ ROOT
    value, exact = divergence(field, x, None)
    expected = (3 * x**2 * torch.diagonal(ROOT)).sum(1)
    assert torch.allclose(exact[0], expected)
    assert torch.equal(value, field(x))
    signs = torch.sign(torch.randn(20_000, 5, 3, generator=generator, dtype=torch.float64))
    _, probed = divergence(field, x, signs[:2000])
    assert torch.allclose(probed.mean(0), expected, atol=5 * float(probed.std()) / 2000**0.5)


def test_what_has_no_likelihood_is_refused(points):
    score = GaussianScore(MEAN, COVARIANCE, EDM(sigma_max=80.0))
    with pytest.raises(InputError, match="differentiable"):
        log_likelihood(lambda x, t: score(x.detach(), t), points, process=score.process)
    with pytest.raises(InputError, match="needs a process"):
        log_likelihood(lambda x, t: -x, points)
    for turned in (lambda s: s.T, lambda s: s.flatten(), lambda s: s[0]):
        with pytest.raises(InputError, match="a score must be shaped like its points, got"):
            log_likelihood(lambda x, t, turned=turned: turned(score(x, t)), points,
                           process=score.process)  # fmt: skip
    with pytest.raises(InputError, match="a score must return a tensor, got tuple"):
        log_likelihood(lambda x, t: (score(x, t),), points, process=score.process)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="least_noise must be positive and finite, got"):
            log_likelihood(score, points, least_noise=wrong)
    with pytest.raises(InputError, match="at least 2"):
        log_likelihood(score, points, probes=1)
    with pytest.raises(InputError, match="steps"):
        log_likelihood(score, points, steps=0)


@pytest.mark.parametrize(("sigma_max", "asked"), [(80.0, 10.0), (5.0, 5.0)])
def test_the_mean_of_the_data_is_asked_at_a_noise_of_ten_or_the_horizon(sigma_max, asked):
    seen = []

    def score(x, t):
        seen.append(float(t.max()))
        return -x / (1 + t.square())

    log_likelihood(score, torch.zeros(2, 2).double(), process=EDM(sigma_max=sigma_max))
    assert seen[0] == pytest.approx(asked, rel=1e-12)
