"""Correlations survive among many columns of noise; what turned columns are fitted along."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import EDM
from wasserscore.proximal import correlated, fit_correlated, fit_proximal
from wasserscore.proximal.correlated import LOST
from wasserscore.score import ProximalScore

PROCESS = EDM()


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=Streams(seed).generator("x"), dtype=torch.float64)


def pair_in_noise(n: int, noise: int) -> torch.Tensor:
    """Two columns that are hardly ever apart, among columns of noise."""
    x = normal(n, noise + 2)
    x[:, 0] = x[:, 1] + 0.05 * x[:, 0]
    return x


def correlation(score) -> float:
    drawn = score.sample_marginal(20_000, generator=Streams(1).generator("drawn"))
    return float(torch.corrcoef(drawn[:, :2].T)[0, 1])


def test_a_pair_of_columns_stays_together_among_noise():
    x = pair_in_noise(300, 40)
    plain, mended = fit_proximal(x, PROCESS), fit_correlated(x, PROCESS)
    assert correlation(plain) < 1 - LOST
    assert correlation(mended) > 0.99
    assert "2 of 42 columns along their principal axes" in mended.fit_report.notes


@pytest.mark.parametrize("d", [45, 100])
def test_few_rows_of_many_columns_explain_fresh_ones_as_without_turning(d):
    """Turned, 60 rows of 45 columns lost 10 nats a fresh row, and those of 100 all of 1e27."""
    way = normal(1, d, seed=3)
    x, fresh = (normal(n, 1, seed=n) @ way + normal(n, d, seed=n + 1) for n in (60, 500))
    plain, kept = fit_proximal(x, PROCESS), fit_correlated(x, PROCESS)
    assert float(correlated._off(plain, x, 0).max()) > LOST
    assert float(kept.log_prob(fresh).mean()) >= float(plain.log_prob(fresh).mean())


def test_a_fit_that_keeps_correlations_is_left():
    x = pair_in_noise(200, 1)
    torch.testing.assert_close(
        fit_correlated(x, PROCESS).centres, fit_proximal(x, PROCESS).centres, rtol=0, atol=0
    )


def test_a_full_kernel_does_not_care_which_columns_are_turned():
    x, fresh = (normal(n, 5, seed=n) @ normal(5, 5) for n in (240, 50))
    plain = fit_proximal(x, PROCESS, method="full").log_prob(fresh)
    turned = fit_proximal(x, PROCESS, method="full", turn=[0, 3, 4])
    torch.testing.assert_close(turned.log_prob(fresh), plain, rtol=0, atol=0.02)


def test_turned_columns_are_fitted_in_whitened_axes():
    """The law of columns 0 and 2 along the axes of their covariance, column 1 as it is."""
    x = normal(200, 3)
    x[:, 2] = 3 * x[:, 0] + 0.3 * x[:, 2]
    some = x[:, [0, 2]] - x[:, [0, 2]].mean(0)
    values, vectors = torch.linalg.eigh(some.T @ some / 200)
    z = torch.stack([x[:, 1] - x[:, 1].mean(), *(some @ vectors / values.sqrt()).T], 1)
    wanted = fit_proximal(z, PROCESS, method="columns")
    score = fit_proximal(x, PROCESS, method="columns", turn=[2, 0])
    volume = float(values.log().sum()) / 2
    assert abs(volume) > 1
    found, expected = score.log_prob(x).mean(), wanted.log_prob(z).mean() - volume
    assert float(found) == pytest.approx(float(expected), abs=0.1)
    held_out = wanted.fit_report.log_likelihood - volume
    assert score.fit_report.log_likelihood == pytest.approx(held_out, abs=0.1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"turn": [0]}, "turn must name two columns or more"),
        ({"turn": [0, 0]}, "each once, from 0 to 2"),
        ({"turn": [0, 3]}, "each once, from 0 to 2"),
        ({"turn": [0, 1], "latent": 2}, "turn takes the points as they are"),
    ],
)
def test_what_cannot_be_turned_is_refused(options, says):
    with pytest.raises(InputError, match=says):
        fit_proximal(normal(20, 3), PROCESS, method="columns", **options)


def test_as_many_columns_as_rows_are_not_turned():
    with pytest.raises(InputError, match=r"more rows than columns.* got 8 different rows, 8 col"):
        fit_proximal(normal(8, 9), PROCESS, method="columns", turn=range(8))
    fit_proximal(normal(8, 9), PROCESS, method="columns", turn=range(7))


def test_one_column_has_nothing_to_lose():
    assert fit_correlated(normal(60, 1), PROCESS).dim == 1


@pytest.fixture
def fits(monkeypatch):
    """What fits were asked to turn; each has columns that have nothing to do with each other."""
    loose, turned = fit_proximal(normal(60, 2), PROCESS, method="isotropic"), []
    monkeypatch.setattr(correlated, "fit_proximal",
                        lambda *_, turn=None, **options: turned.append(turn) or loose)  # fmt: skip
    return turned


def pair(n: int, r: float) -> torch.Tensor:
    """Two columns whose correlation is this one exactly."""
    u, _ = torch.linalg.qr(normal(n, 2) - normal(n, 2).mean(0))
    return torch.stack([u[:, 0], r * u[:, 0] + (1 - r**2) ** 0.5 * u[:, 1]], 1)


@pytest.mark.parametrize(("errors", "looks"), [(3.5, [None]), (4.5, [None, [0, 1]])])
def test_a_correlation_counts_from_four_standard_errors_on(fits, errors, looks):
    """Of 144 points an error is 1/12."""
    fit_correlated(pair(144, errors / 12), PROCESS)
    assert fits == looks


def test_correlations_are_measured_to_a_hundredth(monkeypatch):
    drawn, draw = [], ProximalScore.sample_marginal

    def counted(score, n, **options):
        drawn.append(n)
        return draw(score, n, **options)

    monkeypatch.setattr(ProximalScore, "sample_marginal", counted)
    fit_correlated(normal(60, 2), PROCESS)
    assert drawn[0] ** -0.5 == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(("n", "turned"), [(11, False), (12, True)])
def test_columns_are_turned_from_four_different_rows_for_each(n, turned, monkeypatch):
    asked, fitted = [], correlated.fit_proximal

    def fit(points, process, *, turn=None, **options):
        asked.append(turn)
        return fitted(points, process, turn=turn, **options)

    monkeypatch.setattr(correlated, "fit_proximal", fit)
    monkeypatch.setattr(correlated, "_off", lambda *_: torch.full((3, 3), 0.9))
    rows = torch.arange(3.0 * n).reshape(n, 3).repeat(3, 1)
    fit_correlated(rows, EDM())
    assert asked == ([None, [0, 1, 2]] if turned else [None])
