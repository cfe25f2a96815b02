"""Dates that come often, dates that stand for none, and times of day."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data.tables import Codec, Overrides
from wasserscore.data.tables.dataset import from_frame
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


def test_times_of_day_have_an_order():
    cells = [f"{i % 24:02}:{i % 60:02}" for i in range(300)]
    layout = from_frame(
        pd.DataFrame({"at": cells, "x": np.arange(300) / 7}), name="visits", source="a test"
    ).layout
    (condition,) = parse_where("at>=12:30", layout)
    frame = pd.DataFrame({"at": pd.Series(["12:29", "12:30", "23:59", "00:00"], dtype="str")})
    assert condition.holds(frame).tolist() == [False, True, True, False]


@pytest.mark.parametrize("text", ["{hour}:{minute:02}", "{minute:02}:00"])
def test_no_times_of_day(text):
    """Hours of one digit, and more than there are in a day."""
    cells = [text.format(hour=i // 60, minute=i) for i in range(99)]
    with pytest.raises(InputError, match=r"looks like moments.* 23:59:59 or 23:59, or say"):
        Codec.infer(pd.DataFrame({"at": cells, "x": np.arange(99) / 7}))
