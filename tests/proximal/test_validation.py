"""The fast fold evaluations equal the scores that the settings stand for."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.kernel import nearest
from wasserscore.process import VE
from wasserscore.proximal import local_pca
from wasserscore.proximal.local_pca import local_spread
from wasserscore.proximal.sample_rows import Rows, least_variance
from wasserscore.proximal.search import climb
from wasserscore.proximal.validation import KernelFold, LocalFold, mean_log_density, weighted_mean
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=100.0)


def rows(n, d, seed=0) -> Rows:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    x[:, 0] *= 3
    return Rows(x, 1 + torch.randint(0, 3, (n,), generator=g).double())


@pytest.mark.parametrize("kind", ["isotropic", "columns", "full"])
def test_kernel_fold(kind):
    train, held = rows(60, 3), rows(15, 3, seed=1)
    fold = KernelFold(train, held, kind, least_variance(train))
    covariance = Spiked.pooled(60, fold.kernel * 0.7, 3)
    score = ProximalScore(train.points, covariance, CLOCK, weights=train.counts)
    torch.testing.assert_close(fold.log_density({"floor": 0.7}), score.log_prob(held.points))


@pytest.mark.parametrize("kind", ["isotropic", "columns", "full", "local"])
def test_rows_far_from_zero_have_the_same_density(kind):
    settings = {"k": 6, "pull": 0.5, "rank": 2, "shrink": 0.6, "floor": 0.3}

    def fold(far):
        train, held = (Rows((x.points * 2**20).round() / 2**20 + far, x.counts)
                       for x in (rows(60, 3), rows(15, 3, seed=1)))  # fmt: skip
        build = LocalFold if kind == "local" else KernelFold
        return build(train, held, "columns" if kind == "local" else kind, least_variance(train))

    far, here = (fold(x).log_density(settings) for x in (2.0**24, 0.0))
    torch.testing.assert_close(far, here, rtol=0, atol=1e-5)


@pytest.mark.parametrize("d", [2, 9])
@pytest.mark.parametrize("rank", [1, 4])
def test_local_fold(d, rank):
    train, held = rows(60, d), rows(15, d, seed=1)
    fold = LocalFold(train, held, "columns", least_variance(train))
    rank, k = min(rank, d), 6
    settings = {"k": k, "pull": 0.5, "rank": rank, "shrink": 0.6, "floor": 0.3}
    scale = fold.kernel.sqrt()
    z = train.points / scale
    spread = local_spread(z, nearest(z, z, k, exclude_self=True)[1], rank)
    score = ProximalScore(
        spread.centres(0.5) * scale, spread.spiked(rank, 0.6, 0.3, scale), CLOCK,
        weights=train.counts,
    )  # fmt: skip
    torch.testing.assert_close(fold.log_density(settings), score.log_prob(held.points))


def test_neighbourhoods_taken_a_few_at_a_time_have_the_same_components(monkeypatch):
    """To the bit; no piece holds more numbers than it may."""
    z, sizes, components = rows(40, 9).points, [], local_pca._components
    monkeypatch.setattr(local_pca, "_components",
                        lambda a, r: sizes.append(a.nbytes) or components(a, r))  # fmt: skip
    near = nearest(z, z, 6, exclude_self=True)[1]
    whole = local_spread(z, near, 4)
    monkeypatch.setattr(local_pca, "TILE_BYTES", 3000)
    few = local_spread(z, near, 4)
    assert sizes[0] == 8 * 40 * 6 * 9
    assert max(sizes[1:]) <= 3000 < 2 * max(sizes[1:])
    for name in ("points", "shift", "variances", "directions"):
        assert torch.equal(getattr(few, name), getattr(whole, name))


@pytest.mark.parametrize("k", [4, 12])
def test_local_components_are_those_of_the_neighbourhood(k):
    z = rows(40, 6).points
    near = nearest(z, z, k, exclude_self=True)[1]
    spread = local_spread(z, near, min(k, 6))
    for i in (0, 17):
        around = z[near[i]]
        expected = torch.cov(around.T, correction=0)
        v = spread.directions[i]
        torch.testing.assert_close(v * spread.variances[i] @ v.mT, expected, atol=1e-10, rtol=0)
        torch.testing.assert_close(spread.centres(1.0)[i], around.mean(0))
        assert torch.equal(spread.centres(0.0)[i], z[i])


def test_mean_is_weighted_by_counts():
    train, held = rows(30, 2), rows(9, 2, seed=1)
    fold = KernelFold(train, held, "columns", least_variance(train))
    values = fold.log_density({"floor": 1.0})
    mean, stderr = mean_log_density([fold], {"floor": 1.0})
    repeated = values.repeat_interleave(held.counts.long())
    assert mean == pytest.approx(float(repeated.mean()))
    deviations = held.counts * (values - mean)  # a row that came often is one draw
    assert stderr == pytest.approx(float(deviations.norm() / held.counts.sum()))


def test_climb_finds_the_top_and_asks_once():
    asked = []

    def value(s):
        asked.append(tuple(s.values()))
        return -((s["a"] - 5) ** 2) - 0.3 * (s["b"] - s["a"]) ** 2

    ladders = {"a": [float(i) for i in range(17)], "b": [float(i) for i in range(9)]}
    best, tried = climb(value, {"a": 14.0, "b": 1.0}, ladders, sweeps=10)
    assert best == {"a": 5.0, "b": 5.0}
    assert len(asked) == len(set(asked)) == len(tried)
    assert max(tried, key=tried.get) == (5.0, 5.0)


def test_a_row_that_came_often_is_one_draw():
    """The same rows, each a hundred times: no more is known of their mean."""
    values = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = values[:, None]
    once, often = (weighted_mean(values, [Rows(x, torch.full((20,), c).double())])
                   for c in (1.0, 100.0))  # fmt: skip
    assert often == pytest.approx(once)
    assert once[1] == pytest.approx(float(values.std(unbiased=False)) / 20**0.5)
    counts = torch.arange(1, 21).double()
    share = counts / counts.sum()
    mean = float((share * values).sum())
    expected = float((share * (values - mean)).norm())
    assert weighted_mean(values, [Rows(x, counts)]) == pytest.approx((mean, expected))


def test_points_that_rounding_tells_apart_are_refused():
    x = 1e16 + torch.tensor([[0.0], [2.0], [4.0], [8.0]], dtype=torch.float64)
    with pytest.raises(InputError, match="differ by more than rounding"):
        least_variance(Rows(x, torch.ones(4).double()))
