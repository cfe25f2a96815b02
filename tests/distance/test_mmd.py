import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import rbf_kernel
from tests.distance.clouds import cloud

from wasserscore.core.errors import InputError
from wasserscore.distance import median_bandwidth, mmd


def unbiased(x, y, h):
    kxx, kyy, kxy = (rbf_kernel(a, b, gamma=1 / (2 * h * h)) for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    return (
        (kxx.sum() - n) / (n * (n - 1)) + (kyy.sum() - m) / (m * (m - 1)) - 2 * kxy.mean()
    )  # fmt: skip


def jackknife(x, y, h):
    """Delete every point in turn and compute the statistic again."""
    n, m = len(x), len(y)
    a = np.array([unbiased(np.delete(x, i, 0), y, h) for i in range(n)])
    b = np.array([unbiased(x, np.delete(y, i, 0), h) for i in range(m)])
    return np.sqrt((n - 1) * a.var() + (m - 1) * b.var())


def test_equals_the_definition_and_its_jackknife():
    x, y = cloud(25, 3, 1), cloud(18, 3, 2) * 1.3 + 0.4
    found = mmd(x, y, bandwidth=1.7)
    assert found.value == pytest.approx(unbiased(x, y, 1.7), rel=1e-10)
    assert found.stderr == pytest.approx(jackknife(x.numpy(), y.numpy(), 1.7), rel=1e-8)
    assert found.value == pytest.approx(mmd(y, x, bandwidth=1.7).value, rel=1e-12)


def test_gaussians_have_a_closed_form_and_the_error_bar_holds():
    # N(0, 1) and N(c, 1) in d dimensions: E k = (h^2 / (h^2 + 2))^(d/2) exp(-|c|^2 / (2 h^2 + 4))
    d, h, c = 2, 1.0, 0.8
    factor = (h * h / (h * h + 2)) ** (d / 2)
    truth = 2 * factor * (1 - np.exp(-d * c * c / (2 * h * h + 4)))
    found = [
        mmd(cloud(60, d, 2 * s), cloud(60, d, 2 * s + 1) + c, bandwidth=h) for s in range(100)
    ]
    values = np.array([e.value for e in found])
    spread = values.std(ddof=1)
    assert abs(values.mean() - truth) < 4 * spread / 10
    assert 0.8 * spread < np.mean([e.stderr for e in found]) < 1.3 * spread


def test_unbiased_when_the_laws_agree_and_the_error_bar_is_not_too_small():
    found = [mmd(cloud(50, 2, 2 * s), cloud(50, 2, 2 * s + 1), bandwidth=1.0) for s in range(150)]
    values = np.array([e.value for e in found])
    assert abs(values.mean()) < 4 * values.std(ddof=1) / np.sqrt(150)
    assert (values < 0).any()
    assert values.std(ddof=1) < np.mean([e.stderr for e in found]) < 2 * values.std(ddof=1)


def test_a_cloud_with_itself_gives_the_stated_value():
    x, h = cloud(20, 2), 1.3
    k = rbf_kernel(x, gamma=1 / (2 * h * h))
    mean_off = (k.sum() - 20) / (20 * 19)
    assert mmd(x, x, bandwidth=h).value == pytest.approx(-2 / 20 * (1 - mean_off), rel=1e-10)


def test_scale_and_translation_do_not_matter_with_the_median_bandwidth():
    x, y = cloud(30, 3, 1), cloud(30, 3, 2) + 0.5
    assert mmd(5 * x - 2, 5 * y - 2).value == pytest.approx(mmd(x, y).value, rel=1e-9)


def test_median_bandwidth_is_the_median_of_distances_whatever_the_order():
    x, y = cloud(21, 2, 1), cloud(30, 2, 2)
    r = cdist(np.concatenate([x, y]), np.concatenate([x, y]))
    assert median_bandwidth(x, y) == pytest.approx(np.median(r[r > 0]), rel=1e-2)
    x, y = cloud(1500, 2, 1), cloud(1200, 2, 2)
    assert median_bandwidth(x, y) == pytest.approx(median_bandwidth(y, x), rel=1e-12)


def test_bad_input_says_what_to_do():
    x = torch.zeros(5, 2)
    with pytest.raises(InputError, match="pass bandwidth"):
        mmd(x, x)
    with pytest.raises(InputError, match="bandwidth must be positive"):
        mmd(x, x, bandwidth=0.0)
    with pytest.raises(InputError, match="at least 3 rows"):
        mmd(x[:2], x)
