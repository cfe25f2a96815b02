"""Nodes that stand for keys: interpolation, its bound, and sums against the dense reference."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.kernel.test_softmax import SIGMAS, dense, draw, queries
from tests.kernel.test_ways import agrees

from wasserscore.kernel import Keys, interpolated, small, softmax_mean, ways
from wasserscore.kernel.interpolated import ROUNDING, bounds
from wasserscore.kernel.nodes import ORDERS, Box, Nodes, chebyshev, lagrange

F32, F64 = torch.float32, torch.float64


@pytest.fixture
def right(monkeypatch):
    """Rows that nodes got right, by level, however few the keys and dear the levels."""
    for name, value in {"KEYS": 100, "QUERIES": 1, "ANEW": 1, "LEVELS": 3, "BLOCK": 8}.items():
        monkeypatch.setattr(interpolated, name, value)
    monkeypatch.setattr(interpolated, "KEY", {F32: 1e9, F64: 1e9})
    monkeypatch.setattr(small, "serves", lambda *_: False)
    rows, true = {}, interpolated.interpolated_sums

    def counted(nodes, level, block, values, sized):
        good, sums = true(nodes, level, block, values, sized)
        rows[level] = rows.get(level, 0) + int(good.sum())
        return good, sums

    monkeypatch.setattr(interpolated, "interpolated_sums", counted)
    return rows


@pytest.mark.parametrize("p", [12, 20])
def test_lagrange_polynomials_are_one_at_their_node_and_give_polynomials_back(p):
    assert torch.allclose(lagrange(chebyshev(p), p), torch.eye(p, dtype=F64), atol=1e-13)
    u = torch.linspace(-1, 1, 101, dtype=F64)
    assert torch.allclose(lagrange(u, p) @ chebyshev(p) ** (p - 1), u ** (p - 1), atol=1e-12)


@given(
    order=st.sampled_from([12, 20]),
    length=st.floats(0.05, 4.0),
    away=st.floats(0.0, 9.0),
)
def test_the_bound_bounds_the_error_of_interpolation(order, length, away):
    """And is less than a hundred times the error where rounding is not all of it."""
    half = length / 2  # in sigmas, as is the query's distance
    xi, kappa = torch.tensor([[away / half]], dtype=F64), torch.tensor([[half**2]], dtype=F64)
    kernel = lambda u: (-((away - half * u) ** 2) / 2).exp()
    u = torch.linspace(-1, 1, 2001, dtype=F64)
    off = (lagrange(u, order) @ kernel(chebyshev(order)) - kernel(u)).abs().max()
    size, error = (float(each) for each in bounds(xi, kappa, order))
    assert off <= error
    assert size == pytest.approx(float(kernel(u).max()), rel=1e-5)
    if off > 100 * ROUNDING * size:
        assert error < 100 * off


@pytest.mark.parametrize("d", [1, 2, 3])
def test_coarse_tables_are_those_of_their_own_cells(d):
    """Short axes are halved less often, and one of no length never."""
    y = draw(400, d).sigmoid() * torch.tensor([5.0, 1.0, 0.0], dtype=F64)[:d]
    table, values = Keys(y).table(F64), draw(400, 3, seed=1)
    values[:, -1].abs_()
    box = Box.of(table)
    levels = {level: Nodes(box, table[:, :-3], values, level) for level in range(4)}
    assert box.cells(3) == [8, 2, 1][:d]
    for level in range(4):
        own, joined = levels[level].table(level), levels[3].table(level)
        assert own.shape == joined.shape
        assert torch.allclose(own, joined, atol=1e-12)
        sides = zip(box.low.tolist(), box.across.tolist(), box.cells(level), strict=True)
        edges = [torch.linspace(low, low + across, cells + 1).double()
                 for low, across, cells in sides]  # fmt: skip
        for edge in edges:
            edge[0], edge[-1] = -9.0, 9.0
        held = torch.histogramdd(table[:, :d], edges, weight=values[:, -1]).hist
        assert torch.allclose(levels[3].masses(level).squeeze(1), held, atol=1e-12)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_nodes_hold_the_accuracy_contract(d, dtype, right):
    """At every sigma and distance, with weights, values, hidden keys and a key left out."""
    n = 257
    y = draw(n, d, dtype=dtype)
    y[10], y[12:15] = y[11], y[11] + 1e-7
    scale = float(y.norm(dim=1).max())
    b = 30 * draw(n, 1, seed=3, dtype=dtype)[:, 0]
    b[::7] = -torch.inf
    values, seen = draw(n, 2, seed=2, dtype=dtype) + 100, b > -torch.inf
    for sigma in scale * torch.tensor([*SIGMAS[3:], 0.5, 0.7], dtype=F64):
        for reach in (3.0, 1e4):
            x = queries(y, reach * scale)
            agrees(x, y, float(sigma))
            agrees(x, y, float(sigma), log_weights=b, values=values)
        agrees(y, y, float(sigma), one_out=True)
        agrees(y[seen], y[seen], float(sigma), one_out=True, log_weights=b[seen])
    assert set(right) == {0, 1, 2, 3}
    assert sum(right.values()) > 10 * n


@pytest.mark.parametrize("dtype", [F32, F64])
def test_queries_that_no_part_of_the_keys_is_near_are_not_tried(right, dtype):
    """Between two groups, and where the only keys near are hidden: all kernels underflow."""
    y = torch.cat([draw(300, 2, dtype=dtype), draw(300, 2, seed=1, dtype=dtype) + 400])
    x = torch.tensor([[200.0, 200.0], [0.0, 0.0], [400.0, 400.0], [396.0, 0.0]], dtype=dtype)
    agrees(x, y, 60.0)
    agrees(x, y, 2.0)
    hidden = torch.cat([torch.zeros(300), torch.full((300,), -torch.inf)]).to(dtype)
    agrees(x, y, 60.0, log_weights=hidden)
    whole = ways.Block.of(Keys(y, hidden), x, torch.full((4,), 60.0, dtype=F64))
    assert (interpolated.promising(whole, False) < interpolated.NEVER).tolist() == [
        True, True, False, False
    ]  # fmt: skip
    assert right


@pytest.mark.parametrize("dtype", [F32, F64])
def test_sums_that_underflow_are_left_to_others(right, dtype, monkeypatch):
    """A heavy key far away makes the weights of those near vanish beside it."""
    monkeypatch.setattr(interpolated, "LEVELS", 6)
    y = torch.cat([draw(300, 1, dtype=dtype), torch.full((1, 1), 100.0, dtype=dtype)])
    b = torch.zeros(301, dtype=dtype)
    for heavy in (600.0, 750.0, 900.0):
        b[-1] = heavy
        for sigma in (2.4, 10.0):
            agrees(draw(20, 1, seed=1, dtype=dtype), y, sigma, log_weights=b)
    assert right


def test_a_query_that_all_keys_are_far_from_is_found_out(right, monkeypatch):
    """In an empty corner of a part: the sum is far smaller than kernels at the nodes."""
    monkeypatch.setattr(interpolated, "LEVELS", 4)
    middles = torch.tensor([[-22, -22], [22, 22], [10.5, 0.5], [0.5, 10.5]])
    y = (middles[:, None] + draw(4, 50, 2, dtype=F32).clamp(-0.5, 0.5)).flatten(0, 1)
    x = torch.cat([torch.full((1, 2), 0.5), y[:3] + 0.1])
    whole = ways.Block.of(Keys(y), x, torch.ones(4, dtype=F64))
    assert interpolated.promising(whole, False).tolist() == [4] * 4
    values = ways.Values.of(whole.keys, None, F32)
    ((way, _),) = interpolated.attempts(whole, values, interpolated.promising(whole, False))
    assert way(whole, values, False)[0].tolist() == [False, True, True, True]
    agrees(x, y, 1.0)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_row_does_not_depend_on_the_others(dtype, right):
    """But for last bits, whatever widths the others have."""
    y, x = draw(900, 2, dtype=dtype), draw(60, 2, seed=1, dtype=dtype)
    few = 8 * torch.finfo(dtype).eps
    widths = (20.0, 1.0, 0.3, 1e-3)
    mixed = torch.tensor(widths, dtype=F64).repeat(15)
    together = softmax_mean(x, y, mixed)
    for k, width in enumerate(widths):
        alone = softmax_mean(x, y, torch.full_like(mixed, width))
        for mine, own in zip(together, alone, strict=True):
            torch.testing.assert_close(mine[k::4], own[k::4], rtol=few, atol=few)


def test_who_is_tried():
    """From many keys and queries on, near the keys, where levels are fine and cheap enough."""
    y, x = draw(4000, 2), draw(64, 2, seed=1)
    x[0] = y[:, 0].max() + 10.0
    at = lambda sigma, sized=False: interpolated.promising(
        ways.Block.of(Keys(y), x, torch.full((64,), sigma, dtype=F64)), sized
    )
    never = interpolated.NEVER
    across = float((y.amax(0) - y.amin(0)).max())
    for sigma, level in ((across / 1.4, 0), (across / 1.6, 1), (across / 2.9, 1), (across / 5, 2)):
        assert at(sigma)[1:].tolist() == [level] * 63
    assert at(across / 1.6, True)[1] == at(across / 1.6 / 2**0.5)[1] == 1
    assert at(across / 2.5, True)[1] == at(across / 2.5 / 2**0.5)[1] == 2
    assert [at(sigma)[0] for sigma in (across / 1.4, 1.0)] == [0, never]
    assert at(0.01).tolist() == [never] * 64
    assert ORDERS == {1: 20, 2: 20, 3: 12}
    values = ways.Values.of(Keys(y), None, F64)
    whole = ways.Block.of(Keys(y), x, torch.ones(64, dtype=F64))
    assert interpolated.serves(whole, values, False)
    assert interpolated.serves(whole, values, True)
    weighed = ways.Block.of(Keys(y, y[:, 0]), x, torch.ones(64, dtype=F64))
    assert interpolated.serves(weighed, values, False)
    assert not interpolated.serves(weighed, values, True)
    assert not interpolated.serves(whole.part(torch.arange(63), 0), values, False)
    given_values = ways.Values.of(whole.keys, y, F64)
    assert not interpolated.serves(whole, given_values, False)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(("d", "n"), [(1, 20_000), (2, 20_000), (3, 40_000)])
def test_large_sums_hold_the_contract(d, n, dtype):
    """As they are taken, nothing pretended: rows drawn around keys, as samplers have them."""
    y = draw(n, d, dtype=dtype)
    for sigma in (0.1, 0.3, 1.0, 3.0, 30.0):
        x = (y[:100] + sigma * draw(100, d, seed=1)).to(dtype)
        got = softmax_mean(x, y, sigma)
        mean, log_sum, _ = dense(x, y, sigma)
        tolerance = 1e-5 if dtype == F32 else 1e-10
        assert abs(got.mean.numpy() - mean).max() < tolerance * float(y.norm(dim=1).max())
        assert (abs(got.log_sum.numpy() - log_sum) / (1 + abs(log_sum))).max() < 2 * tolerance
