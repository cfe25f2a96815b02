"""The proximal score against a dense mixture written out by hand, and its limits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.process import OU, VE, VP
from wasserscore.score import EmpiricalScore, spiked_mixture
from wasserscore.score.evolved import Evolved
from wasserscore.score.fit_report import FitReport
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=1e8)  # noise variance equals t


def draw(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed + 1000 * len(shape))
    return torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)


def wide(value) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def orthogonal(d: int) -> torch.Tensor:
    return torch.linalg.qr(draw(d, d, seed=9))[0]


def example(n=12, d=5, r=2, *, basis=False, weights=True, process=CLOCK, floor=0.05):
    spiked = Spiked(
        0.5 * draw(n, d, r),
        floor * (1 + draw(1, d, seed=3)[0].abs()),
        orthogonal(d) if basis else None,
    )
    w = 0.2 + draw(1, n, seed=4)[0].abs() if weights else None
    return ProximalScore(2 * draw(n, d) + 1, spiked, process, weights=w)


def dense(score: ProximalScore, tau: float, scale: float = 1.0, extra: float | None = None):
    """torch's own mixture: N(scale z, scale^2 Sigma + extra I)."""
    n, d = score.centres.shape
    extra = tau if extra is None else extra
    covariances = torch.stack([score.covariance.covariance(i) for i in range(n)])
    weights = torch.ones(n).double() if score.weights is None else score.weights
    return torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights),
        torch.distributions.MultivariateNormal(
            scale * score.centres, scale**2 * covariances + extra * torch.eye(d).double()
        ),
    )


def by_autograd(log_prob, x):
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(log_prob(x).sum(), x)
    return gradient


@pytest.mark.parametrize("basis", [False, True])
@pytest.mark.parametrize("r", [0, 1, 2, 5])
@pytest.mark.parametrize("tau", [0.0, 1e-2, 1.0, 50.0])
def test_density_and_score_equal_the_dense_mixture(r, tau, basis):
    score, x = example(r=r, basis=basis), 3 * draw(7, 5, seed=5)
    reference = dense(score, tau)
    assert torch.allclose(score.log_prob(x, tau), reference.log_prob(x), atol=1e-9, rtol=0)
    torch.testing.assert_close(
        score(x, tau), by_autograd(reference.log_prob, x), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("tau", [0.0, 1e-2, 1.0, 50.0])
def test_spiked_equals_dense_at_64_dimensions(tau):
    score, x = example(n=20, d=64, r=3, floor=0.01), 2 * draw(9, 64, seed=5)
    expected = by_autograd(dense(score, tau).log_prob, x)
    error = (score(x, tau) - expected).norm() / expected.norm()
    assert error < 1e-9
    assert (score.log_prob(x, tau) - dense(score, tau).log_prob(x)).abs().max() < 1e-8


def test_single_precision_keeps_three_digits():
    score, x = example(n=20, d=64, r=3, floor=0.01), 2 * draw(9, 64, seed=5)
    single = ProximalScore(
        score.centres.float(),
        Spiked(score.covariance.factors.float(), score.covariance.floor.float()),
        CLOCK,
        weights=score.weights.float(),
    )
    for tau in (0.01, 1.0, 50.0):
        value = single(x.float(), tau)
        assert value.dtype == torch.float32
        assert (value.double() - score(x, tau)).norm() < 1e-3 * score(x, tau).norm()


def test_density_integrates_to_one_on_a_grid():
    score = example(n=6, d=2, r=1, basis=True)
    axis = torch.linspace(-12, 14, 521, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    cell = float(axis[1] - axis[0]) ** 2
    assert abs(float(score.log_prob(grid, 0.1).exp().sum()) * cell - 1) < 1e-6


@pytest.mark.parametrize("basis", [False, True])
def test_divergence_is_the_trace_of_the_jacobian(basis):
    score, x = example(basis=basis, process=VP.constant(beta=1.0)), draw(4, 5, seed=6)
    for t in (0.0, 0.3, 2.0):
        jacobian = torch.stack(
            [torch.autograd.functional.jacobian(lambda p: score(p[None], t)[0], p) for p in x]  # noqa: B023
        )
        trace = torch.diagonal(jacobian, dim1=1, dim2=2).sum(1)
        torch.testing.assert_close(score.divergence(x, t), trace, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("r", [2, 5])
def test_c4_density_obeys_the_heat_equation(r):
    # d/dtau log p = (1/2) Laplacian(p) / p: the Hamilton-Jacobi-Bellman residual of the model.
    score, x, tau, step = example(r=r), draw(6, 5, seed=7), 0.4, 1e-4
    rate = (score.log_prob(x, tau + step) - score.log_prob(x, tau - step)) / (2 * step)
    ratio = score.divergence(x, tau) + score(x, tau).square().sum(1)
    torch.testing.assert_close(rate, ratio / 2, rtol=1e-5, atol=1e-7)
    # The local dimension is d plus the derivative in the log of the noise's deviation.
    torch.testing.assert_close(
        score.local_dimension(x, tau), 5 + 2 * tau * rate, rtol=1e-5, atol=1e-6
    )


def test_without_factors_it_is_the_smoothed_empirical_score():
    points, x, h2, tau = draw(30, 4), draw(8, 4, seed=8), 0.09, 0.3
    score = ProximalScore(points, Spiked.pooled(30, wide(h2), 4), CLOCK)
    weights = (-torch.cdist(x, points).square() / (2 * (h2 + tau))).softmax(1)
    expected = (weights @ points - x) / (h2 + tau)
    torch.testing.assert_close(score(x, tau), expected, rtol=1e-12, atol=1e-12)
    bare = ProximalScore(points, Spiked.pooled(30, wide(0.0), 4), CLOCK)
    weights = (-torch.cdist(x, points).square() / (2 * tau)).softmax(1)
    torch.testing.assert_close(bare(x, tau), (weights @ points - x) / tau, rtol=1e-12, atol=1e-12)
    with pytest.raises(InputError, match="no density"):
        bare(x, 0.0)


def test_the_empirical_score_sees_the_same_dimensions_and_the_same_others():
    """Two codes for one law: isotropic kernels of variance .09, at and without noise."""
    points, x = draw(30, 4), draw(8, 4, seed=8)
    score = ProximalScore(points, Spiked.pooled(30, wide(0.09), 4), CLOCK)
    plain = EmpiricalScore(points, CLOCK, bandwidth=0.3)
    times = torch.linspace(0.01, 2.0, 8).double()
    torch.testing.assert_close(
        plain.local_dimension(x, times), score.local_dimension(x, times), rtol=1e-9, atol=1e-9
    )
    for rows in (x, points):
        torch.testing.assert_close(
            plain.log_prob_of_others(rows), score.log_prob_of_others(rows), rtol=1e-9, atol=1e-9
        )
    left_out = EmpiricalScore(points[1:], CLOCK, bandwidth=0.3).log_prob(points[:1])
    torch.testing.assert_close(score.log_prob_of_others(points[:1]), left_out)
    with pytest.raises(InputError, match="bandwidth"):
        EmpiricalScore(points, CLOCK).log_prob_of_others(x)


def test_far_in_the_noise_the_score_points_at_the_mean():
    score, x = example(), 30 * draw(6, 5, seed=2)
    mean, covariance = score.moments()
    tau = 1e4 * float(torch.diagonal(covariance).mean())
    expected = (mean - x) / tau
    assert (score(x, tau) - expected).norm() < 1e-2 * expected.norm()


def test_other_processes_are_direct_mixtures():
    x = draw(6, 5, seed=2)
    for process in (VP.linear(a=0.1, b=2.0), OU(alpha=0.7, sigma=0.4), VE.sqrt(a=2.0)):
        score, t = example().under(process), 0.6
        alpha, variance = float(process.alpha(t)), float(process.variance(t))
        reference = dense(score, 0.0, scale=alpha, extra=variance)
        torch.testing.assert_close(
            score.log_prob(x, t), reference.log_prob(x), rtol=1e-10, atol=1e-10
        )
        torch.testing.assert_close(
            score(x, t), by_autograd(reference.log_prob, x), rtol=1e-10, atol=1e-10
        )


def test_one_time_per_point_equals_one_call_per_time():
    score, x = example(), draw(6, 5, seed=2)
    t = torch.tensor([0.0, 0.5, 0.5, 3.0, 0.1, 0.0], dtype=torch.float64)
    one_by_one = torch.cat([score(x[i : i + 1], float(t[i])) for i in range(6)])
    torch.testing.assert_close(score(x, t), one_by_one, rtol=1e-12, atol=1e-12)
    each = torch.cat([score.denoise(x[i : i + 1], float(t[i])) for i in range(6)])
    torch.testing.assert_close(score.denoise(x, t), each, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("limit", [2**9, 2**12])
def test_streaming_changes_nothing(limit, monkeypatch):
    whole, x = example(n=40, d=6, r=3), draw(33, 6, seed=2)
    u = torch.rand(33, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = (whole(x, 0.2), whole.log_prob(x, 0.2), whole.divergence(x, 0.2))
    step = whole.reverse_transition(x, 0.5, 0.1, noise=draw(33, 6, seed=3), uniform=u)
    for name in ("TILE_BYTES", "BLOCK_BYTES", "CACHE_BYTES"):
        monkeypatch.setattr(spiked_mixture, name, limit)
    small = example(n=40, d=6, r=3)
    streamed = (small(x, 0.2), small.log_prob(x, 0.2), small.divergence(x, 0.2))
    torch.testing.assert_close(streamed, expected, rtol=1e-10, atol=1e-10)
    again = small.reverse_transition(x, 0.5, 0.1, noise=draw(33, 6, seed=3), uniform=u)
    torch.testing.assert_close(again, step, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("room", "kept"), [(0.9, 0), (1.1, 1), (2.9, 2), (99, 4)])
def test_set_ups_of_the_last_levels_are_kept_as_far_as_room_goes(room, kept, monkeypatch):
    score, x, made, at = example(n=40, d=6, r=3), draw(8, 6, seed=2), [], Evolved.at
    monkeypatch.setattr(spiked_mixture, "CACHE_BYTES", int(room * 40 * 4 * 6 * 8))
    monkeypatch.setattr(Evolved, "at", lambda tau, *rest: made.append(tau) or at(tau, *rest))
    levels = (5.0, 4.0, 3.0, 2.0, 1.0, 0.5)
    for t in levels:
        score(x, t)
        score(x, t)
    assert len(made) == (len(levels) if kept else 2 * len(levels))
    assert len(score.law._levels) == kept


def test_permuting_the_centres_changes_nothing():
    score, x = example(), draw(6, 5, seed=2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    other = ProximalScore(
        score.centres[order], score.covariance.rows(order), CLOCK, weights=score.weights[order]
    )
    torch.testing.assert_close(other(x, 0.3), score(x, 0.3), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("basis", [False, True])
def test_direct_samples_have_the_moments(basis, generator):
    score, n = example(n=6, d=3, r=2, basis=basis), 100_000
    mean, covariance = score.moments()
    x = score.sample_marginal(n, 0.0, generator=generator)
    stderr = (torch.diagonal(covariance) / n).sqrt()
    assert ((x.mean(0) - mean).abs() < 4 * stderr).all()
    centred = x - mean
    products = centred.unsqueeze(2) * centred.unsqueeze(1)
    stderr = products.std(0) / math.sqrt(n)
    assert ((products.mean(0) - covariance).abs() < 4 * stderr).all()


@pytest.mark.parametrize("basis", [False, True])
@pytest.mark.parametrize("lower", [0.0, 0.3])
def test_bridge_is_the_conditional_gaussian_of_its_component(basis, lower):
    score, tau, d = example(n=4, basis=basis), 0.8, 5
    y, index = draw(1, d, seed=3).expand(200_000, -1), torch.full((200_000,), 2)
    z = torch.randn(200_000, d, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    levels = wide(tau).expand(200_000), wide(lower).expand(200_000)
    x = score.law.bridge(y, index, *levels, z)
    eye = torch.eye(d).double()
    c = score.covariance.covariance(2)
    a = (c + lower * eye) @ torch.linalg.inv(c + tau * eye)
    mean = score.centres[2] + a @ (y[0] - score.centres[2])
    silent = score.law.bridge(
        y[:1], index[:1], levels[0][:1], levels[1][:1], torch.zeros_like(z[:1])
    )
    torch.testing.assert_close(silent[0], mean, rtol=1e-10, atol=1e-10)
    # The map from noise to point is linear: read off its matrix and square it.
    root = torch.cat(
        [score.law.bridge(y[:1], index[:1], levels[0][:1], levels[1][:1], eye[j : j + 1]) - mean
         for j in range(d)]
    ).mT  # fmt: skip
    torch.testing.assert_close(root @ root.mT, (tau - lower) * a, rtol=1e-10, atol=1e-10)
    assert ((x.mean(0) - mean).abs() < 5 * x.std(0) / math.sqrt(200_000)).all()


def test_reverse_chain_keeps_the_marginals(generator):
    score, n = example(n=5, d=2, r=1), 40_000
    x = score.sample_marginal(n, 9.0, generator=generator)
    for t, s in ((9.0, 1.0), (1.0, 0.2), (0.2, 0.0)):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        uniform = torch.rand(n, generator=generator, dtype=x.dtype)
        x = score.reverse_transition(x, t, s, noise=noise, uniform=uniform)
    direct = score.sample_marginal(n, 0.0, generator=generator)
    for a, b in ((x, direct), (score.log_prob(x)[:, None], score.log_prob(direct)[:, None])):
        gap = (a.mean(0) - b.mean(0)).abs()
        assert (gap < 4 * (a.var(0) / n + b.var(0) / n).sqrt()).all()


@pytest.mark.parametrize("basis", [False, True])
def test_conditioning_divides_the_joint_by_the_marginal(basis):
    score, x = example(basis=basis), draw(6, 5, seed=2)
    known = torch.tensor([1, 3])
    free = torch.tensor([0, 2, 4])
    values = wide([math.nan] * 5)
    values[known] = wide([0.4, 1.7])
    conditional = score.conditioned(values)
    joint = x.clone()
    joint[:, known] = values[known]
    expected = score.log_prob(joint) - score.marginal(known).log_prob(joint[:, known])
    torch.testing.assert_close(conditional.log_prob(x[:, free]), expected, rtol=1e-9, atol=1e-9)


def test_marginal_is_the_integral_of_the_joint():
    score = example(n=4, d=2, r=1)
    axis = torch.linspace(-15, 15, 3001, dtype=torch.float64)
    pairs = torch.stack([torch.full_like(axis, 0.7), axis], dim=1)
    integral = score.log_prob(pairs).exp().sum() * (axis[1] - axis[0])
    value = score.marginal(torch.tensor([0])).log_prob(wide([[0.7]])).exp()
    torch.testing.assert_close(value[0], integral, rtol=1e-8, atol=0)


def test_local_dimension_of_a_circle_and_a_sphere(generator):
    for dim, tau, low, high in ((2, 1e-3, 0.9, 1.15), (3, 1e-2, 1.85, 2.25)):
        points = torch.randn(1200, dim, generator=generator, dtype=torch.float64)
        points = points / points.norm(dim=1, keepdim=True)
        embedded = torch.cat([points, torch.zeros(1200, 6 - dim).double()], dim=1)
        train, fresh = embedded[:1000], embedded[1000:]
        near = torch.cdist(train, train).topk(11, largest=False).indices[:, 1:]
        factors = 0.5 * (train[near] - train[:, None]).mT / math.sqrt(10)
        floor = wide([1e-6] * 6)
        score = ProximalScore(train, Spiked(factors, floor), CLOCK)
        assert low < float(score.local_dimension(fresh, tau).median()) < high
    bare = ProximalScore(train, Spiked.pooled(1000, wide(0.0), 6), CLOCK)
    assert float(bare.local_dimension(train, 1e-8).median()) < 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_tails_and_duplicates_stay_finite(dtype):
    for n, d in ((1, 1), (1, 3), (5, 1)):
        centres = torch.zeros(n, d, dtype=dtype)
        spiked = Spiked(torch.zeros(n, d, 2, dtype=dtype), torch.full((d,), 1e-4, dtype=dtype))
        score = ProximalScore(centres, spiked, CLOCK)
        x = torch.full((2, d), 1e3, dtype=dtype)
        assert torch.isfinite(score(x, 0.0)).all()
        assert torch.isfinite(score.log_prob(x)).all()
        torch.testing.assert_close(
            score.law.log_joint(x).softmax(1).sum(1), torch.ones(2, dtype=dtype)
        )


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 3.0]))
def test_dense_covariances_are_reproduced(seed, tau):
    a = draw(3, 4, 4, seed=seed)
    covariances = a @ a.mT
    spiked = Spiked.dense(covariances)
    for i in range(3):
        torch.testing.assert_close(spiked.covariance(i), covariances[i], rtol=1e-9, atol=1e-9)
    mean = spiked.mean_covariance(wide([0.2, 0.3, 0.5]))
    expected = (wide([0.2, 0.3, 0.5])[:, None, None] * covariances).sum(0)
    torch.testing.assert_close(mean, expected, rtol=1e-9, atol=1e-9)
    turned = Spiked.pooled(3, covariances[0], 4)
    torch.testing.assert_close(turned.covariance(1), covariances[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        turned.on_axes().covariance(1), covariances[0], rtol=1e-9, atol=1e-9
    )


def test_state_round_trip():
    report = FitReport("kernel", {"k": 3}, 1.0, 0.1, {"kernel": 1.0}, 4, "only one", ("note",))
    for basis in (False, True):
        score, x = example(basis=basis), draw(4, 5)
        object.__setattr__(score, "fit_report", report)
        tensors, config = score.state()
        again = ProximalScore.from_state(tensors, config)
        assert torch.equal(again(x, 0.3), score(x, 0.3))
        assert again.fit_report == report


def test_a_report_reads_well():
    report = FitReport("full", {"k": 3}, 1.0, 0.1, {"full": 1.0}, 4, "the only one", ("a note",))
    assert repr(report) == (
        "the only one (k=3; 4 settings tried)\n  full: 1.00 nats\n  note: a note"
    )
    assert FitReport.from_dict(report.to_dict()) == report


def test_wrong_sizes_are_named():
    with pytest.raises(InputError, match=r"factors of shape \(3, 2, r\)"):
        ProximalScore(draw(3, 2), Spiked(draw(4, 2, 1), torch.ones(2).double()), CLOCK)
    with pytest.raises(InputError, match="floor must be non-negative"):
        Spiked(draw(4, 2, 1), -torch.ones(2).double())
    with pytest.raises(InputError, match="some known and some unknown"):
        example().conditioned(torch.zeros(5).double())


@pytest.mark.parametrize("temperature", [0.5, 3.0])
@pytest.mark.parametrize("basis", [False, True])
def test_one_component_tempered_is_its_power(temperature, basis):
    score, x = example(n=1, basis=basis, weights=False), 2 * draw(30, 5, seed=1)
    power = score.log_prob(x) / temperature
    gap = score.tempered(temperature).log_prob(x) - power
    torch.testing.assert_close(gap, gap[:1].expand(30))


def test_far_apart_components_tempered_are_the_power_of_the_density():
    line = torch.linspace(-30, 30, 20_001).double()[:, None]
    spiked = Spiked(wide([[[0.8]], [[0.8]]]), wide([0.1]))
    score = ProximalScore(wide([[-9.0], [9.0]]), spiked, CLOCK)
    power = (score.log_prob(line) / 0.4).exp()
    power /= torch.trapezoid(power, line[:, 0])
    torch.testing.assert_close(score.tempered(0.4).log_prob(line).exp(), power)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(InputError, match="temperature must be positive"):
        example().tempered(temperature)
