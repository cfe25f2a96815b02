"""A table with text on the command line: fit, sample under a condition, audit."""

import json

import pytest
from tests.cli.test_main import call
from tests.experiment import mixed

from wasserscore.data import read_frame, read_overrides, write_frame


def test_from_a_csv_file_to_rows_and_their_audit(tmp_path):
    for name, seed in (("real", 0), ("holdout", 1)):
        write_frame(tmp_path / f"{name}.csv", mixed.frame(seed=seed))
    (tmp_path / "s.toml").write_text("[columns.age]\nkind = 'bounded'\nlow = 0\n")
    real, holdout, run = (tmp_path / name for name in ("real.csv", "holdout.csv", "run"))
    fitted = call("fit", real, "--out", run, "--models", "proximal",
                  "--schema", tmp_path / "s.toml")  # fmt: skip
    assert fitted.exit_code == 0, fitted.output
    assert "one unit of distance" in fitted.stdout
    assert "bounded" in fitted.stdout
    assert len(json.loads((run / "split.json").read_text())["holdout"]) == 40
    made = call("sample", run, "-n", 30, "--where", "sex=F,age>40", "--out", tmp_path / "new.csv")
    assert made.exit_code == 0, made.output
    rows = read_frame(tmp_path / "new.csv")
    assert rows.columns.tolist() == mixed.frame().columns.tolist()
    assert (rows["sex"] == "F").all()
    assert (rows["age"] > 40).all()
    refused = call("sample", run, "--where", "sex=X", "--out", tmp_path / "x.csv")
    assert refused.exit_code == 2
    assert "has no such level" in refused.stderr
    audited = call("audit", real, tmp_path / "new.csv", "--holdout", holdout)
    assert audited.exit_code == 0, audited.output
    assert "identifier column 'id' takes no part in distances" in audited.stdout
    given = ("audit", real, tmp_path / "new.csv", "--holdout", holdout, "--target")
    assert "Predicting sex in" in call(*given, "sex").stdout
    refused = call(*given, "id")
    assert refused.exit_code == 2
    assert "choose one of age, sex, city, income, day" in refused.stderr
    found = json.loads(call("audit", real, real, "--json").stdout)
    assert found["exact_rate"]["value"] == 1.0
    assert found["notes"][0] == "identifier column 'id' takes no part in distances"
    assert "80 rows of " in found["notes"][1]
    assert "generated rows must name nobody" in found["notes"][1]
    own = json.loads(call("audit", run, real, "--json").stdout)
    assert (own["n_train"], own["n_holdout"], own["exact_rate"]["value"]) == (40, 40, 0.5)
    assert "80 rows of " in own["notes"][1]  # identifiers of held-out rows name people, too
    missing = call("fit", real, "--out", tmp_path / "no", "--schema", tmp_path / "none.toml")
    assert missing.exit_code == 2
    assert "the schema none.toml cannot be read" in missing.stderr


def test_rows_flow_from_one_mixed_table_to_another(tmp_path):
    source = mixed.frame(60, seed=1).assign(sex="F", extra=1)
    source.loc[0, "city"] = "Ulm"
    target = mixed.frame(seed=0)
    write_frame(tmp_path / "a.csv", source.drop(columns="site"))
    write_frame(tmp_path / "b.csv", target)
    (tmp_path / "s.toml").write_text("[columns.age]\nkind = 'bounded'\nlow = 0\n")
    words = ("flow", tmp_path / "a.csv", tmp_path / "b.csv", "--steps", 40, "--schema",
             tmp_path / "s.toml")  # fmt: skip
    made = call(*words, "--out", tmp_path / "c.csv")
    assert made.exit_code == 0, made.output
    assert "are no level of b: 'Ulm'" in made.stdout
    assert "has a column 'extra' that b has not; left out" in made.stdout
    assert "has no column 'site', which takes no part" in made.stdout
    rows, there = (read_frame(tmp_path / f"{name}.csv") for name in "cb")
    assert rows.dtypes.to_dict() == there.dtypes.to_dict()
    assert rows["id"].tolist() == [f"row-{i}" for i in range(1, 61)]
    assert (rows["sex"] == "M").mean() == pytest.approx((there["sex"] == "M").mean(), abs=0.15)
    assert set(rows["city"].dropna()) <= set(there["city"].dropna())
    assert rows["income"].mean() == pytest.approx(there["income"].mean(), rel=0.1)
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["units"] == "units of the table's metric"
    assert record["notes"][0] == "identifier column 'id' takes no part in distances"
    drawn = call("flow", "normal", *words[2:], "--out", tmp_path / "d.csv", "-n", 12)
    assert drawn.exit_code == 0, drawn.output
    assert len(read_frame(tmp_path / "d.csv")) == 12
    refused = call("flow", "moons", *words[2:], "--out", tmp_path / "e.csv")
    assert refused.exit_code == 2
    assert "moons must be a table with the columns of b, got no table" in refused.stderr


def test_a_german_table_stays_german(tmp_path):
    """Semicolons, decimal commas and cp1252 go in and come out, and the audit reads both."""
    written = {"sep": ";", "decimal": ",", "encoding": "cp1252", "index": False}
    for name, seed in (("real", 0), ("holdout", 1)):
        mixed.frame(seed=seed).to_csv(tmp_path / f"{name}.csv", **written)
    (tmp_path / "s.toml").write_text("decimal = ','\nencoding = 'cp1252'\n")
    real, holdout, run, new = (tmp_path / name for name in ("real.csv", "holdout.csv", "run",
                                                            "new.csv"))  # fmt: skip
    schema = ("--schema", tmp_path / "s.toml")
    refused = call("fit", real, "--out", run, "--models", "proximal")
    assert refused.exit_code == 2
    assert "real.csv must be written in UTF-8" in refused.stderr
    fitted = call("fit", real, "--out", run, "--models", "proximal", *schema, "--order", "day")
    assert fitted.exit_code == 0, fitted.output
    assert call("sample", run, "-n", 60, "--out", new).exit_code == 0
    text = new.read_bytes().decode("cp1252")
    assert text.startswith("id;age;sex;city;income;day;site\n")
    assert "Köln" in text
    rows = read_frame(new, overrides=read_overrides(tmp_path / "s.toml"))
    assert rows.dtypes.to_dict() == mixed.frame().dtypes.to_dict()
    audited = call("audit", real, new, "--holdout", holdout, *schema)
    assert audited.exit_code == 0, audited.output
    assert "No sign of copying" in audited.stdout
