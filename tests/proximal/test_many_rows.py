"""Local components of many rows: the density of a fold is the model's, and centres are few."""

import math

import pytest
import torch

from wasserscore.core.random import Streams
from wasserscore.process import VE
from wasserscore.proximal import choose, fit_proximal, many_rows, refine, tuning
from wasserscore.proximal.bandwidth import kernel_covariance
from wasserscore.proximal.many_rows import (
    ManyRows,
    centre_count,
    top_rank,
)
from wasserscore.proximal.sample_rows import Rows
from wasserscore.score.fit_report import FitReport
from wasserscore.score.spiked import Spiked
from wasserscore.score.spiked_mixture import SpikedMixture

CLOCK = VE.constant(a=1.0)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def ribbon(n, seed=0, d=6):
    """A curve with a second direction along it, thin in the others; far from the origin."""
    u = 3 * draw(n, 1, seed=seed)
    x = torch.cat([u, u.sin(), 0.5 * draw(n, 1, seed=seed + 1)], dim=1)
    return torch.cat([x, x.new_zeros(n, d - 3)], dim=1) + 0.1 * draw(n, d, seed=seed + 2) + 40


def fold(n=60, repeated=False):
    counts = torch.ones(n, dtype=torch.float64)
    if repeated:
        counts[::3] = 4
    held = Rows(ribbon(9, seed=5), torch.ones(9, dtype=torch.float64))
    return ManyRows(Rows(ribbon(n), counts), held, 0.05 + draw(6).square())


@pytest.mark.parametrize("pull", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("repeated", [False, True])
def test_a_fold_knows_the_density_of_its_model(pull, repeated):
    """Queries seen along directions, against the mixture that the model is; few are centres."""
    rows = fold(repeated=repeated)
    for settings in (
        {"k": 8, "rank": 3, "floor": 0.4, "shrink": 0.7, "pull": pull},
        {"k": 30, "rank": 6, "floor": 1.7, "shrink": 1.0, "pull": pull},
    ):
        centres, covariance, weights = rows.model(settings)
        assert (weights is not None) == repeated
        share = torch.ones(len(centres)).double() if weights is None else weights
        law = SpikedMixture(centres, covariance, share / share.sum())
        theirs = law.log_density(rows.held_out.points, 0.0)
        torch.testing.assert_close(rows.log_density(settings), theirs, rtol=0, atol=2e-3)


@pytest.mark.parametrize("rank", [3, 6])
def test_a_thin_floor_is_not_drowned_in_rounding(rank):
    """Held-out rows near the planes of their centres, floors a hundred thousandth of a kernel."""
    rows = fold(n=400)
    settings = {"k": 20, "rank": rank, "floor": 2**-16, "shrink": 0.7, "pull": 0.75}
    centres, covariance, _ = rows.model(settings)
    law = SpikedMixture(centres, covariance, torch.full((400,), 1 / 400).double())
    x = law.draw(9, torch.Generator().manual_seed(0))
    near = ManyRows(rows.rows, Rows(x, torch.ones(9).double()), rows.kernel)
    theirs = law.log_density(x, 0.0)
    torch.testing.assert_close(near.log_density(settings), theirs, rtol=0, atol=0.05)


def test_neighbours_come_from_all_rows_though_few_are_centres(monkeypatch):
    monkeypatch.setattr(many_rows, "WORK", 8 * 6**2 * 10)  # ten centres of eight neighbours
    rows = fold()
    settings = {"k": 8, "rank": 2, "floor": 0.5, "shrink": 1.0, "pull": 1.0}
    centres, covariance, _ = rows.model(settings)
    assert len(centres) == 10
    x = rows.rows.points
    for i in (0, 9):
        gap = ((x - x[i]) / rows.scale).square().sum(1)
        gap[i] = torch.inf
        near = x[gap.topk(8, largest=False).indices]
        torch.testing.assert_close(centres[i], near.mean(0), rtol=0, atol=1e-4)
        local = torch.linalg.eigh(torch.cov((near / rows.scale).T, correction=0))
        values, vectors = local.eigenvalues[-2:], local.eigenvectors[:, -2:]
        wide = vectors * values @ vectors.T + 0.5 * torch.eye(6).double()
        expected = rows.scale[:, None] * wide * rows.scale
        torch.testing.assert_close(covariance.covariance(i), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("n", "d", "k"), [
    (60000, 784, 64), (60000, 784, 1024), (60000, 64, 384), (10**6, 40, 256), (10**6, 2, 96),
])  # fmt: skip
def test_the_model_stays_within_memory_and_work(n, d, k):
    """No limit is passed, and one is nearly reached: centres are as many as they may be."""
    count, rank = centre_count(n, d, k), top_rank(d, k)
    used = (
        8 * count * d * rank / tuning.FACTOR_BYTES,
        4 * many_rows.HELD_OUT * count * rank / many_rows.SEEN_BYTES,
        count * min(k, d) ** 2 * max(k, d) / many_rows.WORK,
        count * n * max(d, 16) / many_rows.SEARCH,
    )
    assert 0.99 < max(used) <= 1
    assert centre_count(50, 3, 8) == 50


@pytest.mark.slow
def test_settings_chosen_on_all_rows_beat_those_of_a_subset():
    """Twelve times as many rows allow narrower kernels: held-out likelihood on fresh rows."""
    x, fresh = ribbon(1800), ribbon(2000, seed=50)
    subset = fit_proximal(x[:150], CLOCK, method="local_pca")
    rows = Rows(x, torch.ones(1800, dtype=torch.float64))
    kernel = subset.covariance.floor / subset.fit_report.settings["floor"]
    kernel = kernel * 12 ** (-2 / 10)
    found = refine.refine(subset.fit_report.settings, 150, rows, kernel, Streams(0))

    def ask(model):
        centres, covariance, _ = model
        share = torch.full((len(centres),), 1 / len(centres), dtype=torch.float64)
        return float(SpikedMixture(centres, covariance, share).log_density(fresh, 0.0).mean())

    carried = ManyRows(rows, rows.at(torch.arange(1)), kernel).model(subset.fit_report.settings)
    assert ask(found.model) > ask(carried) + 0.02
    assert found.log_likelihood == pytest.approx(ask(found.model), abs=4 * found.stderr)
    assert len(found.model[0]) == 1800  # nothing asks for fewer here
    assert math.isfinite(found.stderr)


@pytest.mark.slow
def test_the_subset_does_not_decide_between_kernel_density_and_local_components(monkeypatch):
    """Sixty rows of a fast oscillation look like a cloud; a thousand do not."""
    monkeypatch.setattr(choose, "TUNING_ROWS", 60)

    def curve(n, seed):
        u = 6 * torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)).double()
        return torch.cat([u, 2 * (6 * u).sin()], 1) + 0.05 * draw(n, 2, seed=seed + 1)

    x, fresh = curve(1000, 3), curve(2000, 7)
    score = fit_proximal(x, CLOCK)
    report = score.fit_report
    best = max(report.candidates, key=report.candidates.__getitem__)
    assert best == "isotropic"  # on the subset
    assert report.method == "local_pca"
    assert "best on the subset" in report.why
    kernel = fit_proximal(x, CLOCK, method=best)
    gain = float((score.log_prob(fresh) - kernel.log_prob(fresh)).mean())
    assert gain > 0.3
    told = float(report.why.split(" more than")[0].split()[-1])
    assert told == pytest.approx(gain, abs=0.25)


def test_a_kernel_density_that_stays_best_says_so():
    report = FitReport("columns", {"floor": 2.0}, -1.0, 0.1, {"columns": -1.0}, 9, "why")
    law = draw(2, 2), Spiked.pooled(2, torch.ones(2).double(), 2), None
    local = refine.Refined(law, {"k": 3}, -1.25, 0.1, 128, 5)
    told, kept = choose._decided(report, local, -1.0, 4000)
    assert kept
    assert told.method == "columns"
    assert told.notes == (
        "with all 4000 rows still 0.25 nats more than local principal components",
    )


@pytest.mark.parametrize("kind", ["isotropic", "columns", "full"])
def test_the_likelihood_of_a_kernel_density_is_that_of_its_model(kind):
    x, streams = ribbon(300), Streams(2)
    rows = Rows(x, 1.0 + torch.arange(300).double() % 3)
    covariance = kernel_covariance(rows, kind, torch.full((6,), 1e-9).double())
    order, few = refine._split(300, streams)
    held, others = rows.at(order[:few]), rows.at(order[few:])
    share = others.counts / others.counts.sum()
    law = SpikedMixture(others.points, Spiked.pooled(len(share), covariance, 6), share)
    each = law.log_density(held.points, 0.0)
    expected = float((each * held.counts).sum() / held.counts.sum())
    assert refine.kernel_likelihood(covariance, rows, streams) == pytest.approx(expected, abs=1e-8)


def test_cells_grow_with_the_rows(monkeypatch):
    """A subset has rows for two cells only; all rows show the eight clouds that there are."""
    monkeypatch.setattr(choose, "TUNING_ROWS", 30)
    middles = 8 * torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 3)
    x = middles.repeat(60, 1) + draw(480, 3)
    score = fit_proximal(x, CLOCK, method="analysers")
    settings = score.fit_report.settings
    assert settings["cells"] in (8, 16)
    assert f"settings chosen again on 480 rows, {score.components} centres" in str(
        score.fit_report
    )
    fresh = middles.repeat(200, 1) + draw(1600, 3, seed=7)
    truth = torch.distributions.Normal(0.0, 1.0).log_prob(draw(1600, 3, seed=7)).sum(1) - math.log(
        8
    )
    assert float(score.log_prob(fresh).mean()) > float(truth.mean()) - 0.25
    assert score.fit_report.log_likelihood == pytest.approx(float(truth.mean()), abs=0.8)


def test_neighbours_found_earlier_are_those_found_afresh(monkeypatch):
    """From few centres with many neighbours to more with fewer, and to more neighbours again."""
    monkeypatch.setattr(many_rows, "centre_count", lambda n, d, k: 160 // k)
    rows = fold()
    for k in (8, 4, 16, 20, 5):
        near = rows._neighbours(160 // k, k)
        assert torch.equal(near, torch.cdist(rows.z, rows.z).argsort(1)[: 160 // k, 1 : k + 1])
