"""Dates close behind another one are told of: new rows do not keep them there."""

import json

import numpy as np
import pandas as pd
import pytest

from wasserscore.data.tables import Codec

HOUR = np.timedelta64(3600, "s")


def stays(hours, dtype, n=400):
    """Admissions in a year, and discharges so many hours later."""
    rng = np.random.default_rng(0)
    start = np.datetime64("2024-01-01T00:00:00") + rng.integers(0, 8760, n) * HOUR
    frame = pd.DataFrame({"out": start + np.resize(hours, n) * HOUR, "in": start})
    if dtype == "str":
        return frame.apply(lambda x: x.dt.strftime("%Y-%m-%d %H:%M")).astype("str")
    return frame.astype(dtype)


def told(frame):
    codec = Codec.infer(frame)
    codec = Codec.from_dict(json.loads(json.dumps(codec.to_dict())))
    assert all(pair.note in codec.table() for pair in codec.behind)
    return [tuple(pair) for pair in codec.behind]


@pytest.mark.parametrize("dtype", ["str", "datetime64[ns]", "datetime64[s]"])
def test_a_date_close_behind_another_one_is_told_of(dtype):
    within = f"{np.quantile(np.resize(np.arange(1, 31), 400), 0.9) / 24:.3g} days"
    assert told(stays(np.arange(1, 31), dtype)) == [("out", "in", within)]
    assert told(stays(np.zeros(1, int), dtype)) == [("in", "out", "0 seconds")]  # once
    assert told(stays(np.r_[np.arange(1, 31), -1], dtype)) == []  # one is before


def test_how_close_is_close():
    """A tenth of the standard deviation of a year, 253 days."""
    spread = stays([0], "datetime64[s]")["in"].std() / pd.Timedelta(hours=1)
    for share, close in ((0.09, True), (0.11, False)):
        assert bool(told(stays([int(share * spread)], "datetime64[s]"))) == close
    assert told(stays([1], "datetime64[s]", n=50)) != []
    assert told(stays([1], "datetime64[s]", n=49)) == []


def test_the_nearest_one_before_is_named_and_missing_cells_are_left_out():
    frame = stays(np.arange(1, 31), "datetime64[ns]")
    frame["asked"] = frame["in"] - pd.Timedelta(days=2)
    gone = np.arange(len(frame)) % 3 == 0
    frame["out"] = frame["out"].where(~gone)
    assert [pair[:2] for pair in told(frame)] == [("out", "in"), ("in", "asked")]
    frame.loc[gone, "out"] = pd.Timestamp("1900-01-01")  # for none
    assert [pair[:2] for pair in told(frame)] == [("out", "in"), ("in", "asked")]


def test_a_frequent_date_among_the_others_is_a_date():
    """Records moved on one day: what is before it is before."""
    frame = stays(np.arange(1, 31), "datetime64[ns]")
    moved, day = np.arange(len(frame)) % 3 == 0, pd.Timestamp("2024-07-01")
    frame["in"] = frame["in"].where(~moved, day)
    assert Codec.infer(frame).columns[1].atoms
    assert (frame["out"] < frame["in"]).any()
    assert told(frame) == []
    frame["out"] = frame["out"].where(~moved, day + pd.Timedelta(hours=5))
    assert [pair[:2] for pair in told(frame)] == [("out", "in")]


def test_a_date_that_follows_from_another_one_is_kept():
    frame = stays(np.zeros(1, int), "str")
    frame = frame.assign(out=frame["out"].str[:7] + "-28", **{"in": frame["in"].str[:7] + "-27"})
    codec = Codec.infer(frame)
    assert [(rule.column, rule.of) for rule in codec.rules] == [("in", "out")]
    assert codec.behind == ()
