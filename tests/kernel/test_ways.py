"""Every way to make kernel sums against the dense reference, and where each of them is taken."""

import numpy as np
import pytest
import torch
from tests.kernel.test_softmax import SIGMAS, dense, draw, queries

from wasserscore.kernel import (
    Keys,
    attention,
    boxes,
    checked,
    effective_size,
    few,
    small,
    softmax_mean,
    stream,
    tile,
    ways,
)
from wasserscore.kernel.keys import DOUBLE, EXACT, FAST, LARGEST_FAST, largest_double
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Values

F32, F64 = torch.float32, torch.float64
TOLERANCE = {F32: 1e-5, F64: 1e-10}


@pytest.fixture
def taken(monkeypatch):
    """How many rows each way got right; however few, and however small the problem."""
    monkeypatch.setattr(few, "WORTH", 0)
    monkeypatch.setattr(small, "serves", lambda *_: False)
    rows = {"boxes": 0, "few": 0, "attention": 0, "checked": 0, "all": 0}

    def spy(module, name, way):
        true = getattr(module, name)

        def counted(block, values, sized):
            right, sums = true(block, values, sized)
            rows[way] += int(right.sum())
            return right, sums

        monkeypatch.setattr(module, name, counted)

    spy(few, "box_sums", "boxes")
    spy(few, "few_sums", "few")
    spy(attention, "attention_sums", "attention")
    spy(checked, "checked_sums", "checked")
    spy(ways, "_all_keys", "all")
    return rows


def agrees(x, y, sigma, *, one_out=False, **given):
    keys = Keys(y, given.get("log_weights"))
    got = softmax_mean(x, keys, sigma, values=given.get("values"), leave_one_out=one_out)
    size = effective_size(x, keys, sigma, own=torch.arange(len(x)) if one_out else None)
    mask = np.eye(len(x), len(y), dtype=bool) if one_out else None
    mean, log_sum, ess = dense(x, y, sigma, mask=mask, **given)
    scale = np.abs(np.asarray(given.get("values", y))).max()
    tolerance = TOLERANCE[x.dtype]
    assert np.abs(got.mean.numpy() - mean).max() < tolerance * scale
    relative = np.abs(got.log_sum.numpy() - log_sum) / (1 + np.abs(log_sum))
    assert relative.max() < 2 * tolerance
    assert np.abs(size.numpy() / ess - 1).max() < 20 * tolerance


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(
    ("d", "sigma", "way"),
    [(6, 0.03, "few"), (6, 0.5, "checked"), (6, 20.0, "attention"), (1, 0.003, "boxes")],
)
def test_the_cheapest_way_that_is_right(taken, d, sigma, way, dtype):
    y, x = draw(6000, d, dtype=dtype), draw(50, d, seed=1, dtype=dtype)
    agrees(x, y, sigma)
    way = "attention" if way == "checked" and dtype == F64 else way
    assert taken[way] >= 50


@pytest.mark.parametrize("dtype", [F32, F64])
def test_runs_that_keys_do_not_fill(taken, dtype):
    agrees(draw(40, 6, seed=1, dtype=dtype), draw(1501, 6, dtype=dtype), 20.0)
    assert taken["attention"] > 40


@pytest.mark.parametrize("sigma", [0.005, 0.01, 0.02])
def test_rounded_products_are_found_out_by_their_sums(taken, sigma):
    """Queries in the middle of a few keys, all as far: rounding alone would choose among them."""
    half = torch.nn.functional.normalize(draw(7, 6), dim=1).float()
    agrees((1e-5 * draw(40, 6, seed=1)).float(), torch.cat([half, -half]), sigma)
    assert taken["checked"] < 20


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.15])
def test_products_that_pile_up_rounding_do_not_show(taken, sigma):
    """Coordinates of falling size: every later term is rounded to the size of the first."""
    axes = 1 / torch.arange(1, 257)
    y, x = draw(1500, 256, dtype=F32) * axes, draw(40, 256, seed=1, dtype=F32) * axes
    agrees(x, y, sigma)
    assert taken["checked"] > 10


@pytest.mark.parametrize("sigma", [0.2, 1.0])
@pytest.mark.parametrize(("queries", "columns"), [(9, 1), (9, 3), (3, 3), (1, 1)])  # small ones
def test_sums_of_many_equal_terms(queries, columns, sigma):
    """Zeros and ones: rounding has one sign, and 20,000 terms in one sum would lose 1e-4."""
    for n in (20_000, 120_000):
        y = torch.randint(0, 2, (n, columns), generator=torch.Generator().manual_seed(0)).float()
        agrees(y[:queries] + 0.1 * draw(queries, columns, seed=1, dtype=F32), y, sigma)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("tiles", ["none", "cheap", "dear"])
@pytest.mark.parametrize(("d", "share"), [(256, 0.0), (800, 0.0), (800, 0.5), (1100, 0.0)])
def test_roundings_of_one_sign_do_not_show_in_logs_of_sums(d, share, tiles, dtype, monkeypatch):
    """Queries on keys of ones and zeros (a single one where their ``share`` is zero), at widths
    just above those at which products are not trusted."""
    if tiles == "none":
        monkeypatch.setattr(small, "serves", lambda *_: False)
    monkeypatch.setattr(small, "CHEAP", 0 if tiles == "dear" else 2**40)
    generator = torch.Generator().manual_seed(0)
    y = torch.eye(d)[torch.randint(d, (260,), generator=generator)]
    if share:
        y = (torch.rand(260, d, generator=generator) < share).float()
    y = y.to(dtype)
    keys = Keys(y)
    x = y[:16]
    far = float((x - keys.centre).norm(dim=1).max())
    for limit in (LARGEST_FAST, largest_double(dtype)):
        for part in (0.5, 0.7, 0.9, 0.999):
            sigma = ((far + keys.radius / 2) * keys.radius / (part * limit)) ** 0.5
            log_sum = dense(x, y, sigma)[1]
            for values in (None, y[:, :2]):
                got = softmax_mean(x, keys, sigma, values=values).log_sum.numpy()
                assert (np.abs(got - log_sum) / (1 + np.abs(log_sum))).max() < 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("sigma", [0.03, 0.7, 20.0])
def test_weights_and_values_on_every_way(sigma, dtype, monkeypatch):
    monkeypatch.setattr(few, "WORTH", 0)
    monkeypatch.setattr(small, "serves", lambda *_: False)
    y, x = draw(5000, 4, dtype=dtype), draw(30, 4, seed=1, dtype=dtype)
    b = draw(5000, 1, seed=3, dtype=dtype)[:, 0]
    b[::7] = -torch.inf
    for columns in (1, 3, 9):  # fewer than the coordinates of a key, and more
        v = draw(5000, columns, seed=2, dtype=dtype) + 100
        agrees(x, y, sigma, values=v, log_weights=b)
    nothing = softmax_mean(x, Keys(y, b), sigma, values=v[:, :0])
    assert nothing.mean.shape == (30, 0)
    log_sum = softmax_mean(x, Keys(y, b), sigma).log_sum
    assert torch.allclose(nothing.log_sum, log_sum, rtol=1e-5)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("sigma", [0.01, 0.7, 20.0])
def test_a_key_left_out_on_every_way(sigma, dtype, monkeypatch):
    monkeypatch.setattr(few, "RUN", 256)
    monkeypatch.setattr(few, "WORTH", 0)
    monkeypatch.setattr(small, "serves", lambda *_: False)
    y = draw(700, 4, dtype=dtype)
    y[17] = y[699]  # a twin in the last, short run
    agrees(y, y, sigma, one_out=True)


def test_an_own_key_that_holds_most_of_the_weight_is_not_subtracted(taken):
    b = torch.zeros(300, dtype=F64)
    b[:5] = 20.0
    y = 1e-3 * draw(300, 4)
    agrees(y, y, 1.0, one_out=True, log_weights=b)
    assert taken["all"] == 0  # a fifth each
    b[1:5] = 0.0
    agrees(y, y, 1.0, one_out=True, log_weights=b)
    assert taken["all"] == 2 * 300  # one block, for the first query: its sums, its size


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_boxes_hold_the_accuracy_contract(d, dtype, monkeypatch):
    """At every sigma and distance, with weights, values, hidden keys and a key left out."""
    monkeypatch.setattr(boxes, "KEYS", 100)
    monkeypatch.setattr(boxes, "QUERIES", 1)
    monkeypatch.setattr(boxes, "SIZE", 8)
    monkeypatch.setattr(small, "serves", lambda *_: False)
    opened, true = [], few.box_sums
    monkeypatch.setattr(few, "box_sums", lambda *given: opened.append(true(*given)) or opened[-1])
    n = 257
    y = draw(n, d, dtype=dtype)
    y[10], y[12:15] = y[11], y[11] + 1e-7
    scale = float(y.norm(dim=1).max())
    b = 30 * draw(n, 1, seed=3, dtype=dtype)[:, 0]  # more than what is dropped
    b[::7] = -torch.inf
    values, seen = draw(n, 2, seed=2, dtype=dtype), b > -torch.inf
    for sigma in scale * np.asarray(SIGMAS):
        for reach in (3.0, 1e4):
            x = queries(y, reach * scale)
            if dtype == F32 or sigma > 1e-7 * reach * scale:  # beyond, ties are rounding
                agrees(x, y, float(sigma))
                agrees(x, y, float(sigma), log_weights=b, values=values)
        agrees(y, y, float(sigma), one_out=True)
        agrees(y[seen], y[seen], float(sigma), one_out=True, log_weights=b[seen])
    assert sum(int(right.sum()) for right, _ in opened) > 5 * n


@pytest.mark.parametrize("n", [300, 512])
def test_boxes_hold_every_key_once_and_know_how_far_it_is(n, monkeypatch):
    monkeypatch.setattr(boxes, "SIZE", 16)
    keys, x = Keys(draw(n, 2)), 3 * draw(5, 2, seed=1)
    found = boxes.Boxes.of(keys.table(F64))
    assert found.members[found.log_weights == 0].sort().values.tolist() == list(range(n))
    near = torch.cdist(x, keys.points[found.members].flatten(0, 1)).view(5, len(found.members), -1)
    away = found.away(x - keys.centre)
    assert bool((away <= near.amin(2).square() + 1e-12).all())
    assert float((away / near.amin(2).square()).median()) > 0.8  # and not much less


def test_a_query_of_many_keys_is_left_to_others():
    """Where most of the keys' middles have few boxes near, one in a crowd may have many."""
    y = torch.cat([draw(6000, 2), 1e-3 * draw(6000, 2, seed=1) + 9])
    keys, x = Keys(y), torch.tensor([[0.0, 0.0], [9.0, 9.0]], dtype=F64)
    block = Block.of(keys, x, torch.full((2,), 0.02, dtype=F64))
    right, sums = few.box_sums(block, Values.of(keys, None, F64), False)
    assert right.tolist() == [True, False]
    expected = softmax_mean(x[:1], keys, 0.02, values=y).mean
    assert torch.allclose(sums.mean[:1] + keys.centre, expected, atol=1e-12)


def test_few_leaves_a_query_alone_that_many_keys_matter_to():
    y = draw(6000, 6)
    x = torch.cat([y[:4], 1e3 + draw(4, 6, seed=1)])
    keys = Keys(y)
    sigma = torch.tensor([0.01] * 4 + [30.0] * 4, dtype=F64)  # far away, all keys are alike
    block = Block.of(keys, x, sigma).part(torch.arange(8), DOUBLE)
    right, sums = few.few_sums(block, Values.of(keys, None, F64), False)
    assert right.tolist() == [True] * 4 + [False] * 4
    assert torch.allclose(sums.mean[:4] + keys.centre, y[:4], atol=1e-12)


@pytest.mark.parametrize(("n", "d", "looks"), [(20_000, 64, True), (20_000, 2, False)])
def test_one_query_looks_for_the_few_keys_where_reading_all_in_float64_is_dear(n, d, looks):
    block = Block.of(Keys(draw(n, d)), draw(1, d, seed=1), torch.tensor([0.1], dtype=F64))
    assert few.serves(block, DOUBLE) == looks


def test_few_keys_are_found_although_float32_sees_no_difference(taken):
    y = draw(3000, 8)
    y[100:110] = y[100] + 1e-7 * draw(10, 8, seed=5)  # below what float32 resolves
    x = y[100:110] + 1e-8
    agrees(x, y, 1e-7)
    assert taken["few"] == 20


def test_queries_so_far_away_that_float64_sees_no_difference_of_dropped_nats(taken):
    """Near 1e18 nats, two neighbouring numbers are further apart than what is dropped."""
    y = draw(3000, 100)
    x = 1e4 * draw(5, 100, seed=1)
    got = softmax_mean(x, y, 1e-4)
    squared = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    assert taken["few"] == 5
    assert torch.allclose(got.log_sum, squared.amin(1) / -2e-8, rtol=1e-12)
    assert torch.allclose(got.mean, y[squared.argmin(1)], rtol=1e-12)


@pytest.mark.parametrize("tiles", ["none", "small"])
@pytest.mark.parametrize("apart", [1e-6, 1e-2])
@pytest.mark.parametrize("sigma", [1e-2, 0.1])
def test_far_ties_are_decided_to_the_digits_of_differences(apart, sigma, tiles, monkeypatch):
    """Of the nearest two keys, equally far but for half a nat; no other key matters."""
    if tiles == "none":
        monkeypatch.setattr(small, "serves", lambda *_: False)
    y, v = draw(300, 16), draw(300, 2, seed=3)
    y /= y.norm(dim=1).max()
    y[0] *= 1.2 / y[0].norm()
    along = torch.nn.functional.normalize(draw(16, 1, seed=4), dim=0)[:, 0]
    along -= (along @ y[0]) / (y[0] @ y[0]) * y[0]
    y[1] = y[0] + apart * along
    step = (y[1] - y[0]) / (y[1] - y[0]).square().sum()
    x = 1e4 * y[:1] + apart / 2 * along + sigma**2 * torch.tensor([[0.0], [0.5], [-0.5]]) * step
    keys = Keys(y)
    share = 2.0**-52 * (float(x.norm(dim=1).max()) + keys.radius) ** 2 / sigma**2 + 1e-10
    for values, size in ((v, float((v.amax(0) - v.amin(0)).max())), (None, apart)):
        got = softmax_mean(x, keys, sigma, values=values)
        mean, log_sum, ess = dense(x, y, sigma, values=values)
        assert np.abs(got.mean.numpy() - mean).max() < share * size + 1e-10
        assert np.abs(got.log_sum.numpy() / log_sum - 1).max() < 1e-14
    assert ess.min() > 1.5


def test_a_pytorch_without_the_attention_gives_the_same(taken, monkeypatch):
    y, x = draw(900, 6, dtype=F32), draw(50, 6, seed=1, dtype=F32)
    with_it = softmax_mean(x, y, 20.0)
    monkeypatch.setattr(attention, "HERE", False)
    without = softmax_mean(x, y, 20.0)
    assert taken == {"boxes": 0, "few": 0, "attention": 50, "checked": 0, "all": 50}
    for a, b in zip(with_it, without, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("sigma", [1e-7, 1e-3, 0.7, 20.0])
def test_a_small_problem_takes_one_tile(sigma, dtype, monkeypatch):
    calls = []
    true = small.small_sums
    monkeypatch.setattr(
        small, "small_sums", lambda *given: calls.append(true(*given)) or calls[-1]
    )
    y, x = draw(1500, 6, dtype=dtype), draw(50, 6, seed=1, dtype=dtype)
    b = draw(1500, 1, seed=3, dtype=dtype)[:, 0]
    b[::7] = -torch.inf
    agrees(x, y, sigma, log_weights=b, values=draw(1500, 2, seed=2, dtype=dtype))
    agrees(y[:300], y[:300], sigma, one_out=True)
    assert len(calls) == 4
    for rows, sums in calls:
        good = sigma > (1e-6 if dtype == F32 else 1e-2)
        assert rows is None if good else not bool(rows.any())
        assert rows is None or len(rows) == len(sums.log_sum)


@pytest.fixture
def tiled(monkeypatch):
    """The precision of the products of every tile, and who had few keys."""
    monkeypatch.setattr(small, "TINY", 0)
    monkeypatch.setattr(small, "CHEAP", 0)
    made, true_weights, true_among = [], tile.Tile.weights, few.among

    def weights(self, logits, rest):
        made.append(logits.dtype)
        return true_weights(self, logits, rest)

    def among(*given):
        found = true_among(*given)
        made.append(int(found[0].sum()))
        return found

    monkeypatch.setattr(tile.Tile, "weights", weights)
    monkeypatch.setattr(few, "among", among)
    return made


@pytest.mark.parametrize("one_out", [False, True])
@pytest.mark.parametrize(
    ("d", "sigma", "made"),
    [
        (16, 4.0, [F32]),  # right whatever the sums are
        (16, 0.6, [F32]),  # right, as the sums tell
        (16, 0.02, [50]),  # few keys matter
        (3, 0.1, [F64]),  # neither for all
        (160, 0.02, [50]),
    ],
)
def test_what_a_tile_is_made_of(tiled, d, sigma, made, one_out, monkeypatch):
    y = draw(600, d, dtype=F32)
    x = y[:50] if one_out else draw(50, d, seed=1, dtype=F32)
    got = softmax_mean(x, y if not one_out else y[:50], sigma, leave_one_out=one_out)
    if not one_out:
        assert [each for each in tiled if each != 0][-1:] == made
    monkeypatch.setattr(small, "serves", lambda *_: False)
    other = softmax_mean(x, y if not one_out else y[:50], sigma, leave_one_out=one_out)
    for mine, theirs in zip(got, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=2e-5, atol=2e-5)
    agrees(x, y if not one_out else y[:50], sigma, one_out=one_out)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.3])
def test_rows_of_a_tile_that_float32_gets_wrong_are_made_in_float64(tiled, sigma):
    """More of them than one product takes, each without a key of its own."""
    y = 0.3 * draw(150, 3, dtype=F32) + torch.tensor([0.0, 0.0, 30.0])
    y[:5] *= -1
    agrees(y, y, sigma, one_out=True)
    assert tiled.count(F64) > 1


def test_rounded_products_of_a_tile_are_found_out(tiled):
    """As for other ways: queries among keys that are all as far, and coordinates that fall off."""
    half = torch.nn.functional.normalize(draw(7, 6), dim=1).float()
    for sigma in (0.005, 0.01, 0.02, 0.025, 0.03):
        agrees((1e-5 * draw(40, 6, seed=1)).float(), torch.cat([half, -half]), sigma)
    axes = 1 / torch.arange(1, 257)
    y, x = draw(900, 256, dtype=F32) * axes, draw(40, 256, seed=1, dtype=F32) * axes
    for sigma in (0.05, 0.1, 0.15):
        agrees(x, y, sigma)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("q", [2, 600])
def test_a_far_query_of_large_width_is_no_reason_to_doubt_one_of_small_width(q, dtype):
    """No row is wrong although the farthest query at the smallest width would be."""
    y = draw(20, 2, dtype=dtype)
    x, widths = draw(q, 2, seed=1, dtype=dtype), torch.full((q,), 0.05, dtype=F64)
    x[-1], widths[-1] = 1e12, 1e8
    agrees(x, y, widths)


def test_a_row_of_a_tile_does_not_depend_on_the_others(tiled):
    """Bit for bit, whatever widths the others have."""
    y, x = draw(900, 16, dtype=F32), draw(160, 16, seed=1, dtype=F32)
    mixed = torch.tensor([4.0, 0.4, 0.02, 1e-6], dtype=F64).repeat(40)
    for cheap in (0, 2**40):
        small.CHEAP = cheap
        together = softmax_mean(x, y, mixed)
        for k, width in enumerate((4.0, 0.4, 0.02, 1e-6)):
            alone = softmax_mean(x, y, torch.full_like(mixed, width))
            for mine, own in zip(together, alone, strict=True):
                assert torch.equal(mine[k::4], own[k::4])


@pytest.mark.parametrize("one_out", [False, True])
def test_in_a_small_problem_wrong_rows_alone_go_on(one_out):
    """Each of its own width, as if all were of that width."""
    y = draw(40, 6)
    sigma = torch.tensor([0.5, 1e-9], dtype=F64).repeat(20)
    agrees(y, y, sigma, one_out=one_out)
    together = softmax_mean(y, y, sigma, leave_one_out=one_out)
    for width, rows in ((0.5, slice(0, None, 2)), (1e-9, slice(1, None, 2))):
        own = softmax_mean(y, y, width, leave_one_out=one_out)
        for mine, alone in zip(together, own, strict=True):
            torch.testing.assert_close(mine[rows], alone[rows], rtol=1e-13, atol=1e-13)


def test_levels_have_their_ways():
    sigma = torch.tensor([20.0, 1e-3, 1e-7], dtype=F64)
    whole = Block.of(Keys(draw(9000, 6)), draw(3, 6), sigma).part(torch.arange(3).repeat(50), FAST)
    values = Values.of(whole.keys, None, F64)
    left = torch.ones(150, dtype=torch.bool)
    found = [(a.way.__name__, a.level) for a in ways._attempts(whole, values, left)]
    assert list(dict.fromkeys(found)) == [
        ("attention_sums", FAST),
        ("_all_keys", FAST),
        ("few_sums", DOUBLE),
        ("attention_sums", DOUBLE),
        ("_all_keys", DOUBLE),
        ("few_sums", EXACT),
        ("_all_keys", EXACT),
    ]


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(4, 128, [16]), (36, 128, [64]), (110, 128, [128]), (300, 128, [128] * 3), (0, None, []),
     (100, None, [64] * 2), (400, None, [500])],
)  # fmt: skip
def test_a_few_queries_take_small_blocks(count, size, sizes):
    whole = Block.of(Keys(draw(9, 2)), draw(500, 2, seed=1), torch.ones(500, dtype=F64))
    rows = torch.arange(500) < count
    found = list(stream.arranged(whole, rows, DOUBLE, size))
    assert [len(block.x) for _, block in found] == sizes
    asked = torch.cat([index for index, _ in found]) if found else torch.arange(0)
    assert asked.tolist() == list(range(500 if sizes == [500] else count))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("d", [1, 2, 3, 16, 64, 256, 784, 3072, 12288])
def test_the_accuracy_contract_on_the_whole_grid(d, dtype, monkeypatch):
    """1e-5 of the data scale in float32 at every sigma, dimension and distance of the query."""
    monkeypatch.setattr(few, "WORTH", 0)
    monkeypatch.setattr(small, "serves", lambda *_: False)
    n = max(100, min(2500, 10**6 // d))
    y = draw(n, d, dtype=dtype)
    y[10] = y[11]
    scale = float(y.norm(dim=1).max())
    for reach in (3.0, 1e2, 1e4):
        x = queries(y, reach * scale)
        for sigma in scale * np.asarray(SIGMAS):
            got = softmax_mean(x, y, float(sigma))
            mean, log_sum, _ = dense(x, y, float(sigma))
            tie = 4e-16 * (reach * scale) ** 2 / sigma**2 if dtype == F64 else 0.0
            assert np.abs(got.mean.numpy() - mean).max() / scale < TOLERANCE[dtype] + tie
            relative = np.abs(got.log_sum.numpy() - log_sum) / (1 + np.abs(log_sum))
            assert relative.max() < 2 * TOLERANCE[dtype]
