"""Rows to points and back: exactly, for every kind of column, or a refusal that names it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.data.tables import Codec, Overrides
from wasserscore.data.tables.codes import (
    APART,
    level_points,
    levels_of,
    nearest_levels,
    stranger,
)
from wasserscore.data.tables.dataset import from_frame
from wasserscore.data.tables.dates import parse_dates
from wasserscore.data.tables.wish import Wish

ROWS = 12


def holes(values, dtype):
    """Cells of some dtype, each possibly missing."""
    return st.lists(st.one_of(st.none(), values), min_size=ROWS, max_size=ROWS).map(
        lambda cells: pd.Series(cells, dtype=dtype)
    )


def full(values, dtype):
    return st.lists(values, min_size=ROWS, max_size=ROWS).map(
        lambda cells: pd.Series(cells, dtype=dtype)
    )


TEXT = st.text("aBé=,\"\n'ß0 \r\0😀", max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01"))
BASE = st.integers(-(2**63), 2**63 - 2**54)
COLUMNS = st.one_of(
    full(st.integers(-(2**31), 2**31 - 1), "int32"),
    full(st.integers(-(2**63), 2**63 - 1), "int64"),
    BASE.flatmap(lambda base: full(st.integers(base, base + 2**53), "int64")),
    full(st.integers(2**64 - 2**40, 2**64 - 1), "uint64"),
    holes(st.integers(-100, 100), "Int64"),
    holes(st.integers(0, 255), "UInt8"),
    full(FLOATS, "float64"),
    holes(st.floats(-1e6, 1e6), "float64"),
    holes(st.decimals(-1000, 1000, places=2).map(float), "float64"),
    full(st.floats(-1e3, 1e3, width=32), "float32"),
    holes(st.floats(-10, 10), "Float64"),
    full(st.booleans(), "bool"),
    holes(st.booleans(), "boolean"),
    holes(TEXT, "str"),
    holes(TEXT, "object"),
    holes(st.sampled_from(["a", "b", "=cmd()", "<script>"]), "category"),
    holes(st.just(None), "object"),
    holes(st.just(None), "float64"),
    full(MOMENTS, "datetime64[us]"),
    holes(MOMENTS, "datetime64[ns]"),
    st.integers(1, 2**40).flatmap(
        lambda stride: full(st.integers(-(2**22), 2**22).map(lambda k: k * stride), "int64")
    ),
    holes(MOMENTS.map(lambda t: t.replace(microsecond=0)), "datetime64[s]"),
    full(MOMENTS.map(lambda t: pd.Timestamp(t, tz="UTC").tz_convert("Europe/Berlin")), None),
    holes(st.dates().map(str), "str"),
    full(st.sampled_from(["007", "1e5", "12"]), "str"),
    st.just(pd.Series([f"level {i}" for i in range(ROWS)], dtype="str")),
)
TABLES = st.lists(COLUMNS, min_size=1, max_size=3).map(
    lambda columns: pd.DataFrame({f"c{i}": column for i, column in enumerate(columns)})
)


def check_exact_or_refused(frame):
    before = frame.copy()
    try:
        codec = Codec.infer(frame)
    except InputError as refusal:
        if "column" not in str(refusal) or "\n" in str(refusal):
            raise
        return
    points = codec.encode(frame)
    assert points.dtype == torch.float64
    assert points.shape == (len(frame), len(codec.coordinates))
    assert bool(torch.isfinite(points).all())
    pd.testing.assert_frame_equal(codec.decode(points), frame, check_exact=True)
    pd.testing.assert_frame_equal(frame, before)
    again = Codec.from_dict(json.loads(json.dumps(codec.to_dict(), allow_nan=False)))
    assert again == codec
    assert torch.equal(codec.snap(points), points)
    # What is far from every row decodes to cells that may come.
    wild = codec.decode(points * 3 - 1)
    assert list(wild.dtypes) == list(frame.dtypes)
    codec.encode(wild)


@given(TABLES)
def test_every_table_comes_back_exactly_or_is_refused_by_column(frame):
    check_exact_or_refused(frame)


@pytest.mark.slow
@settings(max_examples=1000)
@given(TABLES)
def test_a_thousand_tables_come_back_exactly_or_are_refused_by_column(frame):
    check_exact_or_refused(frame)


def big_table(rows=400):
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(rows) < 0.6, 0, np.round(rng.lognormal(8, 1, rows), 2))
    income = np.round(rng.lognormal(10, 1.5, rows), 2)
    return pd.DataFrame({
        "id": [f"P-{i:05}" for i in range(rows)],
        "number": np.arange(rows) + 7,
        "age": rng.integers(18, 90, rows),
        "share": np.clip(rng.normal(0.5, 0.5, rows), 0, 1),
        "amount": amount,
        "income": income,
        "income_gap": np.where(rng.random(rows) < 0.2, np.nan, income),
        "sex": rng.choice(["F", "M"], rows),
        "smoker": rng.random(rows) < 0.3,
        "city": pd.Series(rng.choice(["Bonn", "Köln", "Ulm"], rows)).where(
            rng.random(rows) > 0.1),
        "code": rng.choice([f"{i:03}" for i in range(100)], rows),
        "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
        "day": pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(
            rng.integers(0, 900, rows), "D")).dt.strftime("%Y-%m-%d"),
        "site": "Bonn",
    })  # fmt: skip


KINDS = {
    "id": "identifier", "number": "identifier", "age": "bounded", "share": "bounded",
    "amount": "inflated", "income": "heavy-tailed", "income_gap": "heavy-tailed",
    "sex": "categorical", "smoker": "boolean", "city": "categorical", "code": "categorical",
    "when": "datetime", "day": "datetime", "site": "constant",
}  # fmt: skip


def test_kinds_are_inferred_and_shown():
    frame = big_table()
    codec = Codec.infer(frame)
    assert {c.name: c.kind for c in codec.columns} == KINDS
    kept = codec.decode(codec.encode(frame))
    rest = [name for name in frame if name not in ("id", "number")]
    pd.testing.assert_frame_equal(kept[rest], frame[rest], check_exact=True)
    assert kept["id"].tolist()[:2] == ["row-1", "row-2"]
    assert kept["number"].tolist() == list(range(1, 401))
    assert codec.decode(codec.encode(frame), start=400)["number"].iloc[0] == 401
    lines = codec.table().splitlines()
    assert lines[0].split()[:4] == ["column", "kind", "dtype", "values"]
    assert len(lines) == 1 + len(frame.columns)
    row = next(line for line in lines if line.startswith("day"))
    assert "2020-01-04 to 2022-06-17" in row
    assert "256 days" in row
    assert "often 0.0" in next(line for line in lines if line.startswith("amount"))
    assert not codec.numeric
    assert Codec.infer(frame[["age", "share", "income"]]).numeric
    assert not Codec.infer(frame[["age", "amount"]]).numeric
    assert not Codec.infer(frame[["age", "number"]]).numeric


def test_the_metric_is_what_it_says():
    """Numbers in a power of two near their deviation, levels and gaps the square root of two."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({
        "x": rng.normal(100, 9, 500),
        "sex": rng.choice(["F", "M"], 500),
        "city": rng.choice(["Bonn", "Köln", "Ulm"], 500),
        "gap": np.where(rng.random(500) < 0.3, np.nan, rng.normal(0, 1, 500)),
    })  # fmt: skip
    codec = Codec.infer(frame)
    cells = {"x": 100.0, "sex": "F", "city": "Bonn", "gap": np.nan}

    def apart(**change):
        pair = pd.DataFrame([cells, cells | change])
        return float(torch.pdist(codec.encode(pair, exact=False)))

    assert apart(x=108.0) == 1.0  # the power of two nearest to 9 is 8
    assert apart(sex="M") == apart(city="Ulm") == APART
    median = float(np.sort(frame["gap"].dropna())[frame["gap"].notna().sum() // 2])
    assert apart(gap=median) == APART
    assert apart(gap=median + 1) == pytest.approx((2 + 1) ** 0.5, rel=1e-12)
    assert apart(x=116.0, sex="M", city="Köln") == pytest.approx((4 + 2 + 2) ** 0.5, rel=1e-12)
    assert apart(city="Rom") == pytest.approx(APART, rel=1e-12)  # unseen: from every level


DAYS = [1, 3, 7, 14, 28, 56, 90]


@pytest.mark.parametrize("scale", [1, 2**62, 0.1, 1 / 3])
def test_numbers_of_few_values_come_back_from_anywhere_near(scale):
    """Exact under noise of a step; half way to the next value, and not before, it is the next."""
    cells = np.tile(np.array(DAYS) * scale if isinstance(scale, float) else
                    np.array([day - 1 + scale for day in DAYS]), 15)  # fmt: skip
    frame = pd.DataFrame({"day": cells})
    codec = Codec.from_dict(json.loads(json.dumps(Codec.infer(frame).to_dict())))
    (column,) = codec.columns
    assert (column.kind, column.seen) == ("few-valued", tuple(np.unique(cells).tolist()))
    assert not codec.numeric
    assert "7 values" in column.values
    points = codec.encode(frame)
    noise = torch.rand(points.shape, generator=torch.Generator().manual_seed(0)).double() - 0.5
    moved = codec.decode(points + noise * codec.lattice[0])
    pd.testing.assert_frame_equal(moved, frame, check_exact=True)
    low, high = points.unique()[2:4]
    share = torch.tensor([0.49, 0.51], dtype=torch.float64)[:, None]
    between = codec.decode(low + share * (high - low))["day"]
    assert between.tolist() == np.unique(cells)[2:4].tolist()


def test_what_counts_as_few_values():
    kind = lambda cells: Codec.infer(pd.DataFrame({"x": cells})).columns[0].kind
    assert kind(np.tile(np.arange(7), 15)) == "integer"  # nothing comes between them anyway
    assert kind(np.tile([*range(19), 20], 15)) == "few-valued"
    assert kind(np.tile([*range(20), 21], 15)) != "few-valued"  # 21 values
    assert kind(np.tile([1, 3, 7, 8, 9], 10)) == "few-valued"
    assert kind(np.tile([1, 3, 7, 8, 9], 9)) == "integer"  # nine rows of each
    frame = pd.DataFrame({"x": np.tile([1, 3, 7], 20)})
    assert Codec.infer(frame, Overrides({"x": Wish(kind="integer")})).columns[0].seen == ()
    with pytest.raises(InputError, match="few-valued"):
        Codec.infer(frame).encode(pd.DataFrame({"x": [2]}))


@pytest.mark.parametrize("kind", ["numeric", "integer", "inflated", "heavy-tailed"])
def test_values_that_repeat_are_the_only_ones(kind):
    """Readings at uneven places: samples between two of them are the nearer one."""
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(10_000, 60, replace=False)) / (1 if kind == "integer" else 100)
    places = places.astype(int) if kind == "integer" else places
    places = np.r_[places[:50], (1e4 * places[50:]).round()] if kind == "heavy-tailed" else places
    body = np.repeat(places, [2, *[30] * 50, *[2] * 9])
    cells = np.r_[body, np.zeros(900, dtype=body.dtype)] if kind == "inflated" else body
    frame = pd.DataFrame({"x": cells})
    codec = Codec.from_dict(json.loads(json.dumps(Codec.infer(frame).to_dict())))
    (column,) = codec.columns
    assert (column.kind, column.seen) == (kind, tuple(np.unique(cells).tolist()))
    points = codec.encode(frame)
    pd.testing.assert_frame_equal(codec.decode(points), frame, check_exact=True)
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    moved = codec.decode(points + 0.3 * noise)["x"].to_numpy()
    assert set(moved) <= set(cells)
    assert len(set(moved)) > 30
    for free in (Wish(kind=kind), Wish(low=float(cells.min()) - 5)):
        if kind != "inflated":
            assert Codec.infer(frame, Overrides({"x": free})).columns[0].seen == ()


def test_what_counts_as_values_that_repeat():
    seen = lambda cells: len(Codec.infer(pd.DataFrame({"x": cells})).columns[0].seen)
    rare, often = 3 * np.arange(30) / 10, np.arange(30) / 10
    rare = np.r_[rare, rare[-1] + 0.1]  # so that the step is a tenth
    assert seen(np.tile(rare, 10)) == 31
    assert seen(np.tile(rare, 9)) == 0  # nine rows of each
    assert seen(np.tile(often, 20)) == 0  # the whole grid
    assert seen(np.tile(np.r_[often[:24], 2.9], 20)) == 0  # nearly: 25 of 30 places
    assert seen(np.tile(np.r_[often[:23], 2.9], 20)) == 24  # 24 of 30
    many = np.sort(np.random.default_rng(0).choice(10**5, 1001, replace=False))
    assert seen(np.tile(many[:1000], 10)) == 1000
    assert seen(np.tile(many, 10)) == 0


def test_heavy_tails_count_factors():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"income": np.round(rng.lognormal(10, 2, 2000), 2)})
    codec = Codec.infer(frame)
    assert codec.columns[0].kind == "heavy-tailed"
    pair = pd.DataFrame({"income": [1e7, 1e7 * np.e]})
    low, high = codec.encode(pair, exact=False)[:, 0]
    assert float(high - low) == pytest.approx(1.0, abs=0.01)
    middle, spread = codec.columns[0].middle, codec.columns[0].spread
    near = codec.encode(pd.DataFrame({"income": [middle, middle + spread / 100]}), exact=False)
    assert float(near[1] - near[0]) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("levels", [2, 3, 32, 33, 1024, 1025, 10_001])
def test_levels_are_equally_far_apart(levels):
    points = torch.from_numpy(level_points(levels).copy())
    every = slice(None, None, max(1, levels // 1000))
    assert np.array_equal(nearest_levels(points[every].numpy(), levels), np.arange(levels)[every])
    some = points[:: max(1, levels // 300)]
    squared = torch.pdist(some).square()
    allowed = {2.0} if levels <= 32 else {1.5, 2.0, 2.5} if levels <= 1024 else {1.75, 2.0, 2.25}
    assert {round(v, 9) for v in squared.tolist()} <= allowed
    away = (points - torch.from_numpy(stranger(levels))).square().sum(1)
    assert float(away.min()) >= (2 - 1e-9 if levels <= 32 else 0.96)


@pytest.mark.parametrize("levels", [2, 3, 32, 40, 2000])
@pytest.mark.parametrize(("share", "same"), [(0.24, True), (0.26, False)])
def test_a_point_is_a_level_within_a_quarter_of_what_two_are_apart(levels, share, same):
    points = level_points(levels).copy()
    points[:, 0] -= share * APART  # away from all others, where there are two
    none = np.full(levels, levels)
    assert np.array_equal(levels_of(points, levels), np.arange(levels) if same else none)


@pytest.mark.parametrize("levels", [2, 7, 40, 2000])
def test_noise_of_the_lattice_moves_no_cell(levels, generator):
    frame = pd.DataFrame({"c": [f"{i:05}" for i in range(levels)] * 2})
    frame["n"] = np.arange(2 * levels) % 9 * 10
    codec = Codec.infer(frame)
    points = codec.encode(frame)
    steps = torch.tensor(codec.lattice)
    assert bool((steps > 0).all())
    noise = torch.rand(points.shape, generator=generator, dtype=torch.float64) - 0.5
    pd.testing.assert_frame_equal(codec.decode(points + 0.99 * noise * steps), frame)


def test_atoms_come_back_as_they_were():
    """Zeros of an amount stay exact zeros, and noise on an amount never makes one missing."""
    codec = Codec.infer(big_table()[["amount", "income_gap"]])
    points = codec.encode(big_table()[["amount", "income_gap"]])
    shaken = codec.decode(points + 0.1)
    before = codec.decode(points)
    assert ((shaken["amount"] == 0) == (before["amount"] == 0)).mean() > 0.999
    assert (shaken["income_gap"].isna() == before["income_gap"].isna()).all()


@pytest.mark.parametrize("days", [1.0, 365.0, 200 * 365.0])
@pytest.mark.parametrize("step", ["D", "s", "us"])
def test_nanoseconds_are_counted_in_steps(days, step):
    """2^53 of them are 104 days."""
    most = int(days * 86400e9)
    ticks = np.random.default_rng(0).integers(-most // 2, most // 2, 500)
    moments = pd.Series(ticks.view("datetime64[ns]")).dt.floor(step)
    frame = pd.DataFrame({"when": moments.where(moments.index != 3), "x": np.arange(500.0)})
    codec = Codec.infer(frame)
    pd.testing.assert_frame_equal(codec.decode(codec.encode(frame)), frame)


def test_integers_from_one_end_to_the_other_are_counted():
    """Their difference is no 64-bit integer; half of it is their step."""
    frame = pd.DataFrame({"n": [-(2**62), 0, 2**62 - 1, 2**62 - 1] * 5})
    with pytest.raises(InputError, match="at most 2\\^53 steps"):
        Codec.infer(frame)
    for top in (2**62 - 2**30, 2**62 - 2**40):
        frame = pd.DataFrame({"n": [-(2**62), 0, top, top] * 5, "m": range(20)})
        codec = Codec.infer(frame)
        pd.testing.assert_frame_equal(codec.decode(codec.encode(frame)), frame)


def test_text_of_numpy_is_text():
    cells = [np.str_(text) for text in ["a", "b", "", "a"] * 5]
    frame = pd.DataFrame({"t": pd.Series(cells, dtype=object), "n": range(20)})
    codec = Codec.infer(frame)
    assert codec.columns[0].kind == "categorical"
    assert codec.decode(codec.encode(frame))["t"].tolist() == cells


def refused(frame, message, **options):
    with pytest.raises(InputError, match=message) as refusal:
        Codec.infer(frame, **options)
    assert "\n" not in str(refusal.value)


def test_what_cannot_be_kept_is_refused_by_name():
    refused(pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "names must differ, got 'a' twice")
    refused(pd.DataFrame({0: [1, 2]}), "column names must be text, got")
    refused(pd.DataFrame({"a": []}), "at least one row")
    refused(pd.DataFrame({"n": [0, 1, 2**60]}), "integers of column 'n' .* at most 2\\^53 steps")
    refused(
        pd.DataFrame({"n": [-(2**63), 2**63 - 1]}), "'n' must span .* got 18446744073709551615"
    )
    moments = pd.DataFrame({"m": pd.to_datetime([0, 1, 10**17]).astype("datetime64[ns]")})
    refused(moments, "moments of column 'm' must span .* with a step of 1; round it, .*'us'")
    refused(pd.DataFrame({"x": [1.0, np.inf]}), "column 'x' must be finite.*inf at row 1")
    refused(pd.DataFrame({"x": [1e-300, 2e-300, 1e300]}), "column 'x' .*must come back exactly")
    refused(pd.DataFrame({"z": [1j, 2j]}), "column 'z' must hold .*complex128")
    refused(pd.DataFrame({"d": pd.to_timedelta([1, 2], "s")}), "column 'd' must hold")
    refused(pd.DataFrame({"m": pd.Series([1, "a"], dtype=object)}), "'m'.*cells of type int, str")
    refused(pd.DataFrame({"m": pd.Series(["a", None, np.nan], dtype=object)}), "one kind of miss")
    many = [f"{i // 2}x" for i in range(20_002)]
    refused(pd.DataFrame({"t": many}), "column 't' may have at most 10000 levels, got 10001")
    tail = np.random.default_rng(0).lognormal(0, 2, 300)
    wish = Overrides({"x": Wish("heavy-tailed")})
    refused(pd.DataFrame({"x": tail}), "heavy-tailed must be on a grid", overrides=wish)
    codec = Codec.infer(pd.DataFrame({"c": ["a", "b"], "n": [1, 5]}))
    with pytest.raises(InputError, match="column 'c' must hold one of its 2 levels, got 'z' at"):
        codec.encode(pd.DataFrame({"c": ["a", "z"], "n": [1, 1]}))
    with pytest.raises(InputError, match=r"column 'n' .integer. must come back exactly, got 9"):
        codec.encode(pd.DataFrame({"c": ["a"], "n": [9]}))
    with pytest.raises(InputError, match="every column of the schema, got no 'n'"):
        codec.encode(pd.DataFrame({"c": ["a"]}))
    with pytest.raises(InputError, match="version 1, got 7"):
        Codec.from_dict({"version": 7, "columns": []})
    assert codec.unseen(pd.DataFrame({"c": ["a", "z", None], "n": 1})) == {"c": ("z", None)}


def test_ten_thousand_levels_and_one_row_per_level():
    levels = [f"{i:05}" for i in range(10_000)]
    frame = pd.DataFrame({"c": pd.Categorical(levels[::20], categories=levels)})
    codec = Codec.infer(frame)
    assert codec.columns[0].kind == "categorical"
    points = codec.encode(frame)
    assert points.shape == (500, 127)
    pd.testing.assert_frame_equal(codec.decode(points), frame)


def test_the_user_overrules():
    frame = big_table()
    wishes = Overrides({
        "id": Wish("categorical"), "age": Wish("bounded", low=0, high=120),
        "share": Wish("numeric", low=-1.0), "number": Wish("integer"),
        "sex": Wish("categorical", levels=("F", "M", "X")), "day": Wish("categorical"),
        "income": Wish("numeric"), "site": Wish("categorical"),
    })  # fmt: skip
    codec = Codec.infer(frame, wishes)
    column = {c.name: c for c in codec.columns}
    pd.testing.assert_frame_equal(codec.decode(codec.encode(frame)), frame, check_exact=True)
    assert (column["age"].low, column["age"].high) == (0, 120)
    assert column["share"].low == -1.0

    assert column["sex"].count == 3
    assert column["income"].spread is None
    assert column["day"].kind == "categorical"
    assert column["site"].count == 2  # the one level, and a missing one that could come
    refused(frame, "the schema names a column that is not in the table, got 'agee'; did you mean",
            overrides=Overrides({"agee": Wish("integer")}))  # fmt: skip
    refused(frame, "column 'sex' of kind numeric must hold numbers",
            overrides=Overrides({"sex": Wish("numeric")}))  # fmt: skip
    refused(frame, "column 'sex' must hold dates", overrides=Overrides({"sex": Wish("datetime")}))
    refused(frame, "column 'sex' of kind constant must never change",
            overrides=Overrides({"sex": Wish("constant")}))  # fmt: skip
    refused(frame, "column 'sex' must hold one of its 1 levels|levels",
            overrides=Overrides({"sex": Wish("categorical", levels=("F", "G"))}))  # fmt: skip


def test_cells_of_another_kind_are_refused_by_name():
    """What pandas would guess at, or fail at from deep inside."""
    codec = Codec.infer(pd.DataFrame({"age": [20, 31, 42], "when": pd.to_datetime(
        ["2024-01-02", "2024-03-04", "2024-05-06"])}))  # fmt: skip
    other = pd.DataFrame({"age": [20, 31], "when": ["2024-03-04", "2024-01-02 00:00:00"]})
    assert codec.decode(codec.encode(other)).when.dt.month.tolist() == [3, 1]
    for change, message in (
        ({"age": ["20", "57 y"]}, "column 'age' must hold numbers, got '57 y' at row 1"),
        ({"when": ["2024-01-02", "04.03.2024"]}, "column 'when' must read as in .* at row 1"),
    ):
        with pytest.raises(InputError, match=message):
            codec.encode(other.assign(**change))


def test_columns_that_could_not_be_built_again_are_refused():
    frame = pd.DataFrame({"month": pd.period_range("2024-01", periods=3, freq="M"), "x": 1.0})
    with pytest.raises(InputError, match="column 'month' must hold numbers, text, booleans"):
        Codec.infer(frame)


def test_dates_of_several_offsets_are_no_dates():
    texts = np.array(["2024-03-30 12:00:00+0100", "2024-03-31 12:00:00+0200"], dtype=object)
    assert parse_dates(texts, "%Y-%m-%d %H:%M:%S%z") is None


@pytest.mark.parametrize(
    ("wish", "says"),
    [(Wish(low=3), "low of column 'age' must hold"), (Wish(high=8.5), "but 9 in the table")],
)
def test_a_bound_that_the_data_break_is_refused(wish, says):
    with pytest.raises(InputError, match=says):
        Codec.infer(pd.DataFrame({"age": [2, 5, 9, 4]}), Overrides({"age": wish}))


@pytest.mark.parametrize("tail", ["", ":07.000", ":07Z", ":07+01:00", ":07.00-0500", " UTC"])
def test_dates_with_one_ending_are_dates(tail):
    """A time zone that every cell names, or seconds in zeros, changes nothing in between."""
    cells = [f"2024-03-{1 + i % 28:02} {i % 24:02}:30{tail}" for i in range(100)]
    frame = pd.DataFrame({"x": np.arange(100) / 7, "when": pd.Series(cells, dtype="str")})
    codec = Codec.infer(frame)
    assert codec.columns[1].kind == "datetime"
    pd.testing.assert_frame_equal(codec.decode(codec.encode(frame)), frame)
    frame.loc[0, "when"] = frame["when"][0].removesuffix(tail) + ":59+07:00"
    with pytest.raises(InputError, match="looks like moments"):
        Codec.infer(frame)


@pytest.mark.parametrize("digits", [3, 6, 9])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"])
@pytest.mark.parametrize("zone", ["", "Z", "+01:00"])
def test_parts_of_seconds_are_read_and_written(digits, form, zone):
    ticks = np.random.default_rng(0).integers(-(10**8), 10**8, 60) * 10 ** (9 - digits)
    moments = pd.Series(ticks.view("datetime64[ns]"))
    parts = pd.Series(ticks // 10 ** (9 - digits) % 10**digits).astype(str).str.zfill(digits)
    frame = pd.DataFrame({"at": moments.dt.strftime(form) + "." + parts + zone, "n": range(60)})
    codec = Codec.infer(frame.astype({"at": "str"}))
    column = codec.columns[0]
    assert (column.kind, column.storage.date) == ("datetime", f"{form}.%{digits}f{zone}")
    assert column.encode(frame["at"])[:, 0] * column.unit == pytest.approx(
        (ticks - ticks.min()) / 10 ** (9 - digits), rel=1e-12
    )
    again = codec.decode(codec.encode(frame.astype({"at": "str"})))
    assert again["at"].tolist() == frame["at"].tolist()
    wish = Overrides({"at": Wish("datetime", date=f"{form}.%f{zone}")})
    if digits == 6:
        assert Codec.infer(frame.astype({"at": "str"}), wish).columns[0].kind == "datetime"
    else:
        refused(frame.astype({"at": "str"}), "'at' must read .* got", overrides=wish)


def test_a_table_is_encoded_once(monkeypatch):
    """The points that a codec was tried on are those of the data set."""
    frame, done, encode = big_table(), [], Codec.encode
    monkeypatch.setattr(Codec, "encode", lambda *a, **k: done.append(1) or encode(*a, **k))
    data = from_frame(frame, name="people", source="a test")
    assert torch.equal(data.points, encode(data.codec, frame))
    assert len(done) == 1
