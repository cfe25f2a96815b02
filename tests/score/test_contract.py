"""The contract of closed-form scores: every law along every process."""

from itertools import pairwise

import pytest
import torch
from tests.score.contract import BUILDERS, PROCESSES, draw, times
from torch import Tensor

from wasserscore.core.errors import InputError
from wasserscore.process import EDM, VE, VP
from wasserscore.score import EmpiricalScore, GroupedScore, LatentScore, ProximalScore, load, save

laws = pytest.mark.parametrize("law", BUILDERS)
processes = pytest.mark.parametrize("process", PROCESSES)


def gradient(function, x):
    x = x.clone().requires_grad_()
    (out,) = torch.autograd.grad(function(x).sum(), x)
    return out


def normal(generator, n, d):
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return z, torch.rand(n, generator=generator, dtype=torch.float64)


@laws
@processes
def test_score_is_the_gradient_of_log_prob(law, process, generator):
    process = PROCESSES[process]
    score = BUILDERS[law](process, 2)
    for t in [0.0, *times(process)]:
        x = 1.5 * score.sample_marginal(20, t, generator=generator)
        expected = gradient(lambda x, t=t: score.log_prob(x, t), x)
        torch.testing.assert_close(score(x, t), expected, rtol=1e-10, atol=1e-10)


@laws
@processes
def test_tweedie(law, process, generator):
    r"""alpha E[x_0 | x] = x + sigma^2 score."""
    process = PROCESSES[process]
    score = BUILDERS[law](process, 2)
    for t in times(process):
        x = score.sample_marginal(20, t, generator=generator)
        moved = x + process.variance(t) * score(x, t)
        torch.testing.assert_close(process.alpha(t) * score.denoise(x, t), moved, rtol=1e-9,
                                   atol=1e-9)  # fmt: skip


@laws
@processes
def test_fokker_planck(law, process, generator):
    r"""d log p / dt = f (d + x.s) + g^2 / 2 (div s + |s|^2), with s the score."""
    process = PROCESSES[process]
    score = BUILDERS[law](process, 2)
    for t in times(process):
        x = score.sample_marginal(6, t, generator=generator).requires_grad_()
        s = score(x, t)
        rows = [torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0] for i in range(2)]
        divergence = rows[0][:, 0] + rows[1][:, 1]
        x, s = x.detach(), s.detach()
        space = process.f(t) * (2 + (x * s).sum(1)) + process.g2(t) / 2 * (
            divergence + s.square().sum(1)
        )
        h = 1e-3 * t
        l = [score.log_prob(x, t + i * h) for i in (-2, -1, 1, 2)]
        in_time = (l[0] - 8 * l[1] + 8 * l[2] - l[3]) / (12 * h)
        scale = float(space.abs().max()) + 1 / t
        torch.testing.assert_close(in_time, space, rtol=0, atol=1e-7 * scale)


@laws
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("t", [0.0, 0.4])
def test_density_integrates_to_one(law, d, t):
    score = BUILDERS[law](VP.linear(a=2.0, b=0.1), d)
    step = 0.02 if d == 1 else 0.1
    axis = torch.arange(-8.0, 10.0, step, dtype=torch.float64)
    grid = axis[:, None] if d == 1 else torch.cartesian_prod(axis, axis)
    mass = float(score.log_prob(grid, t).exp().sum()) * step**d
    assert abs(mass - 1) < 1e-8


@laws
def test_column_moments_are_those_of_the_whole(law):
    score = BUILDERS[law](PROCESSES["VE"], 2)
    mean, covariance = score.moments()
    expected = (mean, torch.diagonal(covariance))
    torch.testing.assert_close(score.column_moments(), expected, rtol=1e-13, atol=0)
    second = mean.square().sum() + torch.diagonal(covariance).sum()
    assert score.second_moment() == pytest.approx(float(second), rel=1e-13)


@laws
@pytest.mark.parametrize("process", ["VE", "SubVP"])
def test_marginals_have_the_moments_of_the_law(law, process, generator):
    process = PROCESSES[process]
    score, n = BUILDERS[law](process, 2), 20000
    mean, covariance = score.moments()
    second = mean.square().sum() + covariance.trace()
    assert score.second_moment() == pytest.approx(float(second), rel=1e-12)
    for t in [0.0, times(process)[1]]:
        alpha, variance = process.alpha(t), process.variance(t)
        x = score.sample_marginal(n, t, generator=generator)
        expected = alpha**2 * covariance + variance * torch.eye(2).double()
        assert_moments(x, alpha * mean, expected)


@laws
def test_a_score_is_shown_in_one_line_whatever_its_size(law):
    score = BUILDERS[law](PROCESSES["EDM"], 2)
    shown = repr(score)
    assert shown.startswith(f"{type(score).__name__}({score.components}")
    assert str(score.shape) in shown
    assert shown.endswith(f", {score.process.call(4)})")
    assert "\n" not in shown


def assert_moments(x, mean, covariance):
    """Sample mean and covariance within four standard errors, entry by entry."""
    n, centred = len(x), x - x.mean(0)
    assert bool(((x.mean(0) - mean).abs() <= 4 * centred.std(0) / n**0.5).all())
    products = centred[:, :, None] * centred[:, None]
    error = (products.mean(0) - covariance).abs()
    assert bool((error <= 4 * products.std(0) / n**0.5).all())


def assert_same_law(x, y):
    """Shares below nine quantiles along three directions, within four standard errors."""
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]]).double()
    levels = torch.arange(0.1, 0.95, 0.1, dtype=torch.float64)
    for u in directions:
        cut = torch.quantile(y @ u, levels)
        share = ((x @ u)[:, None] <= cut).double().mean(0)
        bound = 4 * (levels * (1 - levels) * (1 / len(x) + 1 / len(y))).sqrt()
        assert bool(((share - levels).abs() <= bound).all())


@laws
@pytest.mark.parametrize(
    ("process", "steps"),
    [
        *((name, steps) for steps in (1, 3) for name in ("VE", "VP", "SubVP", "EDM")),
        ("EDM", 50),
        *(pytest.param(name, 50, marks=pytest.mark.slow) for name in ("VE", "VP", "SubVP")),
    ],
)
def test_reverse_transitions_reproduce_the_data_law(law, process, steps, generator):
    process, n = PROCESSES[process], 4000 if steps == 50 else 20000
    score = BUILDERS[law](process, 2)
    top = float(process.noise_to_signal(process.horizon))
    levels = torch.logspace(-4, 0, steps, dtype=torch.float64).flip(0) * top
    grid = [process.horizon, *[float(process.time_at(s)) for s in levels[1:]], 0.0]
    x = score.sample_marginal(n, process.horizon, generator=generator)
    for t, s in pairwise(grid):
        noise, uniform = normal(generator, n, 2)
        x = score.reverse_transition(x, t, s, noise=noise, uniform=uniform)
    assert_moments(x, *score.moments())
    assert_same_law(x, score.sample_marginal(20000, generator=generator))


@laws
@pytest.mark.parametrize("process", ["VE", "VP", "SubVP", "EDM", "linear SDE"])
def test_a_reverse_transition_keeps_the_joint_law(law, process, generator):
    r"""E[x_s x_t^T] = (alpha_t / alpha_s) E[x_s x_s^T], for s of little and of much noise."""
    process, n = PROCESSES[process], 20000
    score = BUILDERS[law](process, 2)
    clock = times(process)
    for t, s in [(clock[2], clock[1]), (clock[1], clock[0]), (clock[2], 0.0)]:
        x_t = score.sample_marginal(n, t, generator=generator)
        noise, uniform = normal(generator, n, 2)
        x_s = score.reverse_transition(x_t, t, s, noise=noise, uniform=uniform)
        mean, covariance = score.moments()
        ratio = process.alpha(t) / process.alpha(s)
        second = process.alpha(s) ** 2 * (covariance + torch.outer(mean, mean))
        second = second + process.variance(s) * torch.eye(2).double()
        products = x_s[:, :, None] * x_t[:, None]
        error = (products.mean(0) - ratio * second).abs()
        assert bool((error <= 4 * products.std(0) / n**0.5).all())


@laws
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_bridge_keeps_the_law_of_its_component_at_every_noise_level(law, eta):
    """One affine map: A V_t A' + N N' = V_s, and the component's mean goes to its mean."""
    score = BUILDERS[law](PROCESSES["VP"], 2)
    if law in ("proximal", "latent", "grouped") and eta < 1:
        with pytest.raises(InputError, match="noise level 1 only"):
            one_bridge(score, 1.2, 0.3, eta)
        return
    clock, plain = score.process, score.full() if isinstance(score, LatentScore) else score
    if isinstance(plain, GroupedScore):
        plain = plain.laws[0]
    for t, s in [(1.2, 0.3), (0.3, 0.0)]:
        A, shift, N = one_bridge(score, t, s, eta)
        alpha, alpha_s = float(clock.alpha(t)), float(clock.alpha(s))
        mean = torch.linalg.solve((alpha_s * torch.eye(2) - alpha * A.mT).double(), shift)
        C, eye = covariance_of(plain, 0), torch.eye(2).double()
        V_t, V_s = (float(clock.alpha(u)) ** 2 * (C + float(clock.noise_to_signal(u)) * eye)
                    for u in (t, s))  # fmt: skip
        torch.testing.assert_close(A.mT @ V_t @ A + N.mT @ N, V_s, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(mean, centre_of(plain, 0), rtol=1e-7, atol=1e-9)


def one_bridge(score, t, s, eta):
    """The matrices of x -> x A + shift + z N for component 0."""
    eye, zero = torch.eye(2).double(), torch.zeros(1, 2).double()
    first = torch.zeros(2, dtype=torch.int64)
    go = lambda x, z: score.bridge(x, first[: len(x)], t, s, noise=z, eta=eta)
    shift = go(zero, zero)
    return go(eye, 0 * eye) - shift, shift[0], go(0 * eye, eye) - shift


def centre_of(score, index):
    for name in ("centres", "points"):
        if hasattr(score, name):
            return getattr(score, name)[index].double()
    return score.law.means[index].double()


def covariance_of(score, index):
    if isinstance(score, EmpiricalScore):
        return score.least_variance * torch.eye(2).double()
    if isinstance(score, ProximalScore):
        return score.covariance.covariance(index)
    return score.law.dense()[index]


@laws
def test_one_clock_for_all_processes(law, generator):
    """At equal noise-to-signal ratios the scaled scores agree; under() keeps the law."""
    ve, vp = VE.constant(a=1.0), VP.linear(a=2.0, b=0.1)
    score = BUILDERS[law](ve, 2)
    other = score.under(vp)
    assert other.process == vp
    for ratio in [1e-3, 1.0, 50.0]:
        t, u = float(ve.time_at(ratio)), float(vp.time_at(ratio))
        x, alpha = score.sample_marginal(9, t, generator=generator), vp.alpha(u)
        torch.testing.assert_close(alpha * other(alpha * x, u), score(x, t), rtol=1e-7, atol=1e-9)
        gap = score.log_prob(x, t) - other.log_prob(alpha * x, u)
        torch.testing.assert_close(gap, (2 * alpha.log()).expand(9), rtol=1e-6, atol=1e-8)


@laws
def test_one_time_per_point(law, generator):
    process = VP.linear(a=2.0, b=0.1)
    score = BUILDERS[law](process, 2)
    t = torch.tensor([0.1, 0.5, 0.5, 1.5], dtype=torch.float64)
    x = score.sample_marginal(4, t, generator=generator)
    noise, uniform = normal(generator, 4, 2)
    together = [
        score(x, t), score.log_prob(x, t), score.denoise(x, t),
        score.reverse_transition(x, t, t / 3, noise=noise, uniform=uniform),
    ]  # fmt: skip
    for i, now in enumerate(t.tolist()):
        row = slice(i, i + 1)
        alone = [
            score(x[row], now), score.log_prob(x[row], now), score.denoise(x[row], now),
            score.reverse_transition(x[row], now, now / 3, noise=noise[row], uniform=uniform[row]),
        ]  # fmt: skip
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one, many[row], rtol=1e-9, atol=1e-9)


@laws
def test_without_noise(law, generator):
    score = BUILDERS[law](EDM(sigma_max=80.0), 2)
    x = score.sample_marginal(5, 0.0, generator=generator)
    assert torch.equal(score.denoise(x, 0.0), x)
    near = [score(x, 0.0), score.log_prob(x, 0.0)]
    for a, b in zip(near, [score(x, 1e-7), score.log_prob(x, 1e-7)], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
    noise, uniform = normal(generator, 5, 2)
    for t in [0.0, 1.0]:
        same = score.reverse_transition(x, t, t, noise=noise, uniform=uniform)
        torch.testing.assert_close(same, x, rtol=1e-15, atol=0)
    with pytest.raises(InputError, match="goes down in time"):
        score.reverse_transition(x, 0.5, 1.0, noise=noise, uniform=uniform)


@laws
def test_points_keep_their_shape_and_dtype(law, generator):
    process = VP.linear(a=2.0, b=0.1)
    score = BUILDERS[law](process, 2)
    x = score.sample_marginal(6, 0.5, generator=generator)
    small = x.float()
    for got, want in [
        (score(small, 0.5), score(x, 0.5)),
        (score.log_prob(small, 0.5), score.log_prob(x, 0.5)),
        (score.denoise(small, 0.5), score.denoise(x, 0.5)),
    ]:
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="points must have shape"):
        score(draw(4, 3), 0.5)


@laws
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("told", [Tensor.numpy, Tensor.tolist])
def test_points_may_be_arrays_or_lists(law, told, generator):
    score = BUILDERS[law](VP.linear(a=2.0, b=0.1), 2)
    x = score.sample_marginal(6, 0.5, generator=generator)
    asked = [lambda x: score(x, 0.5), lambda x: score.log_prob(x, 0.5),
             lambda x: score.denoise(x, 0.5)]  # fmt: skip
    for name in ("divergence", "local_dimension"):
        if hasattr(score, name):
            asked.append(lambda x, name=name: getattr(score, name)(x, 0.5))
    if hasattr(score, "log_prob_of_others"):
        asked.append(score.log_prob_of_others)
    for ask in asked:
        assert torch.equal(ask(told(x)), ask(x))
    with pytest.raises(InputError, match="points must be numbers"):
        score([["a", "b"]], 0.5)


@laws
@pytest.mark.parametrize("given", ["VP", EDM, None])
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_process_is_refused_when_it_is_given(law, given):
    score = BUILDERS[law](EDM(sigma_max=80.0), 2)
    with pytest.raises(InputError, match=r"process must be one of wasserscore's, got .*; pass an"):
        score.under(given)


@laws
def test_saved_and_loaded(law, tmp_path, generator):
    score = BUILDERS[law](VP.linear(a=2.0, b=0.1), 2)
    save(score, tmp_path / "law")
    again = load(tmp_path / "law")
    x = score.sample_marginal(6, 0.5, generator=generator)
    assert type(again) is type(score)
    assert torch.equal(again(x, 0.5), score(x, 0.5))
