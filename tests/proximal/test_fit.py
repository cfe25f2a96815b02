"""Fits on laws with known densities, on degenerate tables, and on digits at full size."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.process import VE, VP
from wasserscore.proximal import fit_gaussian, fit_kernel, fit_proximal
from wasserscore.proximal.gaussian import shrinkage
from wasserscore.score.empirical import EmpiricalScore

CLOCK = VE.constant(a=1.0, horizon=100.0)


def moons(n: int, noise: float, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(n, generator=g, dtype=torch.float64)
    upper = torch.rand(n, generator=g, dtype=torch.float64) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    z = torch.randn(n, 2, generator=g, dtype=torch.float64)
    return torch.stack([x, y], 1) + noise * z


def spiral(n: int, noise: float, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    turn = 3 * math.pi * torch.rand(n, generator=g, dtype=torch.float64).sqrt()
    x = torch.stack([turn * turn.cos(), turn * turn.sin()], 1) / (3 * math.pi)
    return x + noise * torch.randn(n, 2, generator=g, dtype=torch.float64)


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g, dtype=torch.float64)


@pytest.mark.parametrize(
    ("draw", "noise", "margin"),
    [
        pytest.param(moons, 0.05, 0.0, marks=pytest.mark.slow),
        pytest.param(moons, 0.02, 0.15, marks=pytest.mark.slow),
        pytest.param(spiral, 0.01, 0.15, marks=pytest.mark.slow),
    ],
)
def test_thin_sets_gain_over_the_best_kernel_density(draw, noise, margin):
    gains = []
    for seed in range(5):
        train, held = draw(200, noise, seed), draw(2000, noise, 1000 + seed)
        proximal = fit_proximal(train, CLOCK)
        kernels = [
            fit_kernel(train, CLOCK, kind=kind) for kind in ("isotropic", "columns", "full")
        ]
        best = max(float(k.log_prob(held).mean()) for k in kernels)
        gains.append(float(proximal.log_prob(held).mean()) - best)
    assert sum(gains) / 5 > margin


def test_the_thin_direction_is_the_normal_one():
    score = fit_proximal(moons(400, 0.02, 0), CLOCK)
    covariances = [score.covariance.covariance(i) for i in range(0, 400, 8)]
    normal_std = torch.stack([torch.linalg.eigvalsh(c)[0].sqrt() for c in covariances]).median()
    along_std = torch.stack([torch.linalg.eigvalsh(c)[1].sqrt() for c in covariances]).median()
    assert 0.01 < normal_std < 0.03  # the moons' own noise is 0.02
    assert along_std > 2 * normal_std


def test_the_report_says_what_was_tried():
    score = fit_proximal(moons(120, 0.05, 0), CLOCK)
    report = score.fit_report
    assert set(report.candidates) == {"local_pca", "isotropic", "columns", "full"}
    assert report.log_likelihood == max(report.candidates.values())
    assert report.candidates[report.method] == report.log_likelihood
    assert "nats" in report.why
    assert report.stderr > 0
    assert report.to_dict()["settings"] == report.settings


def test_one_gaussian_loses_a_twentieth_of_a_nat_at_most():
    train, held = normal(300, 2), normal(4000, 2, seed=1)
    score = fit_proximal(train, CLOCK)
    truth = -math.log(2 * math.pi) - held.square().sum(1).mean() / 2
    assert 0 < float(truth - score.log_prob(held).mean()) < 0.05


def test_same_seed_same_model_and_shape_is_kept():
    x = normal(60, 6).reshape(60, 2, 3)
    a, b = (fit_proximal(x, VP.constant(beta=1.0), seed=3) for _ in range(2))
    assert a.shape == (2, 3)
    assert torch.equal(a.centres, b.centres)
    assert torch.equal(a.covariance.factors, b.covariance.factors)
    y = a.sample_marginal(4, 0.5, generator=torch.Generator().manual_seed(0))
    assert y.shape == (4, 2, 3)
    assert a(y, 0.5).shape == (4, 2, 3)


def test_repeated_rows_become_weights_and_never_zero_variance():
    x = normal(60, 3)
    x = torch.cat([x, x[:20], x[:20]])
    score = fit_proximal(x, CLOCK)
    assert len(score.centres) == 60
    assert sorted(score.weights.tolist()) == [1.0] * 40 + [3.0] * 20
    assert "40 repeated rows" in score.fit_report.notes[0]
    assert score.least_variance > 1e-4
    kernel = fit_kernel(x, CLOCK, kind="isotropic")
    assert kernel.bandwidth > 0.05
    assert len(kernel.points) == 100


def test_constant_and_equal_columns_are_carried():
    x = normal(80, 2)
    x = torch.cat([x, x[:, :1], torch.full((80, 1), 4.0, dtype=torch.float64)], dim=1)
    for method in ("auto", "columns", "full"):
        score = fit_proximal(x, CLOCK, method=method)
        assert score.least_variance > 0
        drawn = score.sample_marginal(200, 0.0, generator=torch.Generator().manual_seed(0))
        assert torch.isfinite(score.log_prob(drawn)).all()
        assert (drawn[:, 3] - 4).abs().max() < 0.05
        near_copy = (drawn[:, 2] - drawn[:, 0]).abs().median()
        assert near_copy < 0.6 * drawn[:, 0].std()


def test_a_lattice_column_is_not_sharpened_into_spikes():
    g = torch.Generator().manual_seed(0)
    x = torch.cat([normal(150, 1), torch.randint(0, 4, (150, 1), generator=g).double()], dim=1)
    score = fit_proximal(x, CLOCK)
    assert float(score.covariance.floor[1]) >= 2.0**-16 / 12
    assert fit_proximal(x, CLOCK, method="columns").covariance.floor[1] >= 0.25 / 12


@pytest.mark.parametrize("n", [3, 4, 7])
def test_few_rows_still_give_a_density(n):
    score = fit_proximal(normal(n, 3), CLOCK)
    assert torch.isfinite(score.log_prob(normal(5, 3, seed=2))).all()


def test_one_column():
    score = fit_proximal(normal(100, 1), CLOCK)
    axis = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    assert float(score.log_prob(axis).exp().sum()) * 0.004 == pytest.approx(1, abs=1e-6)


def test_more_rows_than_the_settings_are_chosen_on(monkeypatch):
    import wasserscore.proximal.choose as choose

    monkeypatch.setattr(choose, "TUNING_ROWS", 60)
    for method in ("local_pca", "columns"):
        score = fit_proximal(normal(240, 2), CLOCK, method=method)
        assert len(score.centres) == 240
        assert "settings chosen on 60 of 240 rows" in score.fit_report.notes
        again = "settings chosen again on 240 rows, 240 centres" in str(score.fit_report)
        assert again == (method == "local_pca")


def test_the_rank_respects_the_memory(monkeypatch):
    import wasserscore.proximal.tuning as tuning

    x = normal(60, 4)
    monkeypatch.setattr(tuning, "FACTOR_BYTES", 8 * 60 * 4 * 2)
    score = fit_proximal(x, CLOCK, method="local_pca")
    assert score.covariance.rank <= 2
    assert "memory allows 2 local components per row" in score.fit_report.notes
    monkeypatch.setattr(tuning, "FACTOR_BYTES", 1)
    assert "local_pca" not in fit_proximal(x, CLOCK).fit_report.candidates
    with pytest.raises(InputError, match="not fit into memory"):
        fit_proximal(x, CLOCK, method="local_pca")


def test_scaling_travels_with_the_score():
    scaling = Scaling(torch.zeros(2).double(), torch.full((2,), 2.0).double())
    assert fit_proximal(normal(30, 2), CLOCK, scaling=scaling).scaling is scaling
    assert fit_kernel(normal(30, 2), CLOCK, scaling=scaling).scaling is scaling
    assert fit_gaussian(normal(30, 2), CLOCK, scaling=scaling).scaling is scaling


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="method must be one of auto"):
        fit_proximal(normal(10, 2), CLOCK, method="best")
    with pytest.raises(InputError, match="kind must be one of"):
        fit_kernel(normal(10, 2), CLOCK, kind="round")


def test_kernel_fits_have_the_form_they_promise():
    x = normal(80, 2)
    isotropic, columns, full = (
        fit_kernel(x, CLOCK, kind=kind) for kind in ("isotropic", "columns", "full")
    )
    assert isinstance(isotropic, EmpiricalScore)
    assert columns.covariance.rank == full.covariance.rank == 0
    # The empirical score is the same law as the proximal one with that floor.
    same = fit_proximal(x, CLOCK, method="isotropic")
    y = normal(7, 2, seed=5)
    torch.testing.assert_close(isotropic.log_prob(y, 0.3), same.log_prob(y, 0.3))


def test_gaussian_fit_and_ledoit_wolf_share():
    sklearn_covariance = pytest.importorskip("sklearn.covariance")
    for n, d in ((6, 10), (40, 10), (400, 3)):
        x = normal(n, d) @ normal(d, d, seed=1)
        score = fit_gaussian(x, CLOCK)
        sample = torch.cov(x.T, correction=0)
        if n >= 10 * d:
            expected = sample
        else:
            shrunk, share = sklearn_covariance.ledoit_wolf(x.numpy())
            assert shrinkage(x) == pytest.approx(share, rel=1e-10)
            expected = torch.from_numpy(shrunk)
        torch.testing.assert_close(score.moments()[1], expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(score.mean, x.mean(0))


@pytest.mark.slow
def test_digits_beat_every_kernel_density_without_copies():
    from sklearn.datasets import load_digits

    g = torch.Generator().manual_seed(0)
    raw = torch.from_numpy(load_digits().data) / 8 - 1
    raw = raw[torch.randperm(len(raw), generator=g)]
    raw = raw[:, raw.std(0) > 0]
    noise = torch.rand(raw.shape, generator=g, dtype=torch.float64) - 0.5
    points = raw + 0.125 * noise
    train, held = points[:898], points[898:1796]
    score = fit_proximal(train, CLOCK)
    kernels = [fit_kernel(train, CLOCK, kind=kind) for kind in ("isotropic", "columns", "full")]
    best = max(float(k.log_prob(held).mean()) for k in kernels)
    assert float(score.log_prob(held).mean()) > best + 10
    samples = score.sample_marginal(898, 0.0, generator=g).clamp(-1, 1)
    import ot

    cost = torch.cdist(samples, raw[898:1796]).square().numpy()
    uniform = torch.full((898,), 1 / 898, dtype=torch.float64).numpy()
    assert math.sqrt(ot.emd2(uniform, uniform, cost, numItermax=10**6)) < 3.05
    two = torch.cdist(samples, raw[:898]).topk(2, largest=False).values
    assert float((two[:, 0] / two[:, 1] < 1 / 3).double().mean()) == 0
    assert float(two[:, 0].min()) > 0.3
