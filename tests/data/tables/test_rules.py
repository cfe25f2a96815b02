"""Columns that follow from another: found where there is evidence, and kept by new rows."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore import ProximalGenerator
from wasserscore.data.tables import Codec
from wasserscore.data.tables.overrides import parse_overrides
from wasserscore.data.tables.rules import find_rules

SCHOOLS = ["primary", "middle", "high", "college", "university"]
YEARS = dict(zip(SCHOOLS, [4.0, 8.0, 12.0, np.nan, 17.0], strict=True))
CITIES = {"Bonn": "DE", "Ulm": "DE", "Lyon": "FR", "Nice": "FR", "Graz": "AT"}


def people(n=600, seed=0):
    rng = np.random.default_rng(seed)
    school, city = rng.choice(SCHOOLS, n), rng.choice(list(CITIES), n)
    return pd.DataFrame({
        "country": [CITIES[c] for c in city], "city": city, "school": school,
        "years": [YEARS[s] for s in school], "income": rng.normal(size=n),
        "smokes": rng.random(n) < 0.3,
    })  # fmt: skip


def test_what_follows_is_found_and_shown_and_saved():
    codec = Codec.infer(people())
    assert {(r.column, r.of) for r in codec.rules} == {("country", "city"), ("years", "school")}
    assert "years follows from school" in codec.table()
    again = Codec.from_dict(json.loads(json.dumps(codec.to_dict())))
    assert again == codec


def test_one_exception_is_no_rule_and_neither_is_the_word_of_the_user():
    frame = people()
    frame.loc[590, "country"] = "FR" if frame.loc[590, "country"] != "FR" else "DE"
    assert [r.column for r in Codec.infer(frame).rules] == ["years"]
    said = parse_overrides({"columns": {"years": {"low": 0}}})
    assert [r.column for r in Codec.infer(people(), said).rules] == ["country", "school"]


def test_values_of_one_row_are_no_evidence():
    kinds = [f"k{j}" for j in range(20)]
    frame = pd.DataFrame(
        {"a": ["x"] * 300 + ["y"] * 280 + kinds, "b": [0] * 580 + list(range(20))}
    )
    parts = {name: np.zeros((600, 1)) for name in frame}
    assert find_rules(frame, parts, ()) == ()


@given(seed=st.integers(0, 200))
def test_independent_columns_have_no_rules(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {k: rng.integers(0, 2 + j, 200).astype(str) for j, k in enumerate("abcd")}
    )
    assert Codec.infer(frame).rules == ()


def test_points_are_moved_to_what_follows_and_encoded_rows_stay_as_they_are():
    frame = people()
    codec = Codec.infer(frame)
    points = codec.encode(frame)
    assert torch.equal(codec.snap(points), points)
    mixed = points.clone()
    for name in ("country", "years"):
        places = codec.places(name)
        mixed[:, places] = points[:, places].flip(0)
    assert not torch.equal(mixed, points)
    assert torch.equal(codec.snap(mixed), points)


@pytest.mark.parametrize("where", [None, "years>10", "country=FR"])
def test_new_rows_obey_the_rules_and_the_conditions(where):
    frame = people()
    model = ProximalGenerator(random_state=0).fit(frame)
    if where is None:
        rows = model.sample(400)
    else:
        from wasserscore.experiment.conditions import parse_where
        from wasserscore.experiment.where import sample_where

        conditions = parse_where(where, model.model_.layout)
        rows = model.model_.layout.frame(sample_where(model.model_, 60, conditions, seed=1))
    assert (rows["country"] == rows["city"].map(CITIES)).all()
    years = rows["school"].map(YEARS)
    assert ((rows["years"] == years) | (rows["years"].isna() & years.isna())).all()
    if where == "years>10":
        assert (rows["years"] > 10).all()
    if where == "country=FR":
        assert set(rows["country"]) == {"FR"}
