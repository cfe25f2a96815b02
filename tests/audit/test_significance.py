import numpy as np
import pytest
from scipy.stats import fisher_exact

from wasserscore.audit import significance
from wasserscore.audit.significance import _scan, count_p_value, permutation_p_values
from wasserscore.core.results import Estimate


def brute_scan(own, fresh):
    """Every threshold, by counting; medians matched first."""
    m, n = len(own), len(fresh)
    total = m + n
    a, b = np.sort(own)[m // 2], np.sort(fresh)[n // 2]
    own = own * (b / a) if 0 < a < b else own
    pooled = np.sort(np.concatenate([own, fresh]))
    last = max(8, round(0.1 * total))
    best = -np.inf
    for t in np.unique(pooled):
        k, g = (pooled <= t).sum(), (own <= t).sum()
        if k >= 8 and k < total and (pooled < t).sum() < last:
            sd = np.sqrt(k * (m / total) * (n / total) * (total - k) / (total - 1))
            best = max(best, (g - k * m / total) / sd)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_scan_is_the_formula(seed):
    rng = np.random.default_rng(seed)
    own, fresh = rng.random(70), rng.random(110)
    own[: 3 + 2 * seed] *= 0.02
    if seed % 2:
        own, fresh = np.round(own, 2), np.round(fresh, 2)
    assert _scan(np.sort(own), np.sort(fresh)) == pytest.approx(brute_scan(own, fresh), rel=1e-12)


def pairs(rng, n):
    return np.stack([rng.gamma(3.0, size=n), rng.random(n)], 1)


def test_p_values_are_uniform_under_the_null(monkeypatch):
    monkeypatch.setattr(significance, "PERMUTATIONS", 99)
    rng = np.random.default_rng(0)
    found = np.array([
        permutation_p_values(pairs(rng, 60), pairs(rng, 80), seed) for seed in range(100)
    ])  # fmt: skip
    for p in found.T:
        assert abs((p <= 0.1).mean() - 0.1) < 0.08
        assert abs((p <= 0.5).mean() - 0.5) < 0.13


def test_stopping_early_changes_no_decision(monkeypatch):
    """With the same draws: what is not significant stays so, what may be is not stopped."""
    rng = np.random.default_rng(3)
    sets = [(pairs(rng, 60), pairs(rng, 60)) for _ in range(9)]
    for own, _ in sets[:4]:
        own[:12] *= 0.05
    found = {}
    for enough in (significance.ENOUGH, 10**9):
        monkeypatch.setattr(significance, "ENOUGH", enough)
        found[enough] = np.array([permutation_p_values(a, b, 0) for a, b in sets])
    early, late = found.values()
    limit = 25 / significance.PERMUTATIONS
    assert np.array_equal(early[late < limit], late[late < limit])
    assert ((early < limit) == (late < limit)).all()
    assert 0 < (late < limit).sum() < 18
    assert np.abs(early - late).max() < 0.25  # 25 exceedances know p to a fifth


def test_a_smoother_law_is_closer_but_no_copy_and_copies_are_both_or_only_copies():
    rng = np.random.default_rng(1)
    own, fresh = pairs(rng, 400), pairs(rng, 400)
    smoother = permutation_p_values(own * [0.8, 1.0], fresh, 0)
    assert smoother.closer == pytest.approx(1 / 400)
    assert smoother.copies > 0.02
    planted = own.copy()
    planted[:20] *= 1e-3
    found = permutation_p_values(planted, fresh, 0)
    assert found.copies == pytest.approx(1 / 400)
    assert found.closer > 0.005


def test_many_rows_are_thinned(monkeypatch):
    monkeypatch.setattr(significance, "MAX_ROWS", 50)
    monkeypatch.setattr(significance, "PERMUTATIONS", 99)
    rng = np.random.default_rng(2)
    found = permutation_p_values(pairs(rng, 3000) * 0.01, pairs(rng, 3000), 0)
    assert found.closer == pytest.approx(0.01)


@pytest.mark.parametrize(("a", "b"), [(5, 1), (0, 3), (0, 0), (40, 40)])
def test_counts_agree_with_fisher(a, b):
    m, n = 40, 50
    found = count_p_value(Estimate(a / m, n=m), Estimate(b / n, n=n))
    expected = fisher_exact([[a, m - a], [b, n - b]], alternative="greater").pvalue
    assert found == pytest.approx(float(expected), rel=1e-9)
