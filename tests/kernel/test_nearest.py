"""Neighbours against scikit-learn and against brute force where ties abound."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from wasserscore.core import products
from wasserscore.core.errors import InputError
from wasserscore.kernel import grouped, nearest, screen, stream

search = sys.modules["wasserscore.kernel.nearest"]  # its name is that of the function, too


def draw(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)


def brute(x, y, k, own=False):
    squared = (x[:, None].double() - y[None].double()).square().sum(2)
    if own:
        squared.fill_diagonal_(torch.inf)
    order = squared.sort(dim=1, stable=True)
    return order.values[:, :k].sqrt(), order.indices[:, :k]


@pytest.mark.parametrize("d", [1, 3, 64])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_agrees_with_scikit_learn(d, k):
    x, y = draw(300, d), draw(900, d, seed=1)
    distances, indices = nearest(x, y, k)
    reference = NearestNeighbors(n_neighbors=k).fit(y.numpy()).kneighbors(x.numpy())
    assert torch.allclose(distances, torch.from_numpy(reference[0]), rtol=1e-12)
    assert torch.equal(indices, torch.from_numpy(reference[1]))


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_rows_are_at_distance_zero(dtype, offset):
    y = (draw(500, 20) + offset).to(dtype)
    distances, indices = nearest(y[100:200], y)
    assert torch.equal(distances, torch.zeros(100, 1, dtype=dtype))
    assert torch.equal(indices[:, 0], torch.arange(100, 200))
    distances, indices = nearest(y, y, 2, exclude_self=True)
    expected = brute(y, y, 2, own=True)
    assert torch.equal(indices, expected[1])
    assert torch.equal(distances, expected[0].to(dtype))


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**31))
def test_ties_on_a_lattice_go_to_the_lowest_index(n, d, levels, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, levels, (n, d), generator=g).double()
    x = torch.randint(0, levels, (7, d), generator=g).double()
    k = min(n, 4)
    distances, indices = nearest(x, y, k)
    expected = brute(x, y, k)
    assert torch.equal(distances, expected[0])
    assert torch.equal(indices, expected[1])


def test_tiles_do_not_change_the_result(monkeypatch):
    x, y = draw(50, 3), draw(400, 3, seed=1)
    whole = nearest(x, y, 6)
    monkeypatch.setattr(stream, "TILE_BYTES", 8)
    monkeypatch.setattr(stream, "ROWS", 11)
    parts = nearest(x, y, 6)
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])


def test_a_thousand_copies_and_one_neighbour():
    y = torch.cat([torch.ones(1000, 2), torch.zeros(1, 2)]).double()
    distances, indices = nearest(y, y, 2, exclude_self=True)
    assert torch.equal(distances[:1000], torch.zeros(1000, 2).double())
    assert indices[0].tolist() == [1, 2]
    assert torch.allclose(distances[1000], torch.full((2,), 2.0).double().sqrt())


@pytest.mark.parametrize("k", [1, 3])
def test_clusters_so_far_apart_that_the_product_sees_nothing(k):
    """At 1e8 from the common centre the screen is blind below a distance of one."""
    cluster = 1e-1 * draw(12, 2)
    y = torch.cat([cluster + 1e8, cluster - 1e8])
    x = 1e8 + 1e-1 * draw(300, 2, seed=1)
    distances, indices = nearest(x, y, k)
    expected = brute(x, y, k)
    assert torch.equal(indices, expected[1])
    assert torch.equal(distances, expected[0])


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("levels", [0, 40])
def test_a_tree_finds_what_products_find(monkeypatch, own, levels):
    """Both screens, and brute force, also where rows repeat and tie (levels of a lattice)."""
    y = (draw(600, 2) * levels).round() if levels else draw(600, 2)
    expected = brute(y, y, 3, own=own)
    for rows in (1, 10**9):
        monkeypatch.setattr(screen, "TREE_ROWS", rows)
        distances, indices = nearest(y, y, 3, exclude_self=own)
        assert torch.equal(distances, expected[0])
        assert torch.equal(indices, expected[1])


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("n", [150, 160, 163])
def test_groups_do_not_change_the_result(monkeypatch, n, own):
    y = draw(n, 9)
    whole = nearest(y, y, 3, exclude_self=own)
    monkeypatch.setattr(grouped, "CANDIDATE", -8)  # groups of four rows in nine coordinates
    assert grouped.Products(y.double(), torch.float64)._size(11) == 4
    monkeypatch.setattr(stream, "TILE_BYTES", 8 * 128 * 7)
    parts = nearest(y, y, 3, exclude_self=own)
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])


@pytest.fixture
def both(monkeypatch):
    """Products in float32 first, as where oneDNN makes them; how many rows each precision saw."""
    monkeypatch.setattr(products, "unused", lambda: True)
    monkeypatch.setattr(products, "has_halves", lambda: False)
    monkeypatch.setattr(products, "WORTH", 0)
    rows, true = {torch.float32: 0, torch.float64: 0}, grouped.Products.__call__

    def counted(self, x, m, own):
        rows[self.dtype] += len(x)
        return true(self, x, m, own)

    monkeypatch.setattr(grouped.Products, "__call__", counted)
    return rows


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("d", [8, 300])
def test_float32_decides_where_it_sees_enough(both, d, own):
    y = draw(700, d)
    x = y if own else draw(150, d, seed=1)
    distances, indices = nearest(x, y, 3, exclude_self=own)
    expected = brute(x, y, 3, own=own)
    assert torch.equal(indices, expected[1])
    assert torch.allclose(distances, expected[0], rtol=1e-14)
    assert both == {torch.float32: len(x), torch.float64: 0}


def test_rows_that_float32_does_not_see_are_left_to_float64(both):
    """Two clusters of a size that is rounding in float32, seen from their common middle."""
    cluster = 1e-3 * draw(100, 20)
    y = torch.cat([cluster + 1.0, cluster - 1.0])
    x = torch.cat([1.0 + 1e-3 * draw(30, 20, seed=1), 3 + draw(5, 20, seed=2)])
    distances, indices = nearest(x, y, 2)
    expected = brute(x, y, 2)
    assert torch.equal(indices, expected[1])
    assert torch.allclose(distances, expected[0], rtol=1e-14)
    assert both[torch.float32] == 35
    assert 30 <= both[torch.float64] <= 35


def test_a_block_that_no_screen_decides_does_not_speak_for_others(both, monkeypatch):
    """A thousand rows at the same distance, which only a search by differences can tell apart."""
    searched, true = [], search._search
    monkeypatch.setattr(search, "_search", lambda *given: searched.append(1) or true(*given))
    y = torch.cat([torch.ones(1000, 9), 3 + draw(500, 9)]).double()
    x = torch.cat([torch.zeros(stream.ROWS, 9).double(), 3 + draw(300, 9, seed=1)])
    distances, indices = nearest(x, y)
    expected = brute(x, y, 1)
    assert torch.equal(distances, expected[0])
    assert torch.equal(indices, expected[1])
    assert len(searched) == stream.ROWS
    assert both == {torch.float32: stream.ROWS, torch.float64: stream.ROWS + 300}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_what_products_may_be_off(dtype, scale):
    """No row that is left out is nearer than the limit, though all look alike but for rounding."""
    y = scale * (1 + 1e-13 * draw(400, 200)) * draw(1, 200, seed=1)
    y[::2] = -y[::2]
    x = scale * draw(50, 200, seed=2)
    found = grouped.Products(y, dtype)(x, 20, None)
    squared = (x[:, None] - y[None]).square().sum(2)
    rest = squared.scatter(1, found.candidate, torch.inf).amin(1)
    assert bool((found.outside <= rest).all())
    off = (rest - found.outside) / (x.norm(dim=1) + y.norm(dim=1).max()).square()
    assert float(off.max()) < 200 * torch.finfo(dtype).eps


@pytest.mark.parametrize("scale", [1e-19, 1e-23])
@pytest.mark.parametrize("flush", [False, True])
def test_rows_whose_squares_float32_does_not_hold(both, scale, flush):
    """Squares that are nothing must not prove that all rows are equally near."""
    y, x = scale * draw(700, 16), scale * draw(64, 16, seed=1)
    torch.set_flush_denormal(flush)
    try:
        distances, indices = nearest(x, y)
    finally:
        torch.set_flush_denormal(False)
    expected = brute(x, y, 1)
    assert torch.equal(indices, expected[1])
    assert torch.allclose(distances, expected[0], rtol=1e-14, atol=0)


def test_bad_input_is_refused():
    y = draw(5, 2)
    for call, words in [
        (lambda: nearest(y, draw(5, 3)), "same dimension"),
        (lambda: nearest(y, y, 6), "between 1 and the 5 rows"),
        (lambda: nearest(y, y, 5, exclude_self=True), "between 1 and the 4 rows"),
        (lambda: nearest(y, y, 0), "between 1"),
        (lambda: nearest(y[:2], y, 1, exclude_self=True), "same cloud"),
    ]:
        with pytest.raises(InputError, match=words):
            call()
