"""The hold-out of a run by a column of its table, which may be no part of the points."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.cli.test_main import call
from tests.experiment import tiny

from wasserscore.core.errors import InputError
from wasserscore.data import load, read_frame, write_frame
from wasserscore.experiment.holdout import divide, halves
from wasserscore.experiment.run import start


def visits(seed=0):
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, 15, 60)
    days = rng.permutation(np.repeat(np.arange(1, 21), 3))
    return pd.DataFrame({
        "patient": [f"P{i:02}" for i in patient],
        "day": [f"{d % 10 + 1:02}/{d // 10 + 1:02}/2024" for d in days],
        "stamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
        "year": 2000 + days,
        "site": "x",
        "sex": rng.choice(["F", "M"], 60),
        "gap": np.where(np.arange(60) == 7, np.nan, days),
        "weight": rng.standard_normal(60) + patient,
    })  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("visits") / "visits.parquet"
    write_frame(path, visits())
    return path


def divided(path, **given):
    data = load(path, schema=given.get("table_schema"))
    return divide(data, path, tiny.config(path, **given))


def test_rows_of_a_patient_are_on_one_side(table):
    train, holdout, how = divided(table, group="patient")
    patient = visits()["patient"]
    sides = [set(patient[rows.tolist()]) for rows in (train, holdout)]
    assert not sides[0] & sides[1]
    assert len(train) == len(holdout) > 20
    assert how.startswith(f"Split by 'patient': {len(sides[0])} of its values train, "
                          f"{len(sides[1])} are held out, none is on both sides")  # fmt: skip
    assert (len(train) < 30) == (f"{60 - 2 * len(train)} rows of the larger side" in how)
    assert not train.equal(divided(table, group="patient", seed=1).train)


def test_missing_cells_are_one_group(table):
    frame = visits()
    frame.loc[::4, "patient"] = None
    path = table.with_name("unknown.parquet")
    write_frame(path, frame)
    train, holdout, _ = divided(path, group="patient")
    gone = frame["patient"].isna()
    assert gone[train.tolist()].any() != gone[holdout.tolist()].any()


@pytest.mark.parametrize("column", ["day", "stamp", "year"])
def test_the_latest_rows_are_held_out(table, column, tmp_path):
    (tmp_path / "s.toml").write_text("[columns.day]\nkind = 'datetime'\ndate = '%d/%m/%Y'\n")
    train, holdout, how = divided(table, order=column, table_schema=str(tmp_path / "s.toml"))
    cells = visits()[column]
    moments = pd.to_datetime(cells, format="%d/%m/%Y") if column == "day" else cells
    assert moments[train.tolist()].max() < moments[holdout.tolist()].min()
    assert len(train) == len(holdout) == 30
    last = cells[moments[train.tolist()].idxmax()]
    assert f"training rows end with {last}, held-out rows begin with" in how


def test_dates_that_stand_for_none_are_said_to_be_among_the_latest(table):
    frame = visits().assign(day=visits()["stamp"].dt.strftime("%d/%m/%Y"))
    frame.loc[::6, "day"] = "31/12/9999"
    frame.loc[::6, "year"] = 9999
    path = table.with_name("never.parquet")
    write_frame(path, frame)
    for column, cell in (("day", "31/12/9999"), ("year", "9999")):
        train, _, how = divided(path, order=column)
        assert not (frame[column][train.tolist()].astype(str) == cell).any()
        assert f"; 10 rows of {cell}, far from all others, count as such" in how
    assert "far from" not in divided(table, order="year").how


def test_an_identifier_orders_too_and_numbers_need_no_codec(tmp_path):
    frame = visits()[["year", "weight"]]
    write_frame(tmp_path / "n.csv", frame)
    train, holdout, how = divided(tmp_path / "n.csv", order="year")
    assert frame["year"][train.tolist()].max() < frame["year"][holdout.tolist()].min()
    assert "end with 2010, held-out rows begin with 2011." in how
    frame = visits().assign(number=np.random.default_rng(0).permutation(60))
    write_frame(tmp_path / "i.csv", frame)
    assert load(tmp_path / "i.csv").codec.named("identifier") == ("number",)
    train, _, _ = divided(tmp_path / "i.csv", order="number")
    assert sorted(frame["number"][train.tolist()]) == list(range(30))


def test_without_a_column_the_split_is_what_it_was(table):
    train, holdout, how = divided(table, seed=4)
    assert how == "Split at random, row by row."
    for mine, known in zip((train, holdout), halves(load(table), 4), strict=True):
        assert mine.equal(known)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"group": "ward"}, "column that is not there, got 'ward'; choose one of patient, day"),
        ({"group": "site"}, "at least 2 groups, got 1"),
        ({"order": "site"}, "'site' must hold numbers or dates, got 'x'"),
        ({"order": "sex"}, "'sex' must hold numbers or dates, got '[FM]'; say in a schema"),
        ({"order": "gap"}, "order column 'gap' must have no missing cells, got 1"),
    ],
)
def test_what_cannot_be_split_is_refused_before_the_folder(table, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        start(tiny.config(table, **given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("given", "reads"), [({"order": "stamp"}, 0), ({"group": "patient"}, 1)])
def test_a_file_is_read_again_for_identifiers_only(table, tmp_path, monkeypatch, given, reads):
    asked = []
    monkeypatch.setattr("wasserscore.experiment.columns.read_frame",
                        lambda *a, **k: asked.append(a) or read_frame(*a, **k))  # fmt: skip
    (tmp_path / "s.toml").write_text("[columns.patient]\nkind = 'identifier'\n")
    made = start(tiny.config(table, table_schema=str(tmp_path / "s.toml"), **given),
                 tmp_path / "run")  # fmt: skip
    assert len(made.parts[0].points) > 10
    assert len(asked) == reads


def test_one_large_group_is_refused(tmp_path):
    write_frame(tmp_path / "t.csv", visits().assign(patient=["a"] * 50 + ["b"] * 10))
    with pytest.raises(InputError, match="by 'patient' must leave at least 12 rows on either side,"
                       " got 10"):  # fmt: skip
        divided(tmp_path / "t.csv", group="patient")


def test_the_command_line_splits_and_records(table, tmp_path):
    made = call("fit", table, "--out", tmp_path / "run", "--models", "empirical",
                "--order", "stamp")  # fmt: skip
    assert made.exit_code == 0, made.output
    record = json.loads((tmp_path / "run" / "split.json").read_text())
    assert record["how"] in " ".join(made.stdout.split())
    stamps = read_frame(table)["stamp"]
    assert stamps[record["train"]].max() < stamps[record["holdout"]].min()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["order"] == "stamp"
    both = call("run", table, "--out", tmp_path / "b", "--order", "stamp", "--group", "patient")
    assert both.exit_code == 2
    assert "split by group or by order, not by both" in " ".join(both.stderr.split())
