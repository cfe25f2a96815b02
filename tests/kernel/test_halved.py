"""Points in bfloat16: what their products are off, and that no answer depends on them."""

import pytest
import torch
from tests.kernel import test_balls, test_nearest
from tests.kernel.test_nearest import brute, draw

from wasserscore.core import products
from wasserscore.kernel import balls, grouped, halved, in_balls, nearest
from wasserscore.kernel.halved import EPS, Halved

BF16 = torch.bfloat16


@pytest.fixture
def halves(monkeypatch):
    """Everything is asked in bfloat16 first; how many rows each precision saw."""
    monkeypatch.setattr(products, "has_halves", lambda: True)
    monkeypatch.setattr(products, "unused", lambda: False)
    monkeypatch.setattr(halved, "LEAST", 1)
    rows, true = {BF16: 0, torch.float64: 0}, grouped.Products.__call__

    def counted(self, x, m, own):
        rows[self.dtype] += len(x)
        return true(self, x, m, own)

    monkeypatch.setattr(grouped.Products, "__call__", counted)
    return rows


def made(x, y, radii=None):
    """Products of points about the origin, what they should be, and what they may be off."""
    centre = torch.zeros(x.shape[1], dtype=torch.float64)
    first, second = Halved.of(x, centre), Halved.of(y, centre, radii, second=True)
    got = (first.table @ second.table.T).double()
    right = (x[:, None] - y[None]).square().sum(2) / -2
    reach = float(second.norm.max())
    if radii is not None:
        right, reach = right + radii.square() / 2, reach + float(radii.max())
    return got, right, first.off(reach, float(second.lost.max()))[:, None]


@pytest.mark.parametrize("d", [1, 26, 200])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
def test_what_products_are_off(d, scale):
    """Their own rounding, and no more than is said of what went into them."""
    y = scale * draw(300, d)
    x = torch.cat([scale * draw(50, d, seed=1), y[:50], y[:50] * (1 + 1e-3 * draw(50, d, seed=2))])
    for radii in (None, scale * d**0.5 * draw(300, seed=3).abs()):
        got, right, off = made(x, y, radii)
        assert bool(((got - right).abs() <= off * (1 + EPS) + EPS / 2 * right.abs()).all())


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_lost_may_pile_up(which):
    """All numbers of one side lie just below the middle of two, and are rounded down."""
    down, kept = 1 + 0.49 * EPS, 1.0
    size = (down, kept) if which == 0 else (kept, down)
    x, y = (torch.full((1, 512), each, dtype=torch.float64) for each in size)
    got, right, off = made(x, -y)
    assert float(got) == pytest.approx(-2 * 512, rel=EPS)
    assert bool((got - right).abs() <= off * (1 + EPS) + EPS / 2 * right.abs())
    assert 0.9 * float(off) < 512 * 0.49 * EPS < float(off)


def test_a_squared_norm_keeps_its_digits():
    """The distance of two points far away from the centre, which eight bits of a norm drown."""
    x = torch.full((1, 64), 256.0, dtype=torch.float64)
    y = x.clone()
    y[0, 0] += 2
    got, right, _ = made(x, y)
    assert float(right) == -2
    assert float(got) == pytest.approx(-2, rel=EPS)


PAIR = torch.cat([1 + 0.1 * draw(100, 20), 0.1 * draw(100, 20, seed=2) - 1])
CASES = {
    "clouds": (draw(150, 70, seed=1), draw(700, 70)),
    "lattice": ((2 * draw(100, 5, seed=1)).round(), (2 * draw(400, 5)).round()),
    "far away": (1e6 + draw(100, 20, seed=1), 1e6 + draw(400, 20)),
    "one row far away": (draw(100, 20, seed=1), torch.cat([draw(400, 20), 1e5 * draw(1, 20)])),
    "copies": (draw(300, 70)[:40], draw(300, 70)),
    "too small": (1e-23 * draw(50, 20, seed=1), 1e-23 * draw(200, 20)),
    "nearly too large": (5e18 * (1 + 0.1 * draw(50, 20, seed=1)), 5e18 * PAIR),
    "too large": (1e25 * draw(50, 20, seed=1), 1e25 * draw(200, 20)),
}


@pytest.mark.parametrize("case", CASES)
def test_neighbours_are_what_they_are(halves, case):
    x, y = CASES[case]
    distances, indices = nearest(x, y, 3)
    expected = brute(x, y, 3)
    assert torch.equal(indices, expected[1])
    assert torch.allclose(distances, expected[0], rtol=1e-14, atol=0)
    assert halves[BF16] >= len(x)


@pytest.mark.parametrize("case", CASES)
def test_balls_hold_what_they_hold(halves, case):
    x, y = CASES[case]
    radii = brute(y, y, 5, own=True)[0][:, -1] * 1.2
    expected = test_balls.brute(x, y, radii)
    assert int(expected[0].sum()) > 0
    assert test_balls.same(in_balls(x, y, radii), expected)


def test_no_row_that_is_left_out_is_nearer_than_the_limit():
    """On a lattice nothing is lost but in the last rounding: 263 and 264 look alike."""
    g = torch.Generator().manual_seed(0)
    y = torch.randint(-12, 13, (300, 8), generator=g).double()
    y, x = torch.cat([y, -y]), torch.randint(-12, 13, (100, 8), generator=g).double()
    squared = (x[:, None] - y[None]).square().sum(2)
    for m in (40, 60, 80):
        found = grouped.Coarse(y)(x, m, None)
        assert found.candidate.shape[1] == m
        rest = squared.scatter(1, found.candidate, torch.inf).amin(1)
        assert bool((found.outside <= rest).all())
        assert float((rest / found.outside).median()) < 1 + 3 * EPS


def test_what_products_may_be_off_is_rounded_up():
    table, off = torch.zeros(100, 1, dtype=BF16), draw(100).exp()
    limit = balls._Tables.of(table, table, off).off[:, 0].double()
    assert bool((limit >= off * (1 + EPS / 2)).all())
    assert bool((limit <= off * (1 + 4 * EPS)).all())


@pytest.mark.parametrize("own", [False, True])
def test_most_rows_need_no_other_products(halves, own):
    y = draw(3000, 64)
    nearest(y if own else draw(500, 64, seed=1), y, 1, exclude_self=own)
    assert halves[torch.float64] < 0.05 * halves[BF16]


def test_pairs_that_are_left_undecided_are_few(halves, monkeypatch):
    """One centre far away makes all products of the others worthless."""
    pairs, true = [], balls._strictly

    def counted(x, y, radii, i, j):
        pairs.append(len(i))
        return true(x, y, radii, i, j)

    monkeypatch.setattr(balls, "_strictly", counted)
    for case in ("clouds", "one row far away"):
        pairs.clear()
        x, y = CASES[case]
        in_balls(x, y, brute(y, y, 5, own=True)[0][:, -1])
        assert 0 < sum(pairs) <= 8 * len(x) if case == "clouds" else sum(pairs) == 0


@pytest.mark.parametrize(
    ("known_by", "there"), [(lambda: True, True), (lambda: False, False), (None, False)]
)
def test_only_where_processors_have_units_for_them(known_by, there, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", known_by)
    products.has_halves.cache_clear()
    try:
        assert products.has_halves() == there
    finally:
        products.has_halves.cache_clear()


def test_the_contract_of_neighbours_and_balls(halves, monkeypatch):
    test_nearest.test_a_thousand_copies_and_one_neighbour()
    test_nearest.test_identical_rows_are_at_distance_zero(torch.float32, 1e6)
    test_nearest.test_clusters_so_far_apart_that_the_product_sees_nothing(3)
    test_balls.test_spheres_are_outside_whatever_the_offset()
    test_balls.test_tiles_do_not_change_the_result(monkeypatch)
