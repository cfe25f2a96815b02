import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.distance.clouds import cloud, clouds

from wasserscore.core.errors import InputError
from wasserscore.distance import sliced, sliced_w2, w2


@pytest.mark.parametrize(("n", "m"), [(200, 200), (90, 200)])
def test_agrees_with_pot_along_the_same_directions(n, m):
    x, y = cloud(n, 6, 1), cloud(m, 6, 2) * 1.5 + 0.4
    directions = sliced._directions(50, x, 3)
    expected = ot.sliced_wasserstein_distance(x, y, projections=directions.T)
    found = sliced_w2(x, y, projections=50, seed=3)
    assert found.value == pytest.approx(float(expected), rel=1e-10)


def test_a_translation_has_a_closed_form():
    x, shift = cloud(40, 5), 2.0
    found = sliced_w2(x, x + shift, projections=4000)
    expected = shift  # |shift 1| / sqrt(d)
    assert abs(found.value - expected) < 4 * found.stderr
    assert found.stderr < 0.03 * expected


def test_standard_error_is_the_spread_over_directions():
    x, y = cloud(50, 4, 1), cloud(50, 4, 2) * torch.tensor([1.0, 2.0, 1.0, 1.0])
    found = [sliced_w2(x, y, projections=60, seed=s) for s in range(80)]
    spread = np.std([e.value for e in found], ddof=1)
    assert 0.75 * spread < np.mean([e.stderr for e in found]) < 1.3 * spread


@given(clouds(max_d=1))
def test_equals_w2_on_the_line(pair):
    x, y = pair
    found = sliced_w2(x, y, projections=5)
    assert found.value == pytest.approx(float(w2(x, y)), rel=1e-9, abs=1e-7)
    assert found.stderr <= 1e-7


@given(clouds())
def test_below_w2_over_root_d_up_to_its_error_and_symmetric(pair):
    x, y = pair
    found = sliced_w2(x, y, projections=400)
    assert found.value * math.sqrt(x.shape[1]) <= float(w2(x, y)) + 5 * 2 * found.stderr + 1e-7
    assert found.value == pytest.approx(float(sliced_w2(y, x, projections=400)), abs=1e-9)


@given(clouds(), st.floats(-3, 3))
def test_moves_and_scales_with_the_data(pair, factor):
    x, y = pair
    expected = abs(factor) * float(sliced_w2(x, y, projections=20))
    moved = sliced_w2(x * factor + 7, y * factor + 7, projections=20)
    assert float(moved) == pytest.approx(expected, abs=1e-9)


@given(clouds(count=1, max_n=20))
def test_a_shuffled_cloud_is_at_zero(single):
    (x,) = single
    assert float(sliced_w2(x, x.flip(0), projections=10)) < 1e-14


def test_tiles_do_not_change_the_number(monkeypatch):
    x, y = cloud(30, 3, 1), cloud(20, 3, 2)
    whole = sliced_w2(x, y, projections=33)
    monkeypatch.setattr(sliced, "TILE_BYTES", 30 * 8 * 4)
    assert float(sliced_w2(x, y, projections=33)) == pytest.approx(float(whole), rel=1e-13)


def test_float32_far_from_the_origin_keeps_its_digits():
    x, y = cloud(100, 3, 1), cloud(100, 3, 2) + 0.5
    x, y = ((c * 256).round() / 256 for c in (x, y))
    expected = float(sliced_w2(x, y, projections=30))
    far = sliced_w2((x + 1000).float(), (y + 1000).float(), projections=30)
    assert float(far) == pytest.approx(expected, rel=1e-5)


def test_seed_decides_and_bad_input_is_refused():
    x, y = cloud(10, 2, 1), cloud(10, 2, 2)
    assert float(sliced_w2(x, y, seed=1)) == float(sliced_w2(x, y, seed=1))
    assert float(sliced_w2(x, y, seed=1)) != float(sliced_w2(x, y, seed=2))
    with pytest.raises(InputError, match="projections"):
        sliced_w2(x, y, projections=1)
