"""Columns that are missing where another one says so: found where there is evidence, and kept."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from wasserscore import ProximalGenerator
from wasserscore.data.tables import Codec
from wasserscore.data.tables.gaps import Gap
from wasserscore.data.tables.overrides import parse_overrides
from wasserscore.data.tables.rules import MISSING


def drivers(n=600, seed=0):
    """Only who has a car is asked for its fuel, and only of electric ones the range."""
    rng = np.random.default_rng(seed)
    car = rng.choice(["yes", "no", "sold it"], n)
    fuel = pd.Series(rng.choice(["petrol", "diesel", "electric"], n)).where(car == "yes")
    reach = pd.Series(rng.integers(20, 60, n) * 10.0).where(fuel == "electric")
    since = pd.Series(rng.integers(1, 9, n)).where(car == "yes").astype("Int64")
    return pd.DataFrame({"age": rng.integers(18, 90, n), "car": car, "fuel": fuel,
                         "reach": reach, "since": since})  # fmt: skip


def obeyed(rows):
    """Whether cells are missing where they are in drivers(), and nowhere else."""
    return (
        (rows["fuel"].isna() == (rows["car"] != "yes"))
        & (rows["reach"].isna() == (rows["fuel"] != "electric").fillna(True))
        & (rows["since"].isna() == (rows["car"] != "yes"))
    )


def test_gaps_are_found_and_shown_and_saved():
    codec = Codec.infer(drivers())
    fuel, reach, since = codec.gaps
    assert replace(fuel, empty=tuple(sorted(fuel.empty))) == Gap(
        "fuel", "car", ("no", "sold it"), ("yes",)
    )
    assert (reach.column, reach.of, reach.full) == ("reach", "fuel", ("electric",))
    assert set(reach.empty) == {"petrol", "diesel", MISSING}
    assert (since.column, since.of) == ("since", "car")
    assert "whether fuel is missing follows from car" in codec.table()
    assert Codec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


def test_points_are_moved_to_what_follows_and_encoded_rows_stay_as_they_are():
    frame = drivers()
    codec = Codec.infer(frame)
    points = codec.encode(frame)
    assert torch.equal(codec.snap(points), points)
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    rows = codec.decode(codec.snap(points + 0.5 * noise))
    assert not obeyed(codec.decode(points + 0.5 * noise)).all()
    assert obeyed(rows).all()
    unmoved = codec.decode(points + 0.5 * noise)
    both = (unmoved["reach"].notna() & rows["reach"].notna()).to_numpy()
    assert both.any()
    assert (unmoved["reach"] == rows["reach"])[both].all()


def test_an_open_answer_is_closed_as_what_was_nearest():
    """Points of a car whose fuel is mostly missing, and after that diesel."""
    codec = Codec.infer(drivers())
    points = codec.encode(drivers()[lambda rows: rows["fuel"] == "petrol"][:1])
    places = codec.places("fuel")
    points[:, places] = torch.tensor([[0.5, 0.1, 0.2, 0.9]], dtype=torch.float64)  # diesel first
    assert codec.decode(points)["fuel"].isna().all()
    assert codec.decode(codec.snap(points))["fuel"].tolist() == ["diesel"]


def test_who_does_not_answer_is_not_asked_for_more():
    """Some leave out the fuel of a car that they have: nobody has one of no car."""
    frame = drivers()
    frame.loc[(frame["car"] == "yes") & (np.arange(600) % 11 == 0), "fuel"] = np.nan
    gap = Codec.infer(frame[["car", "fuel"]]).gaps
    assert [(g.column, set(g.empty), g.full) for g in gap] == [("fuel", {"no", "sold it"}, ())]
    rows = ProximalGenerator(random_state=0).fit(frame).sample(400)
    assert rows["fuel"][rows["car"] != "yes"].isna().all()
    assert 0 < rows["fuel"][rows["car"] == "yes"].isna().mean() < 0.3


def test_few_rows_are_no_evidence_and_the_word_of_the_user_goes_before():
    for rows, found in ((19, 0), (20, 1)):
        frame = pd.DataFrame({"a": ["x"] * 200 + ["y"] * rows, "b": np.arange(200.0 + rows) % 7})
        frame.loc[frame["a"] == "y", "b"] = None
        frame.loc[:80, "b"] = None
        assert len(Codec.infer(frame).gaps) == found
    said = parse_overrides({"columns": {"b": {"low": -1}}})
    assert Codec.infer(frame, said).gaps == ()


def test_the_smallest_numbers_count_together():
    """Nobody below sixty is asked for a pension, of whom ten or so are of each age."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.permutation(np.resize(np.arange(15, 90), 700))})
    asked = (frame["age"] >= 60) & (rng.random(700) < 0.9)
    frame["pension"] = pd.Series(np.round(rng.lognormal(7, 0.4, 700))).where(asked)
    codec = Codec.infer(frame)
    (gap,) = codec.gaps
    assert codec.table().endswith("pension is always missing with some values of age")
    assert (gap.column, gap.of, gap.full) == ("pension", "age", ())
    assert set(gap.empty) == {str(age) for age in range(15, 60)}
    rows = ProximalGenerator(random_state=0).fit(frame).sample(500)
    assert rows["pension"][rows["age"] < 60].isna().all()
    assert rows["pension"][rows["age"] >= 60].notna().mean() > 0.8


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
def test_what_is_missing_at_random_follows_from_nothing(seed, share):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({k: rng.integers(0, 2 + 3 * j, 400) for j, k in enumerate("abcd")})
    for name in "bcd":
        frame[name] = frame[name].where(rng.random(400) > share).astype("Int64")
    assert Codec.infer(frame).gaps == ()


def test_new_rows_skip_what_they_are_not_asked():
    rows = ProximalGenerator(random_state=0).fit(drivers()).sample(400)
    assert obeyed(rows).all()
    assert rows["reach"].notna().mean() == pytest.approx(1 / 9, abs=0.04)
