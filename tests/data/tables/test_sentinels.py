"""Values that stand for none (-999, 1900-01-01) have no place among the others."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wasserscore.data.tables import Codec, Overrides
from wasserscore.data.tables.wish import Wish

AGES = np.random.default_rng(0).integers(18, 90, 1000)
DAYS = (np.datetime64("2024-01-01") + 7 * AGES).astype("datetime64[s]")


def mixed(values, sentinel, share):
    """So many of the values replaced, the first one among them."""
    return np.where(np.arange(len(values)) * share % 1 < share, sentinel, values)


COLUMNS = {
    "integers": (AGES, -999),
    "too large": (AGES, 10**6),
    "unsigned": (AGES.astype("uint64"), np.uint64(2**64 - 1)),
    "smallest": (AGES, np.int64(-(2**63))),
    "decimals": (AGES / 10, -99.5),
    "moments": (DAYS, np.datetime64("1900-01-01", "s")),
    "open ends": (DAYS, np.datetime64("9999-12-31", "s")),
}


def codec_of(cells):
    codec = Codec.infer(pd.DataFrame({"x": cells}))
    return Codec.from_dict(json.loads(json.dumps(codec.to_dict())))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.4])
@pytest.mark.parametrize("name", COLUMNS)
def test_what_stands_for_none_sits_at_the_median_of_the_others(name, share):
    values, sentinel = COLUMNS[name]
    cells = mixed(values, sentinel, share)
    ordinary = values[cells != sentinel]
    codec, plain = codec_of(cells), codec_of(ordinary).columns[0]
    (column,) = codec.columns
    assert len(codec.coordinates) == 2
    assert (column.low, column.high, column.exponent) == (plain.low, plain.high, plain.exponent)
    points = codec.encode(pd.DataFrame({"x": cells}))
    found = codec.decode(points)["x"].to_numpy()
    assert (found == cells).all()
    first = points[:, 0].numpy()
    middle = codec.encode(pd.DataFrame({"x": np.sort(ordinary)[[len(ordinary) // 2]]}))
    assert set(first[cells == sentinel]) == {float(middle[0, 0])}
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    moved = codec.decode(points + noise * torch.tensor([[3.0, 0.0]]))["x"].to_numpy()
    ends = ordinary.min(), ordinary.max()
    assert ((moved == sentinel) == (cells == sentinel)).all()
    assert (moved[moved != sentinel].min(), moved[moved != sentinel].max()) == ends


@settings(max_examples=30)
@given(st.integers(-50, 150))
def test_what_is_near_the_others_keeps_its_place(often):
    """A zero among amounts is the smallest of them; six quartile deviations beyond it is not."""
    cells = mixed(AGES, often, 0.4)
    column = codec_of(cells).columns[0]
    others = cells[cells != often]
    spread = np.diff(np.quantile(others, (0.25, 0.75)))[0] / 1.349
    assert column.atoms == (often,)
    far = max(others.min() - often, often - others.max()) > 6 * spread
    assert not far
    assert (column.low, column.high) == (cells.min(), cells.max())


@pytest.mark.parametrize("end", [-1, 1])
def test_where_far_begins(end):
    values = np.arange(1001) % 100  # quartiles 25 and 74 or so
    spread = np.diff(np.quantile(values, (0.25, 0.75)))[0] / 1.349
    edge = (6 * spread + (99 if end > 0 else 0)) * end
    for often, atom in ((np.trunc(edge), False), (np.trunc(edge) + end, True)):
        cells = np.r_[values, np.full(20, often)].astype(int)
        assert (codec_of(cells).columns[0].atoms == (often,)) == atom


def test_a_rare_value_is_none_of_these():
    """Nine rows may be a few that are far away indeed."""
    for count, far in ((9, False), (10, True)):
        cells = np.r_[AGES, np.full(count, 10**6)]
        assert (codec_of(cells).columns[0].atoms == (10**6,)) == far


def test_few_wild_values_do_not_set_the_unit():
    """Trips of minutes, and three of forty days: one in a thousand is no tail of a hundredth."""
    seconds = np.round(np.random.default_rng(0).lognormal(6.5, 0.7, 3000)).astype(int)
    cells = np.r_[seconds, [3526282] * 3]
    column, plain = codec_of(cells).columns[0], codec_of(seconds).columns[0]
    assert (column.kind, plain.kind) == ("heavy-tailed", "integer")
    near = codec_of(cells).encode(pd.DataFrame({"x": [600, 700]}), exact=False)[:, 0]
    assert float(near.diff()) == pytest.approx(100 / plain.unit, rel=0.3)
    values = np.tile(np.arange(100), 10)
    spread = np.diff(np.quantile(np.r_[values, 0], (0.25, 0.75)))[0] / 1.349
    for wild, heavy in ((5.9, False), (6.1, True)):
        far = wild * spread * np.sqrt(1001)
        cells = np.r_[values, int(far)]
        assert (cells.std() > 6 * spread) == heavy
        assert (codec_of(cells).columns[0].kind == "heavy-tailed") == heavy


@pytest.mark.parametrize("values", [range(1, 6), (500, 1000, 2000, 5000), (1, 2)])
def test_what_stands_for_none_among_few_values(values):
    """Answers from 1 to 5, and 99: they are as far apart as without it, and no others come."""
    plain = np.resize(values, 1000)
    cells = np.r_[plain, [99999] * 20]
    codec, before = codec_of(cells), codec_of(plain).columns[0]
    (column,) = codec.columns
    assert (column.kind, column.atoms) == ("inflated", (99999,))
    assert column.exponent == before.exponent
    points = codec.encode(pd.DataFrame({"x": cells}))
    assert (codec.decode(points)["x"] == cells).all()
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    moved = codec.decode(points + noise * torch.tensor([[3.0, 0.0]]))["x"]
    assert set(moved) == {*values, 99999}


def test_few_values_near_each_other_are_all_values():
    """Genotypes: two is as far from one as one from zero, however rare both are."""
    for rare in (2, 3):
        column = codec_of(np.repeat([0, 1, rare], [960, 25, 15])).columns[0]
        assert (column.atoms == (rare,)) == (rare == 3)
    assert codec_of(np.repeat([0, 99999], [980, 20])).columns[0].atoms == ()


def test_tails_stay_heavy_beside_what_stands_for_none():
    amounts = np.round(np.random.default_rng(0).lognormal(3, 2, 1000), 2)
    plain = codec_of(amounts).columns[0]
    column = codec_of(np.r_[amounts, [-999999.0] * 50]).columns[0]
    assert (column.kind, plain.kind) == ("inflated", "heavy-tailed")
    assert (column.spread, column.middle) == (plain.spread, plain.middle)
    cells = pd.Series([5.0, 500.0, -999999.0], name="x")
    near, far, none = column.encode(cells, exact=False)
    assert near[0] == np.arcsinh((5 - plain.middle) / plain.spread)
    assert far[0] == np.arcsinh((500 - plain.middle) / plain.spread)
    assert none[0] == 0


def test_a_schema_that_calls_dates_dates_keeps_what_stands_for_none():
    days = mixed(DAYS, np.datetime64("9999-12-31", "s"), 0.4)
    text = np.datetime_as_string(days, unit="D").astype(object)
    for cells, form in ((days, None), (text, "%Y-%m-%d")):
        frame = pd.DataFrame({"x": cells})
        wish = Overrides(columns={"x": Wish(kind="datetime", date=form)})
        (named,), (found,) = Codec.infer(frame, wish).columns, Codec.infer(frame).columns
        end = int(days.max().astype(np.int64))
        assert (named.kind, named.atoms, found.atoms) == ("datetime", (end,), (end,))
        assert (named.low, named.high, named.unit) == (found.low, found.high, found.unit)


SEVERAL = {
    "does not know, refuses": (np.resize(np.arange(1, 6), 1000), (98, 99)),
    "of yes and no": (np.resize([1, 2], 1000), (7, 8, 9)),
    "negative": (AGES + 1900, (-5, -4, -2)),
    "on both sides": (AGES // 2, (-99, 999)),
    "three": (AGES * 10, (7777, 8888, 9999)),
    "four": (AGES % 50 + 18, (996, 997, 998, 999)),
    "decimals": (AGES / 10, (-99.9, -99.5)),
    "gaps": (np.resize([500, 1000, 2000, 5000], 1000), (99998, 99999)),
    "moments": (DAYS, tuple(np.array(["1900-01-01", "9999-12-31"], "datetime64[s]"))),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_values_that_stand_for_none(name):
    """Each has a coordinate of its own; the rest is as if there were none of them."""
    values, nones = SEVERAL[name]
    which = np.arange(len(values)) * 7 % 13
    cells = np.select([which == k for k in range(len(nones))], nones, values)
    ordinary = values[which >= len(nones)]
    codec, plain = codec_of(cells), codec_of(ordinary).columns[0]
    (column,) = codec.columns
    assert len(codec.coordinates) == 1 + len(nones)
    assert [column.decode(p[None]).iloc[0] for p in np.eye(1 + len(nones))[1:]] == list(nones)
    for part in ("low", "high", "exponent", "middle", "spread", "grid", "seen"):
        assert getattr(column, part) == getattr(plain, part)
    points = codec.encode(pd.DataFrame({"x": cells}))
    assert (codec.decode(points)["x"].to_numpy() == cells).all()
    assert (column.placed(points.numpy()) == (which >= len(nones))).all()
    apart = torch.pdist(points[[int((which == k).argmax()) for k in range(len(nones))]])
    assert apart.tolist() == pytest.approx([2.0] * len(apart))
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    noise[:, 1:] = 0.0
    moved = codec.decode(points + 3 * noise)["x"].to_numpy()
    assert (moved[which < len(nones)] == cells[which < len(nones)]).all()
    rest = moved[which >= len(nones)]
    assert (rest.min(), rest.max()) == (ordinary.min(), ordinary.max())


def test_what_may_be_values_stands_for_something():
    answers = np.arange(1000) % 5 + 1
    for values, others, found in (
        (np.arange(1000) % 78 + 18, (96, 97, 98, 99), ()),  # ages up to 95
        (np.resize([1, 10], 1000), (100, 1000), (1000,)),  # doses: one is far from all others
        (answers, (1001, 1002, 1003, 1004, 1005), ()),  # two groups of five
    ):
        which = np.arange(1000) * 7 % 13
        cells = np.select([which == k for k in range(len(others))], others, values)
        assert codec_of(cells).columns[0].atoms == found
    for refuse, found in ((9, ()), (10, (98, 99))):  # nor do 1 and 2 stand for none beside 98
        cells = np.r_[np.resize([1, 2], 500), [98] * 300, [99] * refuse]
        assert codec_of(cells).columns[0].atoms == found


def test_between_two_that_stand_for_none_the_nearer_is_taken():
    cells = np.resize([1, 2, 3, 4, 5, 98, 99], 700)
    codec = codec_of(cells)
    points = torch.tensor([[0.0, 0.8, 0.9], [0.0, 1.1, 0.9], [4.0, 0.6, 0.5]], dtype=torch.float64)
    assert codec.decode(points)["x"].tolist() == [99, 98, 5]


def test_a_schema_that_calls_it_inflated_keeps_what_stands_for_none():
    """As the table of columns does: the most frequent value is an answer."""
    cells = np.r_[np.repeat([1, 2, 3, 4, 5], [50, 80, 150, 80, 50]), [98] * 40, [99] * 30]
    wish = Overrides(columns={"x": Wish(kind="inflated")})
    for values, atoms in ((cells, (98, 99)), (cells[:-30], (98,)), (cells[:-70], (3,))):
        found = Codec.infer(pd.DataFrame({"x": values}), wish).columns[0]
        assert (found.kind, found.atoms, found.high) == ("inflated", atoms, 5)


def test_files_that_know_one_such_value_are_read():
    codec = codec_of(mixed(AGES, -999, 0.1))
    written = codec.to_dict()
    (column,) = written["columns"]
    column["atom"] = column.pop("atoms")[0]
    assert Codec.from_dict(written) == codec
    plain = codec_of(AGES)
    written = plain.to_dict()
    written["columns"][0]["atom"] = None
    del written["columns"][0]["atoms"]
    assert Codec.from_dict(written) == plain
