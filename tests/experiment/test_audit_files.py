import html
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from wasserscore.core.errors import InputError
from wasserscore.data import load
from wasserscore.experiment.alike import rows_like
from wasserscore.experiment.audit_files import audit_files, numbers, read_rules
from wasserscore.experiment.audit_sides import read_sides
from wasserscore.experiment.copies import copy_rate
from wasserscore.experiment.sections import data_section, neighbours_section


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Real, held-out, fresh and copied tables; one column has a thousand times the scale."""
    folder, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(0)
    draw = lambda: pd.DataFrame(rng.standard_normal((120, 3)) * [1, 1000, 1], columns=list("abc"))
    real, holdout, fresh = draw(), draw(), draw()
    tables = {"real": real, "holdout": holdout, "fresh": fresh, "copied": real.iloc[::-1],
              "swapped": real[["c", "a", "b"]]}  # fmt: skip
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def audit(files, name, holdout="holdout.csv"):
    return audit_files(
        str(files / "real.csv"), str(files / name), holdout and str(files / holdout)
    )


def test_copies_are_found_and_fresh_rows_are_not(files):
    copied = audit(files, "copied.csv")
    assert copied.verdict == "memorized"
    assert numbers(copied)["copies"] == numbers(copied)["near_copies"] == 1.0
    assert numbers(copied)["flagged"] == 1.0
    fresh = audit(files, "fresh.csv")
    assert numbers(fresh)["copies"] == 0.0
    assert numbers(fresh)["flagged"] == 0.0


def test_columns_are_matched_by_name(files):
    assert numbers(audit(files, "swapped.csv"))["copies"] == 1.0


def test_columns_count_alike_whatever_their_units(files, tmp_path):
    """Changing the unit of a column changes nothing that is counted."""
    for name in ("real", "fresh", "holdout"):
        table = pd.read_csv(files / f"{name}.csv")
        table.assign(b=table["b"] / 2**20).to_csv(tmp_path / f"{name}.csv", index=False)
    one, other = audit(files, "fresh.csv"), audit(tmp_path, "fresh.csv")
    assert numbers(one) == numbers(other)
    assert one.nearest_distance.value == pytest.approx(other.nearest_distance.value, rel=1e-9)


def test_without_a_hold_out_nothing_is_judged(files):
    report = audit(files, "fresh.csv", None)
    assert report.verdict == "not judged: no hold-out"
    found = numbers(report)
    assert found["flagged"] is None
    assert found["excess_near_copies"] is None
    assert read_rules(["flagged>0"])[0].broken_by(found)


def test_tables_that_do_not_fit_are_refused(files, tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]}).to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(InputError, match="must have the columns of real, got no 'c'"):
        audit_files(str(files / "real.csv"), str(tmp_path / "two.csv"))


def test_copies_are_recognised_through_rounding_but_not_beyond(files, tmp_path):
    """A text file with eight digits keeps its copies; noise of a thousandth makes near-copies."""
    real = pd.read_csv(files / "real.csv")
    real.to_csv(tmp_path / "short.csv", index=False, float_format="%.8g")
    noise = np.random.default_rng(1).standard_normal(real.shape) * real.std().to_numpy() * 1e-3
    (real + noise).to_csv(tmp_path / "noisy.csv", index=False)
    found = {
        name: numbers(audit_files(str(files / "real.csv"), str(tmp_path / f"{name}.csv")))
        for name in ("short", "noisy")
    }
    assert found["short"]["copies"] == 1.0
    assert found["noisy"]["copies"] == 0.0
    assert found["noisy"]["near_copies"] == 1.0


def test_copies_alone_are_counted_as_the_audit_counts_them(files, tmp_path):
    real, fresh = (pd.read_csv(files / f"{name}.csv") for name in ("real", "fresh"))
    pd.concat([real[:50].round(7), fresh]).to_csv(tmp_path / "some.csv", index=False)
    sides = read_sides(str(files / "real.csv"), str(tmp_path / "some.csv"))
    alone = copy_rate(sides.train, sides.generated)
    assert alone == sides.audit().exact_rate
    assert (alone.value, alone.n) == (50 / 170, 170)


def test_a_folder_gets_the_page_and_the_numbers(files, tmp_path):
    out = tmp_path / "new" / "audit"
    report = audit_files(
        str(files / "real.csv"), str(files / "copied.csv"), str(files / "holdout.csv"), out=out
    )
    found = json.loads((out / "audit.json").read_text())
    assert found["audit"] == report.to_dict()
    first = found["neighbours"]
    assert first["samples"] == first["nearest"]  # copies, matched across two unlike scales
    assert first["distances"] == [0.0] * 12
    assert report.sentence in html.unescape((out / "audit.html").read_text())


def test_neighbours_are_those_the_audit_found(files):
    """One column has a thousand times the scale: in data units other rows would be nearest."""
    real, fresh = load(str(files / "real.csv")), load(str(files / "fresh.csv"))
    report = audit(files, "fresh.csv")
    found = neighbours_section(fresh.points, real, report.suspects, count=5)
    spread = real.points.std(0, unbiased=False)
    columns = (found[key] for key in ("rows", "samples", "nearest", "distances"))
    for row, sample, near, distance in zip(*columns, strict=True):
        assert sample == fresh.points[row].tolist()
        gaps = ((fresh.points[row] - real.points) / spread).norm(dim=1)
        assert near == real.points[int(gaps.argmin())].tolist()
        assert distance == pytest.approx(float(gaps.min()), rel=1e-9)


def table_of(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n, 3)), columns=["height", "weight", "bmi"])


def test_columns_with_other_names_are_not_matched_by_their_place(tmp_path):
    real, kept = table_of(60, 0), table_of(60, 1)
    real.to_csv(tmp_path / "real.csv", index=False)
    kept.assign(more=1.5 * kept.bmi).to_csv(tmp_path / "kept.csv", index=False)
    copy = real[["bmi", "height", "weight"]].rename(columns={"bmi": "BMI"})
    copy.to_csv(tmp_path / "copy.csv", index=False)
    known = load(tmp_path / "real.csv")
    with pytest.raises(InputError, match="must have the columns of real, got no 'bmi'"):
        rows_like(known, str(tmp_path / "copy.csv"))
    fresh = rows_like(known, str(tmp_path / "kept.csv"))
    assert fresh.points.numpy() == pytest.approx(kept.to_numpy())
    assert "'more' that real has not" in fresh.notes[0]
    copy.to_csv(tmp_path / "bare.csv", index=False, header=False)  # by place: there is no name
    assert rows_like(known, str(tmp_path / "bare.csv")).points.numpy() == pytest.approx(
        copy.to_numpy()
    )


def test_a_column_that_is_written_otherwise_is_refused(tmp_path):
    zips = [f"{i % 7:05}" for i in range(60)]
    real = table_of(60, 0).assign(zip=zips)
    real.to_csv(tmp_path / "real.csv", index=False)
    real.assign(zip=[int(z) for z in zips]).to_csv(tmp_path / "copy.csv", index=False)
    few = [f"x{z}" if i < 20 else z for i, z in enumerate(zips)]
    real.assign(zip=few).to_csv(tmp_path / "few.csv", index=False)
    known = load(tmp_path / "real.csv")
    with pytest.raises(InputError, match=r"most cells of column 'zip'.*60 of 60.*leading zeros"):
        rows_like(known, str(tmp_path / "copy.csv"))
    assert "20 of 60 cells of 'zip'" in rows_like(known, str(tmp_path / "few.csv")).notes[0]


def test_a_cell_that_has_no_place_is_refused_by_file_column_and_cell(tmp_path):
    days = pd.Series(pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d"))
    real = table_of(60, 0).assign(name=["a", "b"] * 30, day=days)
    real.to_csv(tmp_path / "real.csv", index=False)
    known, other = load(tmp_path / "real.csv"), tmp_path / "other.csv"
    real.assign(bmi=real.bmi.where(real.index != 7)).to_csv(other, index=False)
    with pytest.raises(InputError, match=r"other.csv: .*'bmi' must not be missing.*row 7; fill"):
        rows_like(known, str(other))
    real.assign(day=days.where(real.index != 7, "soon")).to_csv(other, index=False)
    with pytest.raises(InputError, match=r"other.csv: .*'day' must read %Y-%m-%d, got 'soon'"):
        rows_like(known, str(other))


def test_a_hold_out_of_training_rows_is_told_once(tmp_path):
    real = table_of(60, 0)
    real.to_csv(tmp_path / "real.csv", index=False)
    for share, said in ((20, False), (40, True)):
        mixed = pd.concat([real[:share], table_of(60 - share, 1)])
        mixed.to_csv(tmp_path / "kept.csv", index=False)
        sides = read_sides(*(str(tmp_path / f"{f}.csv") for f in ("real", "real", "kept")))
        sentence = sides.audit().sentence
        assert ("67% of the held-out rows are training rows" in sentence) == said
        assert sides.notes == ()


def test_levels_that_look_like_numbers_are_noted(tmp_path):
    table_of(60, 0).assign(tax=[f"{i % 3} %" for i in range(60)]).to_csv(tmp_path / "r.csv")
    (note,) = read_sides(str(tmp_path / "r.csv"), str(tmp_path / "r.csv")).notes[1:]
    assert "column 'tax' looks like numbers" in note
    known = load(tmp_path / "r.csv")
    assert data_section(known, known, known)["notes"] == [note]


def test_identical_files_conclude_nothing(files):
    real, fresh = (str(files / f"{name}.csv") for name in ("real", "fresh"))
    sides = read_sides(real, fresh, real)
    report = sides.audit()
    assert report.verdict == "not judged: the hold-out is training rows"
    found = numbers(report)
    assert found["flagged"] is found["excess_near_copies"] is None
    assert read_rules(["flagged>0"])[0].broken_by(found)


def test_a_column_in_other_units_is_named(files, tmp_path):
    fresh = pd.read_csv(files / "fresh.csv").assign(c=lambda t: t["c"] + 50)
    fresh.to_csv(tmp_path / "fresh.csv", index=False)
    real = pd.read_csv(files / "real.csv").assign(c=lambda t: t["c"] + 5000)
    real.to_csv(tmp_path / "real.csv", index=False)
    real.assign(k=["x", "y"] * 60).to_csv(tmp_path / "mixed.csv", index=False)
    fresh.assign(k="x").to_csv(tmp_path / "new.csv", index=False)
    for known, new in (("real", "fresh"), ("mixed", "new")):
        (note,) = read_sides(str(tmp_path / f"{known}.csv"), str(tmp_path / f"{new}.csv")).notes
        assert note.startswith("most values of 'c' in ")
        assert f"lie below those of {known}: are they in the same units?" in note
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 3))
    np.save(tmp_path / "a.npy", images.astype(np.uint8))
    np.save(tmp_path / "b.npy", images / 127.5 - 1)
    for sides in (("a", "b"), ("a", "a", "b")):
        (note,) = read_sides(*(str(tmp_path / f"{name}.npy") for name in sides)).notes
        assert note.startswith("the pixels of ")
        assert "b.npy lie apart from those of a: are grey levels counted alike?" in note


def test_names_of_training_rows_among_generated_ones_are_noted(tmp_path):
    real = table_of(60, 0).assign(who=[f"P{i}" for i in range(60)], number=range(60))
    real.to_csv(tmp_path / "real.csv", index=False)
    new = table_of(60, 1).assign(who=[f"P{i}" for i in range(55, 115)], number=range(60))
    new.to_csv(tmp_path / "new.csv", index=False)
    sides = read_sides(str(tmp_path / "real.csv"), str(tmp_path / "new.csv"))
    (note,) = (note for note in sides.notes if "generated rows must name nobody" in note)
    assert "5 rows of " in note
    assert "have the 'who' of a row of" in note
    assert "such as 'P55'" in note
    new.assign(who="x").to_csv(tmp_path / "new.csv", index=False)
    sides = read_sides(str(tmp_path / "real.csv"), str(tmp_path / "new.csv"))
    assert not any("must name nobody" in note for note in sides.notes)


def test_a_run_brings_its_own_two_sides(finished, table, tmp_path):
    """As two files of the same rows; a hold-out that is named takes the place of the run's."""
    folder, _ = finished
    kept, rows = json.loads((folder / "split.json").read_text()), pd.read_csv(table)
    for part in ("train", "holdout"):
        rows.iloc[kept[part]].to_csv(tmp_path / f"{part}.csv", index=False)
    rows.iloc[kept["train"][:10]].to_csv(tmp_path / "new.csv", index=False)
    train, holdout, new = (str(tmp_path / f"{n}.csv") for n in ("train", "holdout", "new"))
    of_run, of_files = audit_files(str(folder), new), audit_files(train, new, holdout)
    assert of_run.judged
    assert numbers(of_run) == numbers(of_files)
    same = pytest.approx(of_files.nearest_distance_holdout.value, rel=1e-12)
    assert of_run.nearest_distance_holdout.value == same
    assert numbers(of_run)["copies"] == 1.0
    named = audit_files(str(folder), new, new)
    assert named.verdict != of_run.verdict
    with pytest.raises(InputError, match="a run has the schema that it was made with"):
        read_sides(str(folder), new, schema="any.toml")


def test_a_run_of_rows_on_disk_is_refused_by_name(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    described = json.loads((folder / "config.json").read_text())
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_parquet(tmp_path / "part.parquet")
    described["config"]["source"] = f"{tmp_path}:a,b"
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="name these rows instead of the run"):
        read_sides(str(folder), str(tmp_path / "part.parquet"))


def test_images_are_compared_wherever_their_channels_are(tmp_path):
    first = np.random.default_rng(0).random((20, 3, 6, 7))
    images = {"first": first, "last": np.moveaxis(first, 1, -1), "grey": first[:, 0],
              "one": first[:, :1], "turned": np.swapaxes(first, 2, 3)}  # fmt: skip
    for name, array in images.items():
        np.save(tmp_path / f"{name}.npy", array)
    path = lambda name: str(tmp_path / f"{name}.npy")
    for known, other in (("first", "last"), ("last", "first"), ("grey", "one"), ("one", "grey")):
        rows = load(path(known))
        assert np.array_equal(rows_like(rows, path(other)).points, rows.points)
    for known in ("first", "last"):
        with pytest.raises(InputError, match=r"size of those in .* got \(3, 7, 6\)"):
            rows_like(load(path(known)), path("turned"))
