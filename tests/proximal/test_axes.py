"""Principal axes: the independent library's, and fits on them that stay densities."""

import math

import pytest
import torch
from sklearn.decomposition import PCA

from wasserscore.core.errors import InputError
from wasserscore.process import VE
from wasserscore.proximal import fit_proximal
from wasserscore.proximal.axes import principal_axes
from wasserscore.proximal.sample_rows import distinct, least_variance
from wasserscore.score import LatentScore, load, save

CLOCK = VE.constant(a=1.0)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def sheet(n, seed=0):
    """A bent sheet of two wide directions in seven, with noise of 0.1 across."""
    z = draw(n, 2, seed=seed)
    z = torch.cat([3 * z[:, :1], z[:, :1].square() + 0.7 * z[:, 1:]], dim=1)
    turn = torch.linalg.qr(draw(7, 7, seed=90))[0]
    return z @ turn[:2] + 0.1 * draw(n, 7, seed=seed + 1) + 2


@pytest.mark.parametrize("n", [200, 6])
def test_axes_and_residual_are_those_of_the_library(n):
    rows, _ = distinct(sheet(n))
    axes = principal_axes(rows, 2, least_variance(rows))
    theirs = PCA(2).fit(rows.points.numpy())
    ours = axes.axes @ axes.axes.T
    them = torch.from_numpy(theirs.components_.T @ theirs.components_)
    torch.testing.assert_close(ours, them)
    # their n - 1 against our n; they average over min(n, d) directions, we over d
    lost = float(theirs.noise_variance_) * (min(n, 7) - 2) * (n - 1) / n
    assert axes.lost == pytest.approx(lost)
    assert axes.residual == pytest.approx(lost / 5)
    assert axes.explained == pytest.approx(float(theirs.explained_variance_ratio_.sum()))


def test_a_single_cell_on_axes_is_probabilistic_pca():
    """A Gaussian on the axes completed by its residual has the independent library's density."""
    x = sheet(300)
    rows, _ = distinct(x)
    axes = principal_axes(rows, 2, least_variance(rows))
    z = axes.coordinates(rows).points
    within = torch.distributions.MultivariateNormal(z.mean(0), torch.cov(z.T, correction=0))
    mean = float(within.log_prob(z).mean()) + axes.log_likelihood
    assert mean == pytest.approx(PCA(2).fit(x.numpy()).score(x.numpy()), abs=0.02)


@pytest.mark.parametrize(("share", "count"), [(0.5, 1), (0.99, 2), (0.9999, 7)])
def test_a_share_of_the_variance_chooses_the_axes(share, count):
    rows, _ = distinct(sheet(400))
    axes = principal_axes(rows, share, least_variance(rows))
    assert axes.axes.shape == (7, count)
    assert axes.explained >= share


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("method", ["columns", "full", "local_pca"])
def test_a_fit_on_axes_reports_its_density_in_all_coordinates(method, whiten):
    """The cross-validated likelihood of the report is that of fresh points, within noise."""
    score = fit_proximal(sheet(240), CLOCK, method=method, latent=2, whiten=whiten)
    fresh = sheet(3000, seed=20)
    assert isinstance(score, LatentScore)
    report = score.fit_report
    assert float(score.log_prob(fresh).mean()) == pytest.approx(report.log_likelihood, abs=0.25)
    assert report.candidates[method] == report.log_likelihood
    assert "2 principal axes of 7 hold" in report.notes[0]
    drawn = score.sample_marginal(4000, 0.0, generator=torch.Generator().manual_seed(1))
    assert float((torch.cov(drawn.T) - torch.cov(fresh.T)).abs().max()) < 0.9
    thin = torch.linalg.eigvalsh(torch.cov(drawn.T))[:5]
    torch.testing.assert_close(thin.sqrt(), torch.full((5,), 0.1).double(), rtol=0.1, atol=0)


def test_all_axes_are_an_exact_change_of_coordinates():
    """With a covariance of its own, the density does not care about axes or their scale."""
    x, fresh = sheet(240), sheet(50, seed=20)
    plain = fit_proximal(x, CLOCK, method="full").log_prob(fresh)
    for whiten in (False, True):
        score = fit_proximal(x, CLOCK, method="full", latent=7, whiten=whiten)
        torch.testing.assert_close(score.log_prob(fresh), plain, rtol=0, atol=0.02)


def test_fewer_rows_than_columns():
    x = draw(12, 40) @ draw(40, 40, seed=1)
    score = fit_proximal(x, CLOCK, method="columns", latent=5)
    assert bool(torch.isfinite(score.log_prob(draw(3, 40))).all())
    assert score.residual > 0


def test_a_fit_on_axes_is_stored(tmp_path):
    score = fit_proximal(sheet(60).reshape(60, 7, 1), CLOCK, method="columns", latent=0.9)
    save(score, tmp_path / "m")
    back, x = load(tmp_path / "m"), sheet(4, seed=3)
    assert bool((back.log_prob(x) == score.log_prob(x)).all())
    assert back.fit_report == score.fit_report
    assert back.shape == (7, 1)


@pytest.mark.parametrize("latent", [0, 8, 1.0, 1.5, -0.1, True, math.nan])
def test_other_latents_are_refused(latent):
    with pytest.raises(InputError, match="latent must be a number of axes from 1 to 7"):
        fit_proximal(sheet(60), CLOCK, latent=latent)


def test_whitening_needs_axes():
    with pytest.raises(InputError, match="whiten scales principal axes"):
        fit_proximal(sheet(60), CLOCK, whiten=True)
