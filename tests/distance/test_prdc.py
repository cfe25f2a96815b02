import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from tests.distance.clouds import cloud

from wasserscore.core.errors import InputError
from wasserscore.distance import prdc


def naive(q, p, k):
    """The definitions, by scikit-learn's neighbours and plain matrices."""

    def radii(c):
        return NearestNeighbors(n_neighbors=k + 1).fit(c).kneighbors(c)[0][:, -1]

    d = np.linalg.norm(q[:, None] - p[None], axis=-1)
    in_p, in_q = d < radii(p)[None, :], d < radii(q)[:, None]
    return in_p.any(1).mean(), in_q.any(0).mean(), in_p.sum() / (k * len(q)), in_p.any(0).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("m", "n"), [(80, 80), (50, 90)])
def test_equals_the_definitions(k, m, n):
    q, p = cloud(m, 3, 1) * 0.8 + 0.3, cloud(n, 3, 2)
    found = prdc(q, p, k)
    expected = naive(q.numpy(), p.numpy(), k)
    values = (found.precision, found.recall, found.density, found.coverage)
    assert [v.value for v in values] == pytest.approx(list(expected), rel=1e-12)
    assert ("sizes differ" in found.recall.status) == (m != n)


@pytest.mark.parametrize("d", [2, 64])
def test_the_reference_itself_scores_exactly_one(d):
    p = cloud(200, d)
    found = prdc(p, p.flip(0))
    for value in (found.precision, found.recall, found.density, found.coverage):
        assert value.value == 1.0
    assert found.precision.stderr == pytest.approx(0.5**0.5 / 200, rel=0.01)  # half a miss


def test_balls_are_open():
    # on the integer line with k = 1 every ball reaches exactly to the neighbours
    p = np.arange(6.0)[:, None]
    found = prdc(p + 1.0, p, 1)
    assert found.precision.value == pytest.approx(5 / 6)
    assert found.density.value == pytest.approx(5 / 6)
    assert found.coverage.value == pytest.approx(5 / 6)


def test_far_and_collapsed_samples_show():
    p = cloud(100, 2)
    far = prdc(p + 100, p)
    assert [far.precision.value, far.recall.value, far.density.value, far.coverage.value] == [
        0
    ] * 4
    one = prdc(np.repeat(p.numpy()[:1], 100, 0) + 1e-3 * cloud(100, 2, 3).numpy(), p)
    assert one.precision.value == 1.0
    assert one.coverage.value < 0.2


def test_standard_errors_are_those_of_a_mean():
    q, p = cloud(200, 2, 1) * 2, cloud(200, 2, 2)
    found = prdc(q, p)
    share, density = found.precision, found.density
    assert share.stderr == pytest.approx(np.sqrt(share.value * (1 - share.value) / 200), rel=0.01)
    r = np.partition(cdist(p, p), 5)[:, 5]
    inside = (cdist(q, p) < r * (1 - 1e-9)).sum(1) / 5
    assert density.stderr == pytest.approx(inside.std(ddof=1) / np.sqrt(200))
    whole = prdc(p[:8], p[:8], 3).coverage  # all of eight points: no certainty
    assert whole.value == 1
    assert 0.05 < whole.stderr < 0.12


def test_too_few_points_are_refused():
    with pytest.raises(InputError, match="generated needs at least 6 rows, got 5"):
        prdc(cloud(5, 2), cloud(9, 2))
    with pytest.raises(InputError, match="reference needs at least 6 rows, got 4"):
        prdc(cloud(9, 2), cloud(4, 2))
    with pytest.raises(InputError, match="k must be"):
        prdc(cloud(5, 2), cloud(9, 2), 0)
