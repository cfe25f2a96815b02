"""Gaussian, mixture and empirical laws against textbook formulas and printed numbers."""

import pytest
import torch
from tests.score.contract import BUILDERS, PROCESSES, dense, draw, times

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.process import EDM, VE, VP
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore, load, save

EYE = torch.eye(3, dtype=torch.float64)


def gaussian(process, *, d=3):
    return GaussianScore(1 + draw(d), dense(1, d)[0], process)


@pytest.mark.usefixtures("unchecked")
def test_laws_may_be_made_of_arrays_and_lists():
    process, x = EDM(sigma_max=80.0), draw(4, 3)
    mean, covariance = draw(3), dense(1, 3)[0]
    expected = GaussianScore(mean, covariance, process)(x, 1.0)
    assert torch.equal(GaussianScore(mean.numpy(), covariance.numpy(), process)(x, 1.0), expected)
    assert torch.equal(GaussianScore(mean.tolist(), covariance, process)(x, 1.0), expected)
    one = MixtureScore([1], mean.numpy()[None], covariance.numpy()[None], process)
    torch.testing.assert_close(one(x, 1.0), expected)
    with pytest.raises(InputError, match=r"covariance must be real numbers, got dtype torch\.c"):
        GaussianScore(mean, covariance + 1j, process)
    with pytest.raises(InputError, match="means must be numbers, got dtype <U1"):
        MixtureScore([1], [["a"]], covariance, process)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_halves_are_asked_in_float32_and_rounded_once(name, half):
    law, x = BUILDERS[name](EDM(sigma_max=80.0), 2), draw(5, 2).to(half)
    for ask in (law, law.log_prob, law.denoise):
        found = ask(x, 0.5)
        assert found.dtype == half
        assert torch.equal(found, ask(x.float(), 0.5).to(half))
    with pytest.raises(InputError, match="points must be a dense tensor"):
        law(x.float().to_sparse(), 0.5)


@pytest.mark.parametrize("process", PROCESSES)
def test_gaussian_reverse_transition_is_the_conditional_law(process):
    """Conditional mean and covariance of the joint Gaussian of (x_s, x_t), entry by entry."""
    process = PROCESSES[process]
    score = gaussian(process)
    m, c = score.moments()
    clock = times(process)
    for t, s in [(clock[-1], clock[0]), (clock[1], clock[0]), (clock[1], 0.0)]:
        a_t, a_s = process.alpha(t), process.alpha(s)
        marginal_s = a_s**2 * c + process.variance(s) * EYE
        marginal_t = a_t**2 * c + process.variance(t) * EYE
        cross = a_t / a_s * marginal_s  # Cov(x_t, x_s): the forward step is linear
        gain = torch.linalg.solve(marginal_t, cross).mT
        x = draw(1, 3, seed=7)
        half = torch.full((4,), 0.5).double()
        noise = torch.cat([torch.zeros(1, 3).double(), EYE])
        got = score.reverse_transition(x.expand(4, 3), t, s, noise=noise, uniform=half)
        mean = a_s * m + (x - a_t * m) @ gain.mT
        assert torch.allclose(got[:1], mean, rtol=1e-10, atol=1e-10)
        root = (got[1:] - got[:1]).mT
        covariance = marginal_s - gain @ cross
        assert torch.allclose(root @ root.mT, covariance, rtol=1e-9, atol=1e-11)


def test_a_gaussian_on_axes_is_that_of_its_matrix(tmp_path):
    process, x, axes = EDM(sigma_max=80.0), draw(5, 4), torch.linalg.qr(draw(4, 4, seed=6)).Q
    variances = torch.tensor([0.5, 0.0, 2.0, 1e-3], dtype=torch.float64)
    other = GaussianScore(draw(4), axes * variances @ axes.T, process)
    made = GaussianScore(draw(4), variances, process, axes=axes)
    save(made, tmp_path)
    for score in (made, load(tmp_path)):
        torch.testing.assert_close(score(x, 0.3), other(x, 0.3))
        torch.testing.assert_close(score.log_prob(x, 0.3), other.log_prob(x, 0.3))
        torch.testing.assert_close(score.moments(), other.moments())
        known = torch.tensor([1.0, torch.nan, torch.nan, 0.3], dtype=torch.float64)
        given = score.conditioned(known), other.conditioned(known)
        torch.testing.assert_close(given[0].moments(), given[1].moments())


@pytest.mark.parametrize("kind", ["mixture", "mixture diagonal", "mixture isotropic"])
def test_mixture_density_agrees_with_torch(kind):
    process = VP.linear(a=2.0, b=0.1)
    score = BUILDERS[kind](process, 2)
    x, t = 2 * draw(30, 2, seed=3), 0.4
    alpha, variance = process.alpha(t), process.variance(t)
    covariances = alpha**2 * score.law.dense() + variance * torch.eye(2).double()
    reference = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(score.weights),
        torch.distributions.MultivariateNormal(alpha * score.means, covariances),
    )
    assert torch.allclose(score.log_prob(x, t), reference.log_prob(x), atol=1e-11)


@pytest.mark.parametrize(
    ("alpha_squared", "c", "squared", "lipschitz"),
    [(0.9, 0.373598, 9.626402, 80.0), (0.5, 0.899199, 1.100801, 0.0),
     (0.1, 0.111041, 1.000070, -0.987654)],
)  # fmt: skip
def test_two_points(alpha_squared, c, squared, lipschitz):
    """Spec 1, A9: E|score|^2, the largest slope, and c = 1/sigma^2 - E|score|^2."""
    process = VP.constant(beta=1.0)
    t = -float(torch.tensor(alpha_squared, dtype=torch.float64).log())
    points = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    score = EmpiricalScore(points, process)
    assert float(process.alpha(t)) ** 2 == pytest.approx(alpha_squared, rel=1e-12)
    x = torch.linspace(-9, 9, 40001, dtype=torch.float64)[:, None]
    density = score.log_prob(x, t).exp() * (18 / 40000)
    fisher = float((density * score(x, t)[:, 0].square()).sum())
    assert fisher == pytest.approx(squared, abs=1e-6)
    assert 1 / float(process.variance(t)) - fisher == pytest.approx(c, abs=1e-6)
    middle = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(score(middle, t).sum(), middle)
    assert slope.item() == pytest.approx(lipschitz, abs=1e-6)


def test_empirical_is_the_isotropic_mixture():
    points, process = draw(30, 3), VE.constant(a=1.0)
    kernel = EmpiricalScore(points, process, bandwidth=0.3)
    ones, spread = torch.ones(30).double(), torch.full((30,), 0.09, dtype=torch.float64)
    mixture = MixtureScore(ones, points, spread, process)
    x, noise = draw(50, 3, seed=2), draw(50, 3, seed=3)
    uniform = (torch.arange(50, dtype=torch.float64) + 0.5) / 50
    for t in [0.0, 1e-3, 0.5, 100.0]:
        for a, b in [
            (kernel(x, t), mixture(x, t)),
            (kernel.log_prob(x, t), mixture.log_prob(x, t)),
            (kernel.denoise(x, t), mixture.denoise(x, t)),
            (kernel.reverse_transition(x, t, t / 2, noise=noise, uniform=uniform),
             mixture.reverse_transition(x, t, t / 2, noise=noise, uniform=uniform)),
        ]:  # fmt: skip
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)
    for a, b in zip(kernel.moments(), mixture.moments(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_bandwidth_the_reverse_process_ends_on_the_data(dtype, generator):
    """Memorization, exact: every sample is a data point, drawn equally often."""
    points = draw(20, 2).to(dtype)
    score = EmpiricalScore(points, EDM(sigma_max=80.0))
    x = score.sample_marginal(4000, 80.0, generator=generator)
    for t, s in [(80.0, 1.0), (1.0, 0.0)]:
        noise = torch.randn(4000, 2, generator=generator, dtype=torch.float64).to(dtype)
        uniform = torch.rand(4000, generator=generator, dtype=torch.float64)
        x = score.reverse_transition(x, t, s, noise=noise, uniform=uniform)
    rows = (x[:, None] == points).all(2)
    assert bool(rows.any(1).all())
    share = rows.double().mean(0)
    assert bool(((share - 0.05).abs() <= 4 * (0.05 * 0.95 / 4000) ** 0.5).all())


def test_a_law_without_density_is_refused_without_noise():
    line = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double()
    for score in [
        EmpiricalScore(draw(5, 2), EDM(sigma_max=80.0)),
        GaussianScore(draw(2), line, EDM(sigma_max=80.0)),
    ]:
        for call in [score, score.log_prob]:
            with pytest.raises(InputError, match="no density without noise"):
                call(draw(3, 2), 0.0)
        assert bool(torch.isfinite(score(draw(3, 2), 1e-6)).all())


@pytest.mark.parametrize("bandwidth", [0.0, 0.15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empirical_score_at_every_noise_level(bandwidth, dtype, generator):
    """Digits-like data: the denoiser stays within 1e-4 of the spread, from 1e-4 to 1e4."""
    points = torch.randint(-8, 9, (400, 64), generator=generator) / 8.0
    process = EDM(sigma_max=1e4)
    exact = EmpiricalScore(points.double(), process, bandwidth=bandwidth)
    score = EmpiricalScore(points.to(dtype), process, bandwidth=bandwidth)
    for t in [1e-4, 1e-2, 0.3, 2.0, 80.0, 1e4]:
        x = exact.sample_marginal(20, t, generator=generator).to(dtype)
        d2 = (x.double()[:, None] - points.double()).square().sum(2)
        weights = (-d2 / (2 * (t**2 + bandwidth**2))).softmax(1)
        mean = weights @ points.double()
        kept = bandwidth**2 / (bandwidth**2 + t**2)
        want = mean + kept * (x.double() - mean)
        error = (score.denoise(x, t).double() - want).norm(dim=1).max()
        assert float(error) <= (1e-4 if dtype == torch.float32 else 1e-9) * 4.6


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "mixture diagonal"])
def test_conditioned_is_the_ratio_of_densities(kind):
    """p(x_f | x_o) = p(x_f, x_o) / p(x_o), with p(x_o) by quadrature over the free coordinate."""
    score = BUILDERS[kind](VP.linear(a=2.0, b=0.1), 2)
    given = score.conditioned(torch.tensor([float("nan"), 0.4], dtype=torch.float64))
    step = 0.01
    free = torch.arange(-9.0, 9.0, step, dtype=torch.float64)[:, None]
    joint = score.log_prob(torch.cat([free, torch.full_like(free, 0.4)], 1))
    expected = joint - (joint.logsumexp(0) + torch.tensor(step).double().log())
    assert given.shape == (1,)
    near = expected > -30
    assert torch.allclose(given.log_prob(free)[near], expected[near], atol=1e-8)


def test_conditioning_needs_both_kinds_of_coordinates():
    score = gaussian(EDM(sigma_max=80.0))
    for y in [draw(3), torch.full((3,), torch.nan).double()]:
        with pytest.raises(InputError, match="known and NaN"):
            score.conditioned(y)


def test_conditioning_keeps_the_scaling_of_what_is_left():
    scaling = Scaling(
        torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([4.0, 5.0, 6.0]).double()
    )
    score = GaussianScore(draw(3), dense(1, 3)[0], EDM(sigma_max=80.0), scaling=scaling)
    left = score.conditioned(torch.tensor([torch.nan, 0.0, torch.nan]).double())
    assert left.scaling.shift.tolist() == [1.0, 3.0]
    assert left.scaling.scale.tolist() == [4.0, 6.0]


def test_images_go_through_flat_and_come_back():
    points = draw(10, 2, 3)
    score = EmpiricalScore(points, EDM(sigma_max=80.0), bandwidth=0.1)
    flat = EmpiricalScore(points.reshape(10, 6), EDM(sigma_max=80.0), bandwidth=0.1)
    x = draw(4, 2, 3, seed=1)
    assert torch.equal(score(x, 1.0), flat(x.reshape(4, 6), 1.0).reshape(4, 2, 3))
    generator = torch.Generator().manual_seed(0)
    assert score.sample_marginal(5, generator=generator).shape == (5, 2, 3)


def test_a_large_mixture_is_cut_into_tiles(monkeypatch):
    from wasserscore.score import components

    score = MixtureScore(torch.ones(4).double(), draw(4, 2), dense(4, 2), EDM(sigma_max=80.0))
    x, t = draw(30, 2, seed=1), torch.linspace(0.1, 3, 30, dtype=torch.float64)
    whole = score(x, t), score.log_prob(x, t), score.denoise(x, t)
    monkeypatch.setattr(components, "TILE_BYTES", 300)
    parts = score(x, t), score.log_prob(x, t), score.denoise(x, t)
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-13)


def test_bad_laws_are_refused():
    p, one = EDM(sigma_max=80.0), torch.ones(2).double()
    skew = torch.tensor([[1.0, 2.0], [0.0, 1.0]]).double()
    t = torch.tensor([1.0, 2.0]).double() / 5**0.5  # a projection on this leaves it as it is
    for call, words in [
        (lambda: MixtureScore(-one, draw(2, 3), one, p), "non-negative"),
        (lambda: MixtureScore(0 * one, draw(2, 3), one, p), "some positive"),
        (lambda: MixtureScore(one, draw(2, 3), -one, p), "positive semi-definite"),
        (lambda: MixtureScore(one, draw(2, 3) / 0, one, p), "means must be finite"),
        (lambda: GaussianScore(draw(2), skew, p), "symmetric"),
        (lambda: GaussianScore(draw(2), one, p, axes=skew), "axes must be orthonormal, got"),
        (
            lambda: GaussianScore(draw(2), one, p, axes=torch.outer(one * t, one * t)),
            "orthonormal",
        ),
        (lambda: GaussianScore(draw(2), skew.T @ skew, p, axes=EYE[:2, :2]), "axes must have"),
        (lambda: GaussianScore(draw(2), one, p, shape=(3,)), "shape must fit"),
        (lambda: EmpiricalScore(draw(5, 2), p, bandwidth=-1.0), "bandwidth"),
        (lambda: EmpiricalScore(draw(5, 2), p, bandwidth=1e300), "bandwidth .* its square finite"),
        (lambda: EmpiricalScore(draw(5, 2), p, shape=(3,)), "shape must fit"),
    ]:
        with pytest.raises(InputError, match=words):
            call()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", ["a", None, [0.1, 0.2], True])
def test_a_bandwidth_is_a_number(wrong):
    with pytest.raises(InputError, match=r"bandwidth must be non-negative, .* got"):
        EmpiricalScore(torch.ones(5, 2), EDM(sigma_max=80.0), bandwidth=wrong)
