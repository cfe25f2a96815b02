"""Mixtures of factor analysers: one cell is factor analysis, steps rise, cells are found."""

from itertools import pairwise

import pytest
import torch
from sklearn.decomposition import FactorAnalysis

from wasserscore.core.random import Streams
from wasserscore.process import VE
from wasserscore.proximal import analysers, fit_proximal
from wasserscore.proximal.analysers import fit_analysers
from wasserscore.proximal.sample_rows import Rows, distinct, least_variance
from wasserscore.score.spiked import Spiked
from wasserscore.score.spiked_mixture import SpikedMixture

CLOCK = VE.constant(a=1.0)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plane(n, seed=0):
    noise = torch.linspace(0.5, 0.8, 7, dtype=torch.float64)
    return draw(n, 2, seed=seed) @ draw(2, 7, seed=99) + draw(n, 7, seed=seed + 1) * noise + 3


def cells(n, seed=0):
    """Three flat clouds in five dimensions, each along another direction."""
    which = torch.arange(n) % 3
    along = torch.eye(5, dtype=torch.float64)[which]
    return 4 * along + 1.5 * draw(n, 1, seed=seed) * along.roll(1, 1) + 0.2 * draw(n, 5, seed=9)


def rows_of(x) -> tuple[Rows, torch.Tensor]:
    rows, _ = distinct(x)
    return rows, least_variance(rows)


def test_one_cell_is_factor_analysis(monkeypatch):
    """The independent library's optimum is a fixed point, with the same likelihood."""
    x = plane(200)
    rows, least = rows_of(x)
    theirs = FactorAnalysis(2, tol=1e-3, max_iter=3000, svd_method="lapack").fit(x.numpy())
    factors = torch.from_numpy(theirs.components_).T[None]
    floor, mean = torch.from_numpy(theirs.noise_variance_), torch.from_numpy(theirs.mean_)
    law = SpikedMixture(mean[None], Spiked(factors, floor), torch.ones(1, dtype=torch.float64))
    monkeypatch.setattr(analysers, "_start", lambda *a: law)
    after = fit_analysers(rows, 1, 2, least, Streams(0), steps=3)
    assert after.values == pytest.approx([theirs.score(x.numpy())] * len(after.values), abs=1e-4)
    torch.testing.assert_close(after.mixture.covariance.floor, floor, rtol=0.01, atol=0)
    turned = after.mixture.covariance.factors[0] @ after.mixture.covariance.factors[0].T
    torch.testing.assert_close(turned, factors[0] @ factors[0].T, rtol=0, atol=0.02)


def test_every_step_raises_the_likelihood(monkeypatch):
    monkeypatch.setattr(analysers, "TOLERANCE", 0.0)
    rows, least = rows_of(cells(120))
    values = fit_analysers(rows, 5, 2, least, Streams(0), steps=60).values
    assert min(b - a for a, b in pairwise(values)) > -1e-9
    assert values[-1] > values[0] + 0.1


def test_cells_are_found():
    rows, least = rows_of(cells(600))
    law = fit_analysers(rows, 3, 1, least, Streams(0)).mixture
    assert law.weights.sort().values.tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    order = (law.centres.argmax(1)).argsort()
    expected = 4 * torch.eye(5, dtype=torch.float64)[:3]
    torch.testing.assert_close(law.centres[order], expected, atol=0.3, rtol=0)
    along = law.covariance.factors[order, :, 0]
    expected = 1.5 * torch.eye(5, dtype=torch.float64)[:3].roll(1, 1)
    torch.testing.assert_close(along.abs(), expected, atol=0.2, rtol=0)
    assert law.covariance.floor.sqrt().tolist() == pytest.approx([0.2] * 5, rel=0.1)


def test_copies_count_like_rows():
    x = cells(90)
    twice, least = rows_of(torch.cat([x, x]))
    once, _ = rows_of(x)
    a = fit_analysers(once, 2, 1, least, Streams(0))
    b = fit_analysers(twice, 2, 1, least, Streams(0))
    assert b.values == pytest.approx(a.values)


def test_cells_without_rows_are_dropped_and_the_floor_holds():
    x = torch.cat([draw(20, 3), 50 + 1e-9 * draw(4, 3, seed=5)])
    rows, least = rows_of(x)
    law = fit_analysers(rows, 12, 2, least, Streams(0)).mixture
    assert bool((law.weights * 24 > 0.99).all())
    assert bool((law.covariance.floor >= least).all())


@pytest.mark.slow
def test_many_rows_and_few_rows_try_cells_too():
    few = fit_proximal(cells(40), CLOCK)
    assert "analysers" in few.fit_report.candidates
    asked = fit_proximal(cells(300), CLOCK, method="analysers")
    assert asked.fit_report.method == "analysers"
    assert len(asked.centres) == asked.fit_report.settings["cells"] <= 6
    held = cells(400, seed=50)
    kernel = fit_proximal(cells(300), CLOCK, method="full")
    assert float(asked.log_prob(held).mean()) > float(kernel.log_prob(held).mean()) + 0.5
