"""One flow, many names: samplers, GAN losses and kernel methods as score differences."""

import math
from itertools import pairwise

import pytest
import torch
from tests.flow.clouds import STREAMS, difference, draw, log_mean_kernel, score_of

from wasserscore.core.errors import InputError
from wasserscore.distance import balance
from wasserscore.dynamics.relaxation import relax
from wasserscore.flow import ScoreDifference
from wasserscore.flow.baselines import MMD, SVGD, langevin
from wasserscore.flow.divergence import weight
from wasserscore.flow.kernels import InverseMultiquadric, Laplace
from wasserscore.flow.links import diffusion_step
from wasserscore.flow.sides import CloudSide, PlainSide, ScoreSide
from wasserscore.flow.sinkhorn import SinkhornDivergence
from wasserscore.process import EDM
from wasserscore.score import MixtureScore

D = 2
MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
MIXTURE = MixtureScore(torch.tensor([0.5, 0.5]), MEANS, torch.full((2,), 0.09).double(), EDM())
TARGET = ScoreSide(MIXTURE)


# Diffusion --------------------------------------------------------------------------------------


def test_C14_the_denoiser_of_a_single_particle_is_itself():
    x, z = draw(1), draw(20, seed=1, scale=5)
    pull = CloudSide(x)(z, 0.7).pull
    assert float((z + pull - x).abs().max()) < 1e-14


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_C14_diffusion_samplers_are_flows_of_single_particles(eta):
    """DDIM and DDPM in their own form: relaxation of the noisy point to the denoiser."""
    x, noise, n = draw(8), draw(8, seed=1), draw(8, seed=2)
    sigma, lower = 1.3, 0.4
    z = x + sigma * noise
    expected = relax(z, MIXTURE.denoise(z, sigma), sigma, lower, n, eta)
    clean, left = diffusion_step(x, noise, TARGET, sigma, lower, eta=eta, fresh=n)
    assert float((clean + lower * left - expected).abs().max()) < 1e-12
    one = [ScoreDifference()(x[i : i + 1], TARGET, sigma, STREAMS).move for i in range(8)]
    alone = TARGET(x, sigma).pull  # at z = x the source's pull of one particle is zero
    assert float((torch.cat(one) - alone).abs().max()) < 1e-12


def test_C14_the_ancestral_noise_stays_normal():
    noise, n = draw(100_000, 1), draw(100_000, 1, seed=1)
    x = torch.zeros_like(noise)
    target = PlainSide(torch.zeros_like)
    _, left = diffusion_step(x, noise, target, 2.0, 1.0, eta=1.0, fresh=n)
    assert float(left.var()) == pytest.approx(1, abs=0.01)
    assert float((left * noise).mean()) == pytest.approx(0.5, abs=0.01)  # s'/s, not zero


def test_K1_ancestral_steps_sample_the_mixture():
    """240 steps keep the modes' width; all noise afresh would not (.366 for .30)."""
    sigmas = torch.logspace(math.log10(20), math.log10(0.02), 241, dtype=torch.float64).tolist()
    noise = draw(2000)
    x = torch.zeros_like(noise)
    for k, (sigma, lower) in enumerate(pairwise(sigmas)):
        x, noise = diffusion_step(
            x, noise, TARGET, sigma, lower, eta=1.0, fresh=draw(2000, seed=k)
        )
    mode = (x[:, :1] > 0).long()[:, 0]
    within = (x - MEANS[mode]).std(0).mean()
    assert float(within) == pytest.approx(0.30, abs=0.012)


def test_a_step_that_does_not_go_down_is_refused():
    x = draw(3)
    with pytest.raises(InputError, match="must fall"):
        diffusion_step(x, x, TARGET, 1.0, 1.0)
    with pytest.raises(InputError, match="needs fresh noise"):
        diffusion_step(x, x, TARGET, 1.0, 0.5, eta=1.0)


# Generators -------------------------------------------------------------------------------------


def generator_gradient(frozen):
    """Gradient in the parameters of mean .5 |G - (G + a V)|^2, and -a E[J^T V] by hand."""
    noise, weights = draw(30, 3, seed=3), draw(3, 2, seed=4).requires_grad_()
    y, sigma, a = draw(40, seed=5, shift=1), 0.7, 0.4
    x = noise @ weights
    if frozen:
        aim = x.detach() + a * difference(x.detach(), y, sigma)
    else:
        means = [
            torch.softmax(-torch.cdist(x, c).square() / (2 * sigma**2), 1) @ c for c in (y, x)
        ]
        aim = x + a * (means[0] - means[1])
    loss = (x - aim).square().sum(1).mean() / 2
    (found,) = torch.autograd.grad(loss, weights)
    return found, -a * noise.T @ difference(x.detach(), y, sigma) / len(x)


def test_C16_a_generator_with_a_stopped_gradient_follows_the_flow():
    found, expected = generator_gradient(frozen=True)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_C16_without_the_stop_it_does_not():
    found, expected = generator_gradient(frozen=False)
    assert float((found - expected).norm() / expected.norm()) > 0.1


# GAN losses and f-divergences -------------------------------------------------------------------

P = torch.distributions.Normal(0.5, 1.2)
Q = torch.distributions.Normal(-0.3, 0.8)


def discriminator(x):
    return torch.sigmoid(P.log_prob(x) - Q.log_prob(x))


LOSSES = {  # what a generated point ascends
    "gan_saturating": lambda x: -torch.log(1 - discriminator(x)),
    "gan_non_saturating": lambda x: torch.log(discriminator(x)),
    "reverse_kl": lambda x: torch.logit(discriminator(x)),
    "gan_least_squares": lambda x: -(discriminator(x) - 1).square() / 2,
    "gan_discriminator": discriminator,
    "forward_kl": lambda x: torch.exp(torch.logit(discriminator(x))),
}
DIVERGENCES = {  # f(r), r = q / p
    "reverse_kl": lambda r: r * r.log(),
    "forward_kl": lambda r: -r.log(),
    "chi_squared": lambda r: (r - 1).square(),
    "jensen_shannon": lambda r: (r * r.log() - (r + 1) * ((r + 1) / 2).log()) / 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_C13_gan_losses_move_points_along_the_score_difference(name):
    x = draw(20, 1)
    expected = score_of(x, LOSSES[name])
    log_r = (Q.log_prob(x) - P.log_prob(x))[:, 0]
    difference = score_of(x, P.log_prob) - score_of(x, Q.log_prob)
    found = weight(name, log_r)[:, None] * difference
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_f_divergences_move_points_along_the_score_difference(name):
    """The velocity -grad f'(q/p), by differentiating twice."""
    x = draw(20, 1).requires_grad_()
    r = (Q.log_prob(x) - P.log_prob(x)).exp()
    (slope,) = torch.autograd.grad(DIVERGENCES[name](r).sum(), r, create_graph=True)
    (velocity,) = torch.autograd.grad(-slope.sum(), x)
    difference = score_of(x, P.log_prob) - score_of(x, Q.log_prob)
    log_r = (Q.log_prob(x) - P.log_prob(x))[:, 0].detach()
    found = weight(name, log_r)[:, None] * difference
    torch.testing.assert_close(found, velocity, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["chi_squared", "forward_kl", "gan_saturating"])
def test_the_drift_takes_its_weight_from_the_same_densities(name):
    x, y, sigma = draw(30), draw(40, seed=1), 0.6
    profile = lambda v: -v / 2
    log_r = log_mean_kernel(x, x, profile, sigma) - log_mean_kernel(x, y, profile, sigma)
    expected = weight(name, log_r)[:, None] * difference(x, y, sigma)
    torch.testing.assert_close(difference(x, y, sigma, divergence=name), expected)
    assert float(weight("chi_squared", torch.tensor([1e3]))) == pytest.approx(2 * math.exp(20))


# Kernel methods ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [None, InverseMultiquadric()], ids=["gaussian", "imq"])
def test_the_MMD_flow_is_the_score_difference_without_normalisers(kernel):
    """Equal to -n sigma^2 times the gradient of MMD^2 / 2, and to p_k grad log p_k - q_k ..."""
    settings = {} if kernel is None else {"kernel": kernel}
    profile = (lambda v: -v / 2) if kernel is None else (lambda v: -0.5 * (1 + v).log())
    x, y, sigma = draw(15), draw(25, seed=1, shift=1), 0.8
    found = MMD(**settings)(x, CloudSide(y, MMD(**settings).kernel), sigma, STREAMS).move
    mean = lambda a, b: log_mean_kernel(a, b, profile, sigma).exp().mean()
    variable = x.clone().requires_grad_()
    half = mean(variable, variable) / 2 - mean(variable, y)
    (gradient,) = torch.autograd.grad(half, variable)
    torch.testing.assert_close(found, -len(x) * sigma**2 * gradient, rtol=1e-9, atol=1e-12)
    log_p, log_q = (lambda z, c=c: log_mean_kernel(z, c, profile, sigma) for c in (y, x))
    unnormalised = log_p(x).exp()[:, None] * score_of(x, log_p)
    unnormalised = unnormalised - log_q(x).exp()[:, None] * score_of(x, log_q)
    torch.testing.assert_close(found, sigma**2 * unnormalised, rtol=1e-9, atol=1e-12)


def test_SVGD_is_the_score_difference_smoothed_by_kernel_and_source():
    """The definition on particles; and for a known q, E_q[k (s_p + grad)] = E_q[k SD]."""
    x, h, sigma = draw(12), 0.7, 1.0
    score = lambda z: -z + 1
    found = SVGD(h)(x, PlainSide(score), sigma, STREAMS).move
    expected = torch.zeros_like(x)
    for i in range(12):
        for j in range(12):
            other = x[j].clone().requires_grad_()
            k = (-(x[i] - other).square().sum() / (2 * h**2)).exp()
            (slope,) = torch.autograd.grad(k, other)
            expected[i] += (k.detach() * score(x[j]) + slope) / 12
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    grid = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    q = Q.log_prob(grid)[:, 0].exp()
    difference = score_of(grid, P.log_prob) - score_of(grid, Q.log_prob)
    z = draw(5, 1)
    k = (-(z[:, None, 0] - grid[:, 0]).square() / (2 * h**2)).exp()
    smooth = torch.trapezoid(k * q * difference[:, 0], grid[:, 0])
    slope = (z - grid[:, 0]) / h**2
    stein = torch.trapezoid(k * q * (score_of(grid, P.log_prob)[:, 0] + slope), grid[:, 0])
    torch.testing.assert_close(stein, smooth, rtol=1e-8, atol=1e-10)


def test_langevin_is_the_stochastic_family_at_one():
    x, sigma = draw(9), 0.5
    drift = langevin()(x, TARGET, sigma, STREAMS)
    torch.testing.assert_close(drift.move, sigma**2 * MIXTURE(x, sigma))
    assert drift.noise == pytest.approx(sigma * math.sqrt(2))


def drifting(x, y, kernel):
    """E[k(x, y+) k(x, y-) (y+ - y-)] / (Z_p Z_q) by its double sum."""
    near, far = kernel(x, y), kernel(x, x)
    pairs = torch.einsum("ij,ik,jkd->id", near, far, y[:, None] - x[None])
    return pairs / (near.sum(1) * far.sum(1))[:, None]


def test_C15_drifting_with_a_gaussian_is_the_score_difference():
    x, y, sigma = draw(20), draw(30, seed=1, shift=1), 0.6
    found = drifting(x, y, lambda a, b: (-torch.cdist(a, b).square() / (2 * sigma**2)).exp())
    assert float((found - difference(x, y, sigma)).abs().max()) < 1e-10


def test_C15_drifting_with_another_kernel_is_not():
    """A Laplace mean shift is another field: the residual is of the drift's own size."""
    x, y, tau = draw(20), draw(30, seed=1, shift=1), 0.6
    found = drifting(x, y, lambda a, b: (-torch.cdist(a, b) / tau).exp())
    other = difference(x, y, tau, kernel=Laplace())
    residual = float((found - other).norm() / other.norm())
    assert residual > 0.2
    assert float(torch.nn.functional.cosine_similarity(found, other, dim=1).median()) > 0.8


@pytest.mark.parametrize("table", [0, balance.TABLE], ids=["streamed", "as a table"])
def test_C22_the_sinkhorn_drift_is_the_gradient_of_the_debiased_divergence(table, monkeypatch):
    """-(n/2) times the gradient of S, by finite differences of independent dense solves."""
    monkeypatch.setattr(balance, "TABLE", table)
    x, y, epsilon = draw(9), draw(11, seed=1, shift=1), 0.5

    def transport(a, b):
        cost = torch.cdist(a, b).square()
        log_a, log_b = (torch.full((len(c),), -math.log(len(c))).double() for c in (a, b))
        f, g = torch.zeros(len(a)).double(), torch.zeros(len(b)).double()
        for _ in range(300):
            f = -epsilon * ((g / epsilon + log_b) - cost / epsilon).logsumexp(1)
            g = -epsilon * ((f / epsilon + log_a)[:, None] - cost / epsilon).logsumexp(0)
        return f.mean() + g.mean()

    def divergence(x):
        return transport(x, y) - transport(x, x) / 2 - transport(y, y) / 2

    found = SinkhornDivergence(400, 1e-10)(x, CloudSide(y), math.sqrt(epsilon / 2), STREAMS).move
    h, gradient = 1e-5, torch.zeros(2, 2).double()
    for i in range(2):  # two particles are enough, and cheap
        for j in range(2):
            shift = torch.zeros_like(x)
            shift[i, j] = h
            gradient[i, j] = (divergence(x + shift) - divergence(x - shift)) / (2 * h)
    assert float((found[:2] + len(x) / 2 * gradient).abs().max()) < 1e-4


def test_K5_the_sinkhorn_drift_rests_where_the_divergence_does_not_vanish():
    y = draw(40)
    together = y.mean(0).expand(5, 2).contiguous()
    drift = SinkhornDivergence(500, 1e-12)(together, CloudSide(y), 1.0, STREAMS)
    assert float(drift.move.abs().max()) < 1e-12
