"""Leave-one-out kernel covariances: the likelihood rises to a stationary point."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.proximal import bandwidth
from wasserscore.proximal.bandwidth import (
    _scatter,
    divided,
    kernel_covariance,
    log_volume,
    root_of,
)
from wasserscore.proximal.sample_rows import Rows, distinct, least_variance
from wasserscore.proximal.validation import KernelFold


def cloud(n=80, d=3, seed=0) -> Rows:
    g = torch.Generator().manual_seed(seed)
    mix = torch.tensor([[1.0, 0.4, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, 0.1]], dtype=torch.float64)
    x = torch.randn(n, d, generator=g, dtype=torch.float64) @ mix[:d, :d]
    return Rows(x, torch.ones(n, dtype=torch.float64))


def leave_one_out(rows: Rows, covariance: torch.Tensor) -> torch.Tensor:
    """The leave-one-out log-likelihood, by explicit differences."""
    x, c = rows.points, rows.counts
    n, d = x.shape
    s = covariance if covariance.ndim == 2 else torch.diag(covariance.expand(d))
    gaussian = torch.distributions.MultivariateNormal(torch.zeros(d).double(), s)
    logs = gaussian.log_prob(x[:, None] - x) + c.log()
    logs = logs.masked_fill(torch.eye(n, dtype=torch.bool), -math.inf).logsumexp(1)
    return (c * (logs - (c.sum() - c).log())).sum() / c.sum()


@pytest.mark.parametrize("kind", ["isotropic", "columns", "full"])
def test_it_maximises_the_leave_one_out_likelihood(kind):
    rows = cloud()
    least = least_variance(rows)
    best = kernel_covariance(rows, kind, least)
    value = leave_one_out(rows, best)
    for factor in (0.8, 1.25):
        assert value > leave_one_out(rows, best * factor)
    if kind == "columns":
        for j in range(3):
            for factor in (0.7, 1.4):
                other = best.clone()
                other[j] *= factor
                assert value > leave_one_out(rows, other)
    if kind == "full":
        assert value > leave_one_out(rows, torch.diag(torch.diagonal(best)))


def test_richer_kernels_explain_correlated_columns_better():
    rows = cloud(200)
    least = least_variance(rows)
    values = [leave_one_out(rows, kernel_covariance(rows, kind, least))
              for kind in ("isotropic", "columns", "full")]  # fmt: skip
    assert values[0] < values[1] < values[2]


def test_counts_are_repeated_rows():
    rows = cloud(40)
    counts = torch.tensor([1.0, 3.0], dtype=torch.float64).repeat(20)
    repeated = Rows(rows.points, counts)
    best = kernel_covariance(repeated, "columns", least_variance(repeated))
    value = leave_one_out(repeated, best)
    assert value > leave_one_out(repeated, 1.3 * best)
    assert value > leave_one_out(repeated, best / 1.3)


def test_whitening_makes_the_kernel_standard():
    rows = cloud()
    for kind in ("isotropic", "columns", "full"):
        s = kernel_covariance(rows, kind, least_variance(rows))
        z = divided(rows.points, root_of(s))
        full = s if s.ndim == 2 else torch.diag(s.expand(3))
        gap = rows.points[:5] - rows.points[5:10]
        expected = (gap * torch.linalg.solve(full, gap.mT).mT).sum(1)
        torch.testing.assert_close((z[:5] - z[5:10]).square().sum(1), expected)
        torch.testing.assert_close(log_volume(root_of(s), 3), torch.logdet(full) / 2)


def test_floors_of_lattice_and_constant_columns():
    g = torch.Generator().manual_seed(0)
    smooth = torch.randn(200, generator=g, dtype=torch.float64)
    levels = torch.randint(0, 9, (200,), generator=g).double() * 0.25
    rows, shape = distinct(torch.stack([smooth, levels, torch.full((200,), 7.3).double()], 1))
    least = least_variance(rows)
    assert shape == (3,)
    assert float(least[0]) == pytest.approx(1e-6 * float(rows.points[:, 0].var(correction=0)))
    assert float(least[1]) == pytest.approx(0.25**2 / 12)
    assert float(least[2]) == pytest.approx(float(least[:2].min()))


def test_equal_rows_are_refused():
    with pytest.raises(InputError, match="three different rows"):
        distinct(torch.ones(5, 2))


def test_folds_hold_every_row_out_once():
    from wasserscore.core.random import Streams

    rows = cloud(23)
    pairs = rows.folds(5, Streams(0))
    held = torch.cat([held.points for _, held in pairs])
    assert torch.equal(held.sort(0).values, rows.points.sort(0).values)
    for train, held in pairs:
        assert len(train.points) + len(held.points) == 23
        assert float(torch.cdist(train.points, held.points).min()) > 0


def test_one_root_a_step_and_none_for_settings(monkeypatch):
    """Roots of wide matrices were nine tenths of a fit's time; what asks again has them."""
    roots, cholesky = [], torch.linalg.cholesky
    monkeypatch.setattr(torch.linalg, "cholesky", lambda s: roots.append(len(s)) or cholesky(s))
    rows = cloud(n=60)
    kernel_covariance(rows, "full", least_variance(rows))
    own, roots[:] = len(roots), []
    fold = KernelFold(rows, cloud(n=20, seed=1), "full", least_variance(rows))
    for floor in (0.5, 1.0, 2.0):
        fold.log_density({"floor": floor})
    assert len(roots) == own + 1
    scatters = []
    monkeypatch.setattr(bandwidth, "_scatter", lambda *a: scatters.append(1) or _scatter(*a))
    kernel_covariance(rows, "full", least_variance(rows))
    assert own == len(scatters) + 1


def test_a_full_kernel_of_fewer_rows_than_columns_is_found_in_their_span(monkeypatch):
    """Equal to the steps taken in all columns, by explicit covariances; roots of n x n only."""
    g = torch.Generator().manual_seed(4)
    n, d = 12, 40
    x = torch.randn(n, 5, generator=g).double() @ torch.randn(5, d, generator=g).double()
    rows = Rows(x + 3 + 0.2 * torch.randn(n, d, generator=g), torch.arange(1.0, n + 1).double())
    least = 0.05 * torch.rand(d, generator=g).double() + 0.001
    roots, cholesky = [], torch.linalg.cholesky
    monkeypatch.setattr(torch.linalg, "cholesky", lambda s: roots.append(len(s)) or cholesky(s))
    found = kernel_covariance(rows, "full", least)
    assert set(roots) == {n}

    x, counts = rows.points - rows.counts @ rows.points / rows.counts.sum(), rows.counts
    share, floor = counts / counts.sum(), torch.diag(least)
    gaps = x[:, None] - x
    s = ((x.T * share) @ x + floor) * n ** (-2 / (d + 4)) + floor
    moved = []
    for _ in range(len(roots) - 1):
        logits = counts.log() - (gaps @ torch.linalg.inv(s) * gaps).sum(2) / 2
        w = logits.fill_diagonal_(-torch.inf).softmax(1) * share[:, None]
        last, s = s, torch.einsum("ij,ijk,ijl->kl", w, gaps, gaps) + floor
        moved.append(float((torch.logdet(s) - torch.logdet(last)).abs()) / 2)
    assert [gap < 1e-3 * d for gap in moved] == [False] * (len(moved) - 1) + [True]
    torch.testing.assert_close(found, s, rtol=1e-9, atol=1e-12)
