"""A table with text on the command line: fit, sample under a condition, audit."""

import json

from tests.cli.test_main import call
from tests.experiment import mixed

from wasserscore.data import read_frame, write_frame


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
    found = json.loads(call("audit", real, real, "--json").stdout)
    assert found["exact_rate"]["value"] == 1.0
    assert found["notes"] == ["identifier column 'id' takes no part in distances"]
    missing = call("fit", real, "--out", tmp_path / "no", "--schema", tmp_path / "none.toml")
    assert missing.exit_code == 2
    assert "the schema none.toml cannot be read" in missing.stderr
