import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from tests.distance.clouds import cloud, clouds

from wasserscore.core.errors import InputError
from wasserscore.distance import energy, pairs
from wasserscore.distance.clouds import distances


def test_agrees_with_scipy_on_the_line():
    x, y = cloud(70, 1, 1), cloud(50, 1, 2) * 2 + 0.5
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0])
    assert float(energy(x, y)) == pytest.approx(expected, rel=1e-10)


def test_two_points_have_a_closed_form():
    # all of x at 0, all of y at (3, 4): 2 * 5 - 0 - 0
    x, y = torch.zeros(3, 2), torch.tensor([[3.0, 4.0]] * 2)
    assert float(energy(x, y)) == pytest.approx(np.sqrt(10), rel=1e-12)


@given(clouds(max_n=6), st.floats(0.01, 4))
def test_zero_symmetric_and_homogeneous(pair, factor):
    x, y = (torch.cat([c, c]) for c in pair)
    assert float(energy(x, x)) == 0.0
    assert float(energy(x, y)) ** 2 == pytest.approx(float(energy(y, x)) ** 2, abs=1e-12)
    scaled = float(energy(x * factor + 3, y * factor + 3)) ** 2
    assert scaled == pytest.approx(factor * float(energy(x, y)) ** 2, abs=1e-11)


def test_standard_error_is_the_jackknife():
    x, y = cloud(12, 2, 1).numpy(), cloud(9, 2, 2).numpy() + 0.5

    def squared(a, b):
        return 2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean()

    without_x = np.array([squared(np.delete(x, i, 0), y) for i in range(12)])
    without_y = np.array([squared(x, np.delete(y, i, 0)) for i in range(9)])
    expected = np.sqrt(11 * without_x.var() + 8 * without_y.var()) / (2 * np.sqrt(squared(x, y)))
    assert energy(x, y).stderr == pytest.approx(expected, rel=1e-10)


def test_standard_error_covers_the_spread_of_samples():
    found = [energy(cloud(80, 2, 2 * s), cloud(80, 2, 2 * s + 1) + 0.7) for s in range(100)]
    spread = np.std([e.value for e in found], ddof=1)
    assert 0.8 * spread < np.mean([e.stderr for e in found]) < 1.3 * spread


def test_tiles_do_not_change_the_number(monkeypatch):
    x, y = cloud(30, 3, 1), cloud(20, 3, 2)
    whole = energy(x, y)
    monkeypatch.setattr(pairs, "SIDE", 7)
    assert float(energy(x, y)) == pytest.approx(float(whole), rel=1e-12)
    assert energy(x, y).stderr == pytest.approx(whole.stderr, rel=1e-9)


def test_a_large_cloud_is_at_zero_from_itself_in_any_order():
    x = cloud(1100, 2)
    assert float(energy(x, x)) == 0.0
    assert float(energy(x, x.flip(0))) == 0.0
    assert float(energy(x, x + 1e-5)) > 0


@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("d", [20, 3000])
def test_distances_keep_their_digits_near_and_far(far, d):
    """With 3,000 columns near pairs hold more numbers than all distances, and come in parts."""
    x, y = cloud(300, d, 1) + far, cloud(200, d, 2) + far
    y[:50] = x[:50]
    y[50:100] = x[50:100] + 1e-5
    found, expected = distances(x, y), torch.from_numpy(cdist(x, y))
    assert bool((found.diagonal()[:50] == 0).all())
    assert float((found - expected).abs().div(expected.clamp_min(1e-300)).max()) < 1e-10
    close = x[:1] + 1e-6 * cloud(90, d, 3)  # more near pairs than pay
    exact = torch.from_numpy(cdist(close, close))
    assert float((distances(close, close) - exact).abs().max()) < 1e-16 * d / 20


def test_one_point_is_refused():
    with pytest.raises(InputError, match="at least 2 rows"):
        energy(torch.zeros(1, 2), torch.zeros(3, 2))
