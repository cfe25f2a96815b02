import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wasserscore.certificate.statistics import (
    betting_limit,
    betting_lower_limit,
    mean_limit,
    pilot_limit,
    proportion_limit,
    root_stderr,
    share,
    split_limit,
    transport_limit,
)
from wasserscore.core.errors import InputError


def test_share_is_bonferroni():
    assert share(0.95, 2) == pytest.approx(0.975)
    assert share(0.999, 1) == pytest.approx(0.999)


def test_mean_limit_closed_form():
    v = torch.tensor([0.0, 1.0, 2.0, 9.0], dtype=torch.float64)
    q = stats.t.ppf(0.9, 3)
    skew = float((((v - 3) / v.std()) ** 3).mean())
    expected = 3 + v.std() / 2 * (q + skew * (2 * q**2 + 1) / 12)
    assert mean_limit(v, 0.9) == pytest.approx(float(expected), rel=1e-12)


def test_negative_skew_never_lowers_the_limit():
    v = -torch.tensor([0.0, 1.0, 2.0, 9.0], dtype=torch.float64)
    assert mean_limit(v, 0.9) == pytest.approx(float(-3 + v.std() / 2 * stats.t.ppf(0.9, 3)))


def test_constant_numbers_have_an_exact_limit():
    assert mean_limit(torch.full((256,), 0.09, dtype=torch.float64), 0.999) == pytest.approx(
        0.09, rel=1e-14
    )


def test_one_number_is_refused():
    with pytest.raises(InputError, match="at least two"):
        mean_limit(torch.ones(1, dtype=torch.float64), 0.9)


def test_asymptotic_coverage_of_skewed_squares():
    # squares of Gaussians, the hardest tight case: nominal .99 at n = 64
    rng = np.random.default_rng(0)
    v = torch.from_numpy(rng.standard_normal((4000, 64)) ** 2)
    covered = np.mean([mean_limit(row, 0.99) >= 1 for row in v])
    plain = np.mean((v.mean(1) + stats.t.ppf(0.99, 63) * v.std(1) / 8 >= 1).numpy())
    assert covered >= 0.977
    assert plain < 0.965


def test_root_stderr_is_the_delta_method():
    assert root_stderr(4.0, 0.2) == pytest.approx(0.05)
    assert root_stderr(0.0, 0.0) == 0.0


@given(hits=st.integers(0, 50), level=st.floats(0.5, 0.999))
def test_proportion_limit_inverts_the_binomial_tail(hits, level):
    p = proportion_limit(hits, 50, level)
    if hits < 50:
        assert stats.binom.cdf(hits, 50, p) == pytest.approx(1 - level, rel=1e-6)
    else:
        assert p == 1.0


@given(seed=st.integers(0, 200), p=st.floats(0.0, 1.0), bound=st.floats(0.5, 20.0))
def test_betting_limit_is_a_limit_within_the_range(seed, p, bound):
    v = bound * torch.from_numpy(np.random.default_rng(seed).binomial(1, p, 64) * 1.0)
    limit = betting_limit(v, bound, 0.95)
    assert float(v.mean()) <= limit <= bound
    assert limit <= betting_limit(v, bound, 0.99)
    assert betting_limit(3 * v, 3 * bound, 0.95) == pytest.approx(3 * limit, rel=1e-9)


@pytest.mark.slow
def test_betting_coverage_of_coin_flips():
    rng = np.random.default_rng(1)
    for p in (0.02, 0.3, 0.9):
        flips = torch.from_numpy(rng.binomial(1, p, (800, 100)) * 1.0)
        assert np.mean([betting_limit(row, 1.0, 0.9) >= p for row in flips]) >= 0.88


def test_values_outside_the_bound_are_refused():
    with pytest.raises(InputError, match="bound"):
        betting_limit(torch.tensor([0.0, 2.0], dtype=torch.float64), 1.0, 0.9)


@pytest.mark.parametrize("p", [0.0005, 0.002, 0.005, 0.02])
def test_rare_jumps_are_covered_by_the_split_rule_only(p):
    # pairs near each other that jump modes with probability p: squared distance 1e-2 or 25
    rng = np.random.default_rng(7)
    truth = (1 - p) * 1e-2 + p * 25
    jumps = torch.from_numpy(rng.binomial(1, p, (500, 256)) * 1.0)
    v = torch.from_numpy(rng.chisquare(4, (500, 256)) / 400) * (1 - jumps) + 25 * jumps
    split = np.mean([split_limit(row, 0.1, 36.0, 0.95) >= truth for row in v])
    asymptotic = np.mean([mean_limit(row, 0.95) >= truth for row in v])
    assert split >= 0.99
    assert math.isfinite(asymptotic)
    if p <= 0.002:
        assert asymptotic < 0.6


def test_betting_lower_limit_mirrors_the_upper_one():
    v = torch.tensor([0.1, 0.5, 2.0, 1.0], dtype=torch.float64)
    assert betting_lower_limit(v, 2.0, 0.9) == pytest.approx(2 - betting_limit(2 - v, 2.0, 0.9))


def planted(rng, replicates, n, p):
    """Pairs near each other that jump with probability p; transport saves half of the rest."""
    jumps = rng.binomial(1, p, (replicates, n)) * 1.0
    near = rng.chisquare(4, (replicates, n)) / 400
    return torch.from_numpy(near * (1 - jumps) + 25 * jumps), torch.from_numpy(0.5 * near)


@pytest.mark.parametrize("p", [0.0005, 0.002, 0.005, 0.02])
def test_transport_limit_covers_in_batches(p):
    pairs, saving = planted(np.random.default_rng(3), 120, 256, p)
    costs = (pairs - saving).reshape(120, 32, 8).mean(2)
    truth = (1 - p) * 1e-2 + p * 25 - 0.5e-2
    covered = [
        transport_limit(v, c, 36.0, share(0.95, 2)) >= truth
        for v, c in zip(pairs, costs, strict=True)
    ]
    assert np.mean(covered) >= 0.95


def test_transport_limit_passes_the_saving_on():
    # every pair at exactly 1, transport at .4: the limit of the pairs less almost all of .6
    v = torch.ones(4096, dtype=torch.float64)
    costs = torch.full((256,), 0.4, dtype=torch.float64)
    saved = pilot_limit(v, 4.0, 0.975) - transport_limit(v, costs, 4.0, 0.975)
    assert saved == pytest.approx(0.6 - 0.6 * (1 - betting_lower_limit(
        torch.ones(192, dtype=torch.float64), 1.0, 0.975)), rel=1e-9)  # fmt: skip
    assert 0.5 < saved < 0.6
    nothing = torch.ones(256, dtype=torch.float64)
    assert transport_limit(v, nothing, 4.0, 0.975) == pytest.approx(pilot_limit(v, 4.0, 0.975))


def test_transport_limit_refuses_what_is_no_transport():
    v = torch.ones(64, dtype=torch.float64)
    with pytest.raises(InputError, match="32 batches"):
        transport_limit(v, torch.ones(4, dtype=torch.float64), 4.0, 0.95)
    with pytest.raises(InputError, match="exceed the mean"):
        transport_limit(v, torch.full((32,), 1.1, dtype=torch.float64), 4.0, 0.95)


def test_the_split_rule_halves_its_error_between_its_parts():
    v = torch.tensor([0.1, 0.3, 5.0, 0.2, 0.4, 0.1, 0.0, 7.0], dtype=torch.float64)
    low = betting_limit(v.clamp_max(0.5), 0.5, 0.95)
    above = proportion_limit(2, 8, 0.95)
    assert split_limit(v, 0.5, 10.0, 0.9) == pytest.approx(low + 9.5 * above, rel=1e-12)


@pytest.mark.parametrize("last", [0.0, 0.6])
def test_the_gambler_sees_a_number_only_after_her_stake(last):
    # the paper's stakes, one by one: from the numbers before, with a prior one of mean 1/2 and
    # variance 1/4
    numbers = [*np.random.default_rng(2).uniform(0, 1, 23).tolist(), last]
    stakes, total, spread = [], 0.5, 0.25
    for i, v in enumerate(numbers):
        stakes.append(min(math.sqrt(2 * math.log(2) / (24 * spread / (i + 1))), 0.9))
        total += v
        spread += (v - total / (i + 2)) ** 2
    limit = betting_limit(torch.tensor(numbers, dtype=torch.float64), 1.0, 0.5)
    assert min(stakes) < 0.9
    assert 0 < limit < 1
    capital = math.prod(1 + s * (limit - v) for s, v in zip(stakes, numbers, strict=True))
    assert capital == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_pilots_threshold_is_blind_to_what_it_is_used_for(seed):
    # the pilot says .2, whatever comes: the others are split there
    later = torch.from_numpy(np.random.default_rng(seed).uniform(0, 2, 24))
    v = torch.cat([torch.tensor([0.05, 0.1, 0.02, 0.0, 0.1, 0.03, 0.07, 0.01]).double(), later])
    expected = split_limit(later, 0.2, 36.0, 0.95)
    assert pilot_limit(v, 36.0, 0.95) == pytest.approx(expected, rel=1e-9)
