import math

import numpy as np
import ot
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.distance.clouds import cloud, clouds

from wasserscore.core.errors import InputError
from wasserscore.distance import frechet, gelbrich, w2, w2_gaussian


def covariance(d, seed, rank=None):
    a = np.random.default_rng(seed).normal(size=(rank or d, d))
    return torch.from_numpy(a.T @ a)


def test_commuting_covariances_have_a_closed_form():
    s, t = torch.tensor([1.0, 4.0, 0.0]).double(), torch.tensor([9.0, 1.0, 4.0]).double()
    m = torch.tensor([1.0, 0.0, 2.0]).double()
    expected = math.sqrt(5 + (1 - 3) ** 2 + (2 - 1) ** 2 + (0 - 2) ** 2)
    assert w2_gaussian(m, s.diag(), 0 * m, t.diag()) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("d", [1, 2, 16])
def test_agrees_with_pot(d):
    m0, m1 = cloud(2, d)
    S0, S1 = covariance(d, 1), covariance(d, 2)
    expected = ot.gaussian.bures_wasserstein_distance(m0, m1, S0, S1)
    assert w2_gaussian(m0, S0, m1, S1) == pytest.approx(float(expected), rel=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_metric_axioms_at_any_rank(seed, d, first, second):
    zero = torch.zeros(d, dtype=torch.float64)
    S = [covariance(d, seed, first), covariance(d, seed + 1, second), covariance(d, seed + 2)]

    def between(i, j):
        return w2_gaussian(zero, S[i], zero, S[j])

    scale = math.sqrt(sum(float(s.trace()) for s in S))
    assert between(0, 0) <= 1e-7 * scale
    assert between(0, 1) == pytest.approx(between(1, 0), abs=1e-7 * scale)
    assert between(0, 2) <= between(0, 1) + between(1, 2) + 1e-7 * scale


def test_full_rank_covariance_is_at_zero_from_itself_to_rounding():
    S = covariance(8, 1) + torch.eye(8, dtype=torch.float64)
    zero = torch.zeros(8, dtype=torch.float64)
    assert w2_gaussian(zero, S, zero, S) < 1e-13 * math.sqrt(float(S.trace()))


def test_nearby_covariances_keep_their_digits():
    scale, step = 1.0, 1e-9  # the trace form would return 0 or 1e-8 here
    zero, one = torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    found = w2_gaussian(zero, scale**2 * one, zero, (scale + step) ** 2 * one)
    assert found == pytest.approx(math.sqrt(2) * step, rel=1e-5)


def test_frechet_is_the_field_s_formula():
    x, y = cloud(50, 5, 1), cloud(40, 5, 2) * 1.4 + 0.2
    a, b = np.cov(x.numpy().T), np.cov(y.numpy().T)
    cross = scipy.linalg.sqrtm(a @ b).real
    expected = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b - 2 * cross)
    found = frechet(x, y)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.n == 40
    assert found.units == "squared data units"


@pytest.mark.parametrize(("n", "m", "d"), [(2, 3, 50), (10, 80, 50), (80, 10, 50), (2, 2, 1)])
def test_frechet_is_right_with_fewer_points_than_dimensions(n, m, d):
    x, y = cloud(n, d, 1), cloud(m, d, 2)
    a, b = (torch.cov(c.T).reshape(d, d) for c in (x, y))
    expected = w2_gaussian(x.mean(0), a, y.mean(0), b) ** 2
    assert frechet(x, y).value == pytest.approx(expected, rel=1e-6)
    assert frechet(x, x.flip(0)).value < 1e-20


def test_constant_columns_and_coincident_points_are_fine():
    x = torch.zeros(6, 3, dtype=torch.float64)
    y = torch.tensor([[0.0, 0.0, 2.0]] * 4, dtype=torch.float64)
    assert frechet(x, y).value == pytest.approx(4.0, rel=1e-12)
    assert gelbrich(x, y).value == pytest.approx(2.0, rel=1e-12)


@given(clouds())
def test_gelbrich_never_exceeds_w2(pair):
    x, y = pair
    assert float(gelbrich(x, y)) <= float(w2(x, y)) * (1 + 1e-9) + 1e-7


def test_gelbrich_is_tight_for_an_affine_image():
    x = cloud(40, 3)
    stretch = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.3]]).double()
    y = x @ stretch + 1
    assert float(gelbrich(x, y)) == pytest.approx(float(w2(x, y)), rel=1e-9)


def test_bad_moments_are_refused():
    m, S = torch.zeros(2), torch.eye(2)
    with pytest.raises(InputError, match="positive semi-definite"):
        w2_gaussian(m, -S, m, S)
    with pytest.raises(InputError, match="symmetric"):
        w2_gaussian(m, torch.tensor([[1.0, 0.9], [0.0, 1.0]]), m, S)
    with pytest.raises(InputError, match=r"S1 \(d, d\)"):
        w2_gaussian(m, S, m, torch.eye(3))
    with pytest.raises(InputError, match="finite"):
        w2_gaussian(m, S, m * float("nan"), S)
    with pytest.raises(InputError, match="same dimension"):
        w2_gaussian(m, S, torch.zeros(3), torch.eye(3))
    with pytest.raises(InputError, match="at least 2 rows"):
        frechet(torch.zeros(1, 2), torch.zeros(3, 2))
