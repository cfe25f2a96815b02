"""Dates that come often, dates that stand for none, and times of day."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data.tables import Codec, Overrides
from wasserscore.data.tables.dataset import from_frame
from wasserscore.data.tables.dates import FORMATS, date_format, written
from wasserscore.data.tables.wish import Wish
from wasserscore.experiment.conditions import parse_where
from wasserscore.experiment.profiles import profile

KINDS = ["datetime64[ns]", "datetime64[s]", "str"]
DAY = np.timedelta64(1, "D")


def dates(days, dtype) -> "pd.Series":
    moments = pd.Series(np.asarray(days, dtype="datetime64[s]"), name="when")
    return (
        moments.dt.strftime("%Y-%m-%d").astype("str") if dtype == "str" else moments.astype(dtype)
    )


def column_of(cells, **wishes):
    """The codec of one column, saved and read again, and the column."""
    overrides = Overrides({"when": Wish(**wishes)}) if wishes else None
    codec = Codec.infer(pd.DataFrame({"when": cells}), overrides=overrides)
    codec = Codec.from_dict(json.loads(json.dumps(codec.to_dict())))
    return codec, codec.columns[0]


def near(codec, cells):
    """The column of points around those of some cells."""
    points = codec.encode(pd.DataFrame({"when": cells}))
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    return codec.decode(points + 0.3 * noise)["when"]


MONTHS = np.array(
    [f"{2023 + i // 12}-{1 + i % 12:02}-01" for i in range(24)], dtype="datetime64[D]"
)
WEEKDAYS = np.datetime64("2024-01-01") + np.array([i for i in range(100) if i % 7 < 5]) * DAY


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(
    "days", [MONTHS[::3], MONTHS, WEEKDAYS], ids=["quarters", "months", "week"]
)
def test_dates_that_come_often_are_the_only_ones(days, dtype):
    """Samples of a table by month have first days of months."""
    cells = dates(np.tile(days, 12), dtype)
    codec, column = column_of(cells)
    assert (column.kind, len(column.seen)) == ("datetime", len(days))
    pd.testing.assert_series_equal(codec.decode(codec.encode(cells.to_frame()))["when"], cells)
    moved = near(codec, cells)
    assert set(moved) == set(cells)
    assert (moved != cells).any()
    if dtype != "str":
        free = column_of(cells, kind="datetime")[1]
        assert free.seen == ()


@pytest.mark.parametrize("dtype", KINDS)
def test_days_that_all_come_are_not_counted_up(dtype):
    days = np.datetime64("2024-01-01") + np.arange(100) * DAY
    assert column_of(dates(np.tile(days, 12), dtype))[1].seen == ()
    assert column_of(dates(np.tile(MONTHS[::3], 9), dtype))[1].seen == ()  # nine rows of each


@pytest.mark.parametrize("dtype", KINDS)
def test_a_date_that_stands_for_none_is_apart(dtype):
    """The unit is that of the others, and its flag shows it as a date."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, 400) * DAY
    default = np.where(rng.random(400) < 0.3, np.datetime64("1900-01-01"), days)
    cells = dates(default, dtype)
    codec, column = column_of(cells)
    shown = "1900-01-01" if dtype == "str" else "1900-01-01 00:00:00"
    assert codec.coordinates == ("when", f"when is {shown}")
    assert column.values.endswith(f", often {shown}")
    assert column.unit == column_of(dates(days, dtype))[1].unit
    pd.testing.assert_series_equal(codec.decode(codec.encode(cells.to_frame()))["when"], cells)
    points = codec.encode(cells.to_frame()).numpy()
    ((label, own, fresh),) = profile(column, points, points[:200])["special"]
    assert (label, own, fresh) == (shown, *((default[:k] < days[:k]).mean() for k in (400, 200)))


@pytest.mark.parametrize("form", ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f"])
def test_times_of_day_are_counted(form):
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, 1440, 300) * 60
    moments = pd.Series(np.datetime64("1900-01-01", "us") + seconds * np.timedelta64(10**6, "us"))
    cells = moments.dt.strftime(form).astype("str").rename("when")
    codec, column = column_of(cells)
    assert column.kind == "datetime"
    points = codec.encode(cells.to_frame())
    minutes = points[:, 0].numpy() * column.unit * column._tick / 60
    assert minutes == pytest.approx((seconds - seconds.min()) / 60, rel=1e-12)
    assert codec.decode(points)["when"].tolist() == cells.tolist()
    ends = (cells.min(), cells.max())
    assert set(codec.decode(points + torch.tensor([[9.0]]))["when"]) == {ends[1]}
    assert column.values.startswith(f"{ends[0]} to {ends[1]}")


FORMS = [
    ("%-m/%-d/%Y %-H:%M", "{m}/{d}/{y} {H}:{M:02}"),  # as spreadsheets write them
    ("%-d.%-m.%Y", "{d}.{m}.{y}"),
    ("%d/%m/%Y %H:%M:%S", "{d:02}/{m:02}/{y} {H:02}:{M:02}:{S:02}"),
    ("%m-%d-%Y %-H:%M", "{m:02}-{d:02}-{y} {H}:{M:02}"),
    ("%-m/%-d/%Y %-I:%M:%S %p", "{m}/{d}/{y} {I}:{M:02}:{S:02} {p}"),
    ("%Y-%m-%d %I:%M %p", "{y}-{m:02}-{d:02} {I:02}:{M:02} {p}"),
    ("%Y/%-m/%-dT%-H:%M", "{y}/{m}/{d}T{H}:{M:02}"),
    ("%-H:%M", "{H}:{M:02}"),
    ("%-I:%M %p", "{I}:{M:02} {p}"),
]


@pytest.mark.parametrize(("form", "text"), FORMS)
def test_dates_without_zeros_in_front_and_in_halves_of_a_day(form, text):
    minutes = np.random.default_rng(0).integers(0, 3 * 10**6, 400)
    minutes = minutes % 1440 if "%Y" not in form else minutes
    start = np.datetime64("1999-01-01T00:00:00" if "%Y" in form else "1900-01-01T00:00:00")
    moments = pd.Series(start + minutes * np.timedelta64(60, "s"))
    cells = pd.Series([
        text.format(y=t.year, m=t.month, d=t.day, H=t.hour, M=t.minute, S=t.second,
                    I=(t.hour - 1) % 12 + 1, p="AM" if t.hour < 12 else "PM")
        for t in moments
    ], name="when", dtype="str")  # fmt: skip
    codec, column = column_of(cells)
    assert (column.kind, column.storage.date) == ("datetime", form)
    points = codec.encode(cells.to_frame())
    assert codec.decode(points)["when"].tolist() == cells.tolist()
    if "M" in form:
        seconds = points[:, 0].numpy() * column.unit
        assert seconds == pytest.approx((minutes - minutes.min()) * 60.0, rel=1e-12)


def test_days_that_may_be_months_are_dates_where_a_schema_says_which():
    cells = pd.Series([f"{1 + i % 12}/{1 + i % 11}/2024" for i in range(132)], dtype="str")
    with pytest.raises(InputError, match="looks like moments"):
        column_of(cells)
    first = [column_of(cells, date=form)[0].encode(cells.to_frame("when"))[:, 0].numpy()
             for form in ("%-m/%-d/%Y", "%-d/%-m/%Y")]  # fmt: skip
    assert not np.array_equal(*first)
    full = pd.Series([f"10/{i}/2024" for i in range(10, 32)], dtype="str")
    assert date_format(full.to_numpy(dtype=object)) == "%m/%d/%Y"  # nothing is short here


def test_times_of_day_have_an_order():
    cells = [f"{i % 24:02}:{i % 60:02}" for i in range(300)]
    layout = from_frame(
        pd.DataFrame({"at": cells, "x": np.arange(300) / 7}), name="visits", source="a test"
    ).layout
    (condition,) = parse_where("at>=12:30", layout)
    frame = pd.DataFrame({"at": pd.Series(["12:29", "12:30", "23:59", "00:00"], dtype="str")})
    assert condition.holds(frame).tolist() == [False, True, True, False]


def test_no_times_of_day():
    """More hours than there are in a day."""
    with pytest.raises(InputError, match=r"looks like moments.* 23:59:59 or 23:59, or say"):
        column_of([f"{i:02}:00" for i in range(99)])


@pytest.mark.parametrize("form", FORMATS)
def test_dates_are_compared_as_moments_whatever_the_order_of_their_text(form):
    """Seven hours apart in two years, and forty minutes in a day."""
    ticks = np.r_[np.arange(0, 1440, 40) * 60, np.arange(4, 2500) * 7 * 3600]
    ticks = ticks if "%Y" in form else np.arange(0, 1440, 40) * 60
    moments = np.datetime64("2023-09-05", "s") + ticks
    texts = pd.unique(written(moments, form))
    frame = pd.DataFrame({"x": [*texts, None], "y": np.resize(["a", "b"], len(texts) + 1)})
    schema = Overrides(columns={"x": Wish(date=form)})
    layout = from_frame(frame, name="x", source="a test", overrides=schema).layout
    places = np.arange(len(texts))
    for sign, obeys in (("<", places < 5), (">=", places >= 5), ("=", places == 5)):
        (condition,) = parse_where(f"x{sign}{texts[5]}", layout)
        assert condition.holds(frame).tolist() == [*obeys, False]
    with pytest.raises(InputError, match="leave a value"):
        parse_where(f"x>{texts[5]},x<{texts[5]}", layout)
    with pytest.raises(InputError, match="dates of column 'x' read"):
        parse_where("x>2023", layout)


TICKS = ["s", "ms", "us", "ns"]


@pytest.mark.parametrize("tick", TICKS)
@pytest.mark.parametrize("other", [*TICKS, "text", "zone"])
def test_a_moment_is_the_same_in_every_tick(tick, other):
    """Parquet files of pandas 2 count nanoseconds, those of pandas 3 microseconds."""
    days = pd.Series(pd.date_range("2015-01-03", periods=90, freq="31h"), name="when")
    codec, _ = column_of(days.astype(f"datetime64[{tick}]"))
    same = {
        "text": days.astype(str),
        "zone": days.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
    }
    given = same.get(other, days if other in same else days.astype(f"datetime64[{other}]"))
    points = codec.encode(pd.DataFrame({"when": given}))
    assert torch.equal(points, codec.encode(pd.DataFrame({"when": days})))
    assert codec.decode(points)["when"].equals(days.astype(f"datetime64[{tick}]"))


@pytest.mark.parametrize("tick", TICKS)
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S.%3f"])
def test_moments_are_the_dates_that_a_column_has_as_text(form, tick):
    days = pd.Series(pd.date_range("2015-01-20", periods=90, freq="D"))
    codec, column = column_of(pd.Series(written(days.to_numpy(), form)))
    assert column.kind == "datetime"
    points = codec.encode(pd.DataFrame({"when": days.astype(f"datetime64[{tick}]")}))
    assert torch.equal(
        points, codec.encode(pd.DataFrame({"when": written(days.to_numpy(), form)}))
    )


def test_moments_that_have_no_place_in_a_column_are_refused():
    codec, _ = column_of(dates(np.arange(90), "datetime64[ns]"))
    late = pd.Series(np.full(90, "9999-12-31", dtype="datetime64[s]"))
    with pytest.raises(InputError, match="'when' must be such as its tick, ns, can count"):
        codec.encode(pd.DataFrame({"when": late}))
    clock = pd.Series([f"{h:02}:{m:02}" for h in range(9) for m in range(0, 60, 5)])
    codec, _ = column_of(clock)
    with pytest.raises(InputError, match="'when' must read %H:%M, got Timestamp"):
        codec.encode(pd.DataFrame({"when": dates(np.arange(90), "datetime64[s]")}))
