import numpy as np
import pytest
import scipy.stats
import torch

from wasserscore.audit import closeness
from wasserscore.audit.closeness import c_t, closer_than_holdout, median_distance, z_u

rng = np.random.default_rng(0)
OWN, FRESH = rng.random(60) * 0.9, rng.random(80)


def brute_u(a, b):
    return sum((q > p) + 0.5 * (q == p) for q in a for p in b)


def test_z_u_is_the_definition_and_agrees_with_scipy():
    a, b = np.round(OWN, 1), np.round(FRESH, 1)
    m, n = len(a), len(b)
    expected = (brute_u(a, b) - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    assert z_u(a, b) == pytest.approx(expected, rel=1e-12)
    u = scipy.stats.mannwhitneyu(a, b).statistic
    assert u == pytest.approx(brute_u(a, b))


def test_closer_is_the_share_of_pairs_with_its_bootstrap_error():
    closer, z = closer_than_holdout(OWN, FRESH, seed=0)
    assert closer.value == pytest.approx(1 - brute_u(OWN, FRESH) / (60 * 80), rel=1e-12)
    assert z.value == z_u(OWN, FRESH)
    # DeLong's variance of the share, from the placements
    placed_own = np.array([(q < FRESH).mean() for q in OWN])
    placed_fresh = np.array([(p > OWN).mean() for p in FRESH])
    delong = np.sqrt(placed_own.var(ddof=1) / 60 + placed_fresh.var(ddof=1) / 80)
    assert 0.8 * delong < closer.stderr < 1.25 * delong
    assert 0.8 < z.stderr < 1.2


def test_units_of_the_extremes():
    closer, z = closer_than_holdout(FRESH, FRESH, seed=0)
    assert (closer.value, z.value) == (0.5, 0.0)
    assert closer_than_holdout(np.zeros(9), FRESH, seed=0)[0].value == pytest.approx(1.0)
    assert closer_than_holdout(FRESH + 2, FRESH, seed=0)[0].value == pytest.approx(0.0, abs=1e-12)


def test_median_has_the_error_of_a_median():
    values = torch.from_numpy(np.random.default_rng(1).normal(size=2000))
    found = median_distance(values, seed=0)
    assert found.value == pytest.approx(float(np.median(values)))
    assert found.stderr == pytest.approx(np.sqrt(np.pi / 2 / 2000), rel=0.3)


@pytest.mark.parametrize("n", [1, 2, 31, 40])
def test_medians_drawn_by_order_statistics_are_those_of_resamples(n, monkeypatch):
    monkeypatch.setattr(closeness, "BOOTSTRAPS", 4000)
    g = np.random.default_rng(2)
    values = g.gamma(2.0, size=n)
    resampled = np.median(g.choice(values, (4000, n)), axis=1)
    found = median_distance(torch.from_numpy(values), seed=0)
    assert found.stderr == pytest.approx(resampled.std(), rel=0.06)


def two_cells(seed, copied_left, far_right):
    """Two far clusters: copies in the left one, underfitting in the right one."""
    g = np.random.default_rng(seed)
    left, right = (g.normal(size=(k, 2)) for k in (60, 60))
    train = np.concatenate([left, right + 100])
    own_left = left + 1e-3 if copied_left else g.normal(size=(60, 2))
    own_right = g.normal(size=(60, 2)) * (3 if far_right else 1) + 100
    fresh = np.concatenate([g.normal(size=(60, 2)), g.normal(size=(60, 2)) + 100])
    return tuple(
        torch.from_numpy(x) for x in (train, np.concatenate([own_left, own_right]), fresh)
    )


def test_cells_see_copying_in_one_place_only():
    both = c_t(*two_cells(0, copied_left=True, far_right=True), seed=0)
    assert 0.3 < both.stderr < 1.2  # two cells of about one standard unit each, at half weight
    train, own, fresh = two_cells(0, copied_left=True, far_right=True)
    gaps = [torch.cdist(x, train).min(1).values.numpy() for x in (own, fresh)]
    cells = [c_t(*(x[i : i + 60] for x in (train, own, fresh)), seed=0).value for i in (0, 60)]
    assert cells[0] < -7
    assert cells[1] > 3
    assert both.value == pytest.approx(sum(cells) / 2, abs=1e-9)  # two cells of equal weight
    assert abs(z_u(*gaps)) < 6
    assert abs(c_t(*two_cells(0, copied_left=False, far_right=False), seed=0).value) < 3


def test_cells_of_rows_far_from_zero_are_the_same():
    g = np.random.default_rng(1)
    rows = [torch.from_numpy(np.round(g.normal(size=(n, 2)) * 2**20) / 2**20)
            for n in (500, 400, 400)]  # fmt: skip
    rows[1][:100] = rows[0][:100] + 2**-12
    here, far = (c_t(*(x + shift for x in rows), seed=0) for shift in (0.0, 2.0**29))
    assert far.value == pytest.approx(here.value, abs=1e-9)


def test_cells_without_enough_rows_do_not_count():
    train, own, fresh = two_cells(0, copied_left=True, far_right=False)
    assert c_t(train, own[:20], fresh, seed=0) is None
    left = c_t(train[:60], own[:60], fresh[:60], seed=0)
    only_left = c_t(train, own[:60], fresh, seed=0)
    assert only_left.value == pytest.approx(left.value, abs=1e-9)


def test_the_error_of_a_mean_is_that_of_independent_numbers():
    found = closeness.mean_number(torch.tensor([0.0, 2.0, 7.0]))
    assert found.value == 3.0
    assert found.stderr == pytest.approx(scipy.stats.sem([0.0, 2.0, 7.0]))
    assert closeness.mean_number(torch.tensor([3.0])).stderr is None
