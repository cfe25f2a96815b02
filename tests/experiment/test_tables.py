"""A table with text, gaps and dates from file to rows of the same table, and its audit."""

import html
import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import wasserstein_distance
from tests.experiment import mixed, tiny

from wasserscore.core.errors import InputError
from wasserscore.data import Overrides, load, read_frame, write_frame
from wasserscore.experiment import run
from wasserscore.experiment.audit_files import numbers, write_page
from wasserscore.experiment.audit_sides import read_real, read_sides
from wasserscore.experiment.baselines import draw, fit_baseline
from wasserscore.experiment.model import Model
from wasserscore.experiment.models import fit_kernel_mixture
from wasserscore.experiment.run import start
from wasserscore.experiment.where import sample_where
from wasserscore.experiment.write import write_rows


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, seed in (("real", 0), ("holdout", 1), ("fresh", 2)):
        write_frame(folder / f"{name}.csv", mixed.frame(seed=seed))
    return folder


@pytest.fixture(scope="module")
def fitted(files):
    train = load(files / "real.csv")
    return train, fit_kernel_mixture(train, seed=0, method="columns")


def test_samples_are_rows_of_the_table(files, fitted, tmp_path):
    train, model = fitted
    points = model.sample(50, seed=1, steps=4)
    assert torch.equal(train.snap(points), points)
    for ending in ("csv", "csv.gz", "parquet"):
        write_rows(tmp_path / f"new.{ending}", points, model.layout)
        rows = read_frame(tmp_path / f"new.{ending}")
        real = read_frame(files / "real.csv")
        assert rows.columns.tolist() == real.columns.tolist()
        assert list(rows.dtypes) == list(real.dtypes)
        assert set(rows["city"].dropna()) <= {"Bonn", "Köln", "=1+1"}
        assert rows["city"].isna().any()
        assert rows["id"].tolist() == [f"row-{i}" for i in range(1, 51)]
        assert (rows["site"] == "<script>").all()
        assert rows["income"].between(real["income"].min(), real["income"].max()).all()
        assert ((rows["income"] * 100).round() / 100 == rows["income"]).all()
        train.codec.encode(rows)  # every cell may come
    assert "'=1+1" in (tmp_path / "new.csv").read_text()


def test_pieces_number_their_rows_on(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("wasserscore.experiment.write.CHUNK", 16)
    write_rows(tmp_path / "t.csv", fitted[1].sample(40, seed=0, steps=2), fitted[1].layout)
    assert read_frame(tmp_path / "t.csv")["id"].tolist() == [f"row-{i}" for i in range(1, 41)]


def test_a_saved_model_keeps_its_codec(fitted, tmp_path):
    _, model = fitted
    model.save(tmp_path)
    again = Model.load(tmp_path)
    assert again.layout.codec == model.layout.codec
    assert torch.equal(again.sample(5, seed=3, steps=3), model.sample(5, seed=3, steps=3))


def test_rows_of_a_model_have_no_cell_that_rows_have_not(fitted):
    _, model = fitted
    codec = model.layout.codec
    assert not any(codec.outside(model.sample(50, seed=1, steps=3)))
    loose = model.drawn(50, seed=1, steps=3)
    assert {name for row in codec.outside(loose) for name in row} == set(codec.names[1:-1])


def test_baselines_give_rows_as_well(fitted):
    train, _ = fitted
    points = draw(fit_baseline("gaussian", train, seed=0), 20, seed=0, purpose="gaussian")
    assert torch.equal(train.snap(points), points)


def test_copies_of_rows_are_found_through_a_csv_file(files, tmp_path):
    real = read_frame(files / "real.csv")
    shuffled = real.iloc[::-1].assign(id=[f"new-{i}" for i in range(len(real))])
    write_frame(tmp_path / "copied.csv", shuffled[[*real.columns[::-1]]])
    sides = read_sides(*(str(p) for p in (
        files / "real.csv", tmp_path / "copied.csv", files / "holdout.csv")))  # fmt: skip
    assert sides.notes == ("identifier column 'id' takes no part in distances",)
    report = sides.audit()
    assert report.verdict == "memorized"
    assert numbers(report)["copies"] == 1.0
    fresh = read_sides(*(str(files / f"{n}.csv") for n in ("real", "fresh", "holdout"))).audit()
    assert numbers(fresh)["copies"] == 0.0
    write_page(sides, report, tmp_path, sides.columns(target="sex"))
    found = json.loads((tmp_path / "audit.json").read_text())["table"]
    assert [c["distance"] for c in found["columns"]] == [c["floor"] for c in found["columns"]]
    useful = found["usefulness"]
    assert useful["target"] == "sex"
    assert useful["n_train"] == len(real)
    page = (tmp_path / "audit.html").read_text()
    pairs = json.loads((tmp_path / "audit.json").read_text())["neighbours"]
    first = ["", *map(str, shuffled.drop(columns="id").fillna("").iloc[pairs["rows"][0]])]
    assert pairs["cells"]["sample"][0] == pairs["cells"]["nearest training row"][0] == first
    pictures = tmp_path / "figures"
    assert [path.name for path in pictures.iterdir()] == ["marginals.png"]
    assert "Every column: generated rows over held-out rows" in page
    assert html.escape(useful["sentence"]) in page
    assert page.index("Column by column") < page.index("The numbers")


def test_what_does_not_fit_is_named(files, tmp_path):
    odd = mixed.frame(seed=3).drop(columns=["id"]).assign(extra=1)
    odd.loc[0, "city"] = "Rom"
    odd.loc[1, "age"] = 17  # out of range: placed where it belongs
    write_frame(tmp_path / "odd.csv", odd)
    sides = read_sides(str(files / "real.csv"), str(tmp_path / "odd.csv"))
    notes = " | ".join(sides.notes)
    assert "odd.csv has no column 'id', which takes no part" in notes
    assert "odd.csv has a column 'extra' that real has not; left out" in notes
    assert (
        f"1 of {len(odd)} cells of 'city' in {tmp_path / 'odd.csv'} are no level of real: 'Rom'"
        in notes
    )
    assert sides.audit().verdict == "not judged: no hold-out"
    assert sides.columns() is None
    with pytest.raises(InputError, match="a target needs held-out rows"):
        sides.real.require_target("sex")
    write_frame(tmp_path / "short.csv", odd.drop(columns=["age"]))
    with pytest.raises(InputError, match="must have the columns of real, got no 'age'"):
        read_sides(str(files / "real.csv"), str(tmp_path / "short.csv"))
    pd.DataFrame({"a": range(20), "b": 1.5}).to_csv(tmp_path / "numbers.csv", index=False)
    pd.DataFrame({"a": range(20), "b": "x"}).to_csv(tmp_path / "text.csv", index=False)
    with pytest.raises(InputError, match="must hold numbers in every column, as numbers, got 'b'"):
        read_sides(str(tmp_path / "numbers.csv"), str(tmp_path / "text.csv"))
    plain = read_real(*[str(tmp_path / "numbers.csv")] * 2)
    plain.require_target("a")
    with pytest.raises(
        InputError, match="target must be a column of numbers or of 2 to 20 levels, got 'b'"
    ):
        plain.require_target("b")
    with pytest.raises(InputError, match="a target needs a table in memory, got digits"):
        read_real("digits", "digits").require_target("a")


def test_cells_that_no_training_row_has_are_marked_in_the_pairs(files, tmp_path):
    """The page shows the nearest cell of real rows, and says that the file has another."""
    real, odd = read_frame(files / "real.csv"), read_frame(files / "fresh.csv")
    odd.loc[0, "age"], odd.loc[0, "city"], odd.loc[0, "income"] = 17, "Rom", 9e9
    odd.loc[1, "site"] = "elsewhere"
    write_frame(tmp_path / "odd.csv", odd[:2])
    sides = read_sides(str(files / "real.csv"), str(tmp_path / "odd.csv"))
    assert "has other cells than '<script>' in column 'site'" in " | ".join(sides.notes)
    write_page(sides, sides.audit(), tmp_path)
    pairs = json.loads((tmp_path / "audit.json").read_text())["neighbours"]
    first = pairs["rows"].index(0)
    assert pairs["outside"][first] == ["age", "city", "income"]
    assert pairs["outside"][1 - first] == []
    shown = str(real["age"].min())
    assert pairs["cells"]["sample"][first][1] == shown
    page = (tmp_path / "audit.html").read_text()
    assert page.count("≈ ") == 3
    assert f"≈ {shown}<" in page
    assert "≈: the sample has another value there" in page
    write_frame(tmp_path / "same.csv", real[:2])
    sides = read_sides(str(files / "real.csv"), str(tmp_path / "same.csv"))
    write_page(sides, sides.audit(), tmp_path)
    assert "≈" not in (tmp_path / "audit.html").read_text()


def test_a_table_of_numbers_has_a_section_on_its_columns(tmp_path):
    rng = np.random.default_rng(0)
    for name, shift in (("real", 0.0), ("fresh", 0.0), ("moved", 2.0)):
        x = rng.standard_normal(60)
        pd.DataFrame({"x": x + shift, "n": rng.integers(0, 30, 60), "y": x}).to_csv(
            tmp_path / f"{name}.csv", index=False)  # fmt: skip
    real, fresh, moved = (str(tmp_path / f"{name}.csv") for name in ("real", "fresh", "moved"))
    sides = read_sides(real, moved, fresh)
    assert sides.train.codec is None
    found = sides.columns(target="y")
    write_page(sides, sides.audit(), tmp_path / "page", found)
    assert [c["name"] for c in found["columns"]] == ["x", "n", "y"]
    unit = 2.0 ** sides.real.codec.columns[0].exponent
    x, y = (pd.read_csv(path)["x"] for path in (moved, fresh))
    assert found["columns"][0]["distance"] == pytest.approx(wasserstein_distance(x, y) / unit)
    assert found["usefulness"]["target"] == "y"
    page = (tmp_path / "page" / "audit.html").read_text()
    assert "Column by column" in page
    assert html.escape(found["usefulness"]["sentence"]) in page


def test_a_schema_goes_with_the_run(files, tmp_path):
    (tmp_path / "s.toml").write_text("[columns.age]\nkind = 'identifier'\n")
    sides = read_sides(str(files / "real.csv"), str(files / "fresh.csv"),
                       schema=str(tmp_path / "s.toml"))  # fmt: skip
    assert "identifier column 'age' takes no part in distances" in sides.notes
    frame = mixed.frame()[["age", "income"]]
    assert load(frame).kind == "table"
    assert load(frame, schema=Overrides()).kind == "mixed"


def test_how_rows_were_drawn_is_kept_with_them(files, tmp_path):
    journey = start(tiny.config(files / "real.csv", models=("proximal",)), tmp_path / "run")
    journey.fit()
    assert journey.drawn("proximal") == {"exact": True}
    stage = tmp_path / "run" / "stages" / "sample-proximal.json"
    stage.write_text('{"seconds": 1.0, "value": null}')  # of a folder from before it was said
    assert journey.drawn("proximal") == {"exact": False}


@pytest.mark.slow
def test_the_whole_journey_on_a_mixed_table(files, tmp_path):
    config = tiny.config(files / "real.csv", models=("empirical", "proximal"), curve=())
    results = run(config, tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert results["models"][0]["audit"]["verdict"] == "memorized"
    assert results["data"]["table"] == mixed.frame().columns.tolist()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "units of the table" in page
    assert "Column by column" in page
    assert (tmp_path / "run" / "figures" / "marginals-proximal.png").is_file()
    measured = np.load(tmp_path / "run" / "samples" / "proximal.npy")
    released = sample_where(Model.load(tmp_path / "run" / "models" / "proximal"), 40, (), seed=0)
    assert np.array_equal(measured, released)
    assert "rows are drawn exactly, no sampler" in page
    assert "The rows above were drawn without it." in page
    assert [c["name"] for c in results["models"][1]["table"]["columns"]] == [
        "age", "sex", "city", "income", "day"]  # fmt: skip
    useful = results["models"][1]["table"]["usefulness"]
    assert useful["target"] == "city"
    assert html.escape(useful["sentence"]) in page
