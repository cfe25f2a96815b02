"""Fits to rows that stay on disk, against the same fit in memory."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import wasserscore as ws
from wasserscore.audit import parts
from wasserscore.core.errors import InputError
from wasserscore.data import Mapped, Scaling, on_disk
from wasserscore.experiment import drawn
from wasserscore.experiment.audit_files import write_page
from wasserscore.experiment.audit_sides import read_real, read_sides
from wasserscore.experiment.config import NetworkConfig, RunConfig
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.drawn import rows_of
from wasserscore.experiment.models import train_network
from wasserscore.experiment.on_disk import fit_on_disk
from wasserscore.experiment.planning import plan_steps
from wasserscore.experiment.revisit import REFERENCES, certify_model, fitted

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

SMALL = NetworkConfig(width=16, depth=1, steps=6, batch_size=8)
TABLE = np.random.default_rng(1).normal(3, [1, 5, 0], size=(40, 3))
PICTURES = np.random.default_rng(0).normal(3, 2, size=(40, 2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("disk")
    columns = {name: TABLE[:, j] for j, name in enumerate("abc")}
    datasets.Dataset.from_dict(columns).save_to_disk(root / "table")
    pictures = {"image": PICTURES, "label": list(range(40))}
    datasets.Dataset.from_dict(pictures).save_to_disk(root / "pictures")
    return root


def config(source, **changes):
    return RunConfig(source=str(source), models=("network",), network=SMALL, **changes)


@pytest.mark.parametrize(("name", "kind"), [("table", "table"), ("pictures:image", "image")])
def test_the_fit_is_the_one_in_memory(folder, tmp_path, name, kind):
    points = torch.from_numpy(TABLE if kind == "table" else PICTURES)
    assert fit_on_disk(config(folder / name, seed=3), tmp_path) == 40
    _, model = fitted(tmp_path, None)
    scaling = Scaling.fit(points.flatten(1), kind)
    inside = scaling.apply(points)
    known = train_network(inside.float(), scaling, seed=3, **SMALL.model_dump(),
                          data_std=float(inside.square().mean().sqrt()))  # fmt: skip
    assert model.score.data_std == pytest.approx(known.data_std, rel=1e-12)
    x = inside[:4].float()
    torch.testing.assert_close(model.score(x, 0.5), known(x, 0.5), rtol=1e-5, atol=1e-6)
    rows = model.sample(30, seed=0, steps=3)
    assert model.layout.kind == kind
    flat = points.flatten(1)
    assert torch.equal(rows, rows.clamp(flat.amin(0), flat.amax(0)))
    assert rows.std(0)[0] > 0.1  # and not all at the edge


def test_names_of_files_on_disk(folder, tmp_path):
    assert on_disk(str(folder / "table")) == (folder / "table", None)
    assert on_disk(f"{folder / 'table'}:b,a") == (folder / "table", ["b", "a"])
    for other in ("digits", str(tmp_path), "no.npz:such", str(folder / "table" / "state.json")):
        assert on_disk(other) is None
    arrow = next((folder / "table").glob("*.arrow"))
    assert on_disk(str(arrow)) == (arrow, None)


def test_the_layout_knows_the_range(folder):
    layout = Mapped.open(folder / "pictures", "image").layout("pictures", "here")
    assert (layout.shape, layout.columns[4], layout.d) == ((2, 3), "pixel_1_1", 6)
    torch.testing.assert_close(layout.low, torch.from_numpy(PICTURES).flatten(1).amin(0), rtol=0,
                               atol=1e-6)  # fmt: skip
    assert Mapped.open(folder / "table").layout("t", "").columns == ("a", "b", "c")


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"models": ("empirical", "network")}, "network only, got empirical, network"),
     ({"group": "a"}, "all of them train, got --group"),
     ({"table_schema": "x.toml"}, "all of them train, got --schema")],
)  # fmt: skip
def test_what_needs_rows_in_memory_is_refused(folder, tmp_path, changes, match):
    wanted = config(folder / "table").model_copy(update=changes)
    with pytest.raises(InputError, match=match):
        fit_on_disk(wanted, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="not read into memory"):
        ws.data.load(folder / "table")


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    """Runs fitted to the pictures and to the table."""
    out = tmp_path_factory.mktemp("runs")
    for name in ("pictures:image", "table"):
        fit_on_disk(config(folder / name), out / name[:5])
    return out


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_certificate_is_the_one_in_memory(made, reference):
    found = certify_model(made / "pictu", None, reference=reference, steps=2, n=16, bandwidth=0.3)
    score = fitted(made / "pictu", None)[1].score
    points = score.scaling.apply(torch.from_numpy(PICTURES))
    law = {
        "smoothed": lambda: ws.EmpiricalScore(points, score.process, 0.3, scaling=score.scaling),
        "proximal": lambda: replace(
            ws.fit_proximal(points.flatten(1), score.process, seed=0, scaling=score.scaling),
            shape=(2, 3),
        ),
        "gaussian": lambda: ws.GaussianScore(
            points.flatten(1).mean(0), points.flatten(1).mT.cov(correction=0), score.process,
            shape=(2, 3), scaling=score.scaling,
        ),
    }[reference]()  # fmt: skip
    known = ws.certify(score, law, steps=2, n=16, seed=0)
    assert found.upper.value == pytest.approx(known.upper.value, rel=1e-9)
    assert found.reference == f"{known.reference} (all 40 rows of pictures)"


def test_of_many_rows_some_stand_for_the_reference(made, folder, monkeypatch):
    monkeypatch.setattr(drawn, "MOST_BYTES", 8 * 3 * 12)
    rows = rows_of(str(folder / "table"), seed=5)
    kept = [TABLE.tolist().index(row) for row in rows.points.tolist()]
    assert (len(set(kept)), kept == sorted(kept)) == (12, True)
    assert max(kept) > 12  # not the first ones
    assert not torch.equal(rows.points, rows_of(str(folder / "table"), seed=6).points)
    found = certify_model(made / "table", None, steps=2, n=16, seed=5, bandwidth=0.3)
    some = "12 of 40 rows of table, drawn with seed 5"
    assert found.reference.endswith(f"({some})")
    score = fitted(made / "table", None)[1].score
    law = ws.EmpiricalScore(score.scaling.apply(rows.points), score.process, 0.3,
                            scaling=score.scaling)  # fmt: skip
    known = ws.certify(score, law, steps=2, n=16, seed=5)
    assert found.upper.value == pytest.approx(known.upper.value, rel=1e-9)
    for source in (made / "table", folder / "table"):
        assert plan_steps(str(source), 4.0, seed=5, solver="euler").source.endswith(f"({some})")


def test_a_model_on_disk_has_a_plan_of_its_own(made, monkeypatch):
    def one(*given, **options):
        return ws.plan(*given, **options | {"grids": ("karras",), "curves": False})

    monkeypatch.setattr("wasserscore.experiment.planning.plan", one)
    found = plan_steps(str(made / "pictu"), 6.0, model="network", solver="euler")
    assert found.mode == "model"
    assert found.source == "moments of the reference (all 40 rows of pictures)"
    assert found.spread == pytest.approx(PICTURES.var(0).sum() ** 0.5, rel=1e-9)


@pytest.mark.parametrize("name", ["pictures:image", "table"])
def test_an_audit_searches_all_rows_on_disk(folder, tmp_path, name, monkeypatch):
    monkeypatch.setattr(parts, "PART_NUMBERS", 6 * 9)
    monkeypatch.setattr(drawn, "MOST_ROWS", 3)  # of the hold-out only
    rows = TABLE if name == "table" else PICTURES
    fake = np.random.default_rng(2).permuted(rows, axis=0)
    fake[[0, 4, 30]] = rows[[39, 2, 17]] + 1e-9 * rows.std(0)
    new = tmp_path / "new.parquet"
    if name == "table":
        pd.DataFrame(fake[:, [1, 0, 2]], columns=list("bac")).to_parquet(new)
    else:
        new = tmp_path / "new.npy"
        np.save(new, fake)
    sides = read_sides(str(folder / name), str(new), str(folder / name), seed=1)
    some = f"{folder / name}: 3 of 40 rows of {name[:8].strip(':')}, drawn with seed 1"
    assert sides.notes == (some,)
    report = sides.audit()
    whole = ws.data.Dataset.build(torch.from_numpy(rows), name="x", kind=sides.train.kind)
    known = audit_rows(whole, torch.from_numpy(fake).flatten(1), sides.real.holdout)
    found, same = report.to_dict(), known.to_dict()
    assert (report.exact_rate.value >= 3 / 40, report.exact_rate_holdout.value) == (True, 1)
    assert (report.n_train, report.n_holdout) == (40, 3)
    for key in ("exact_rate", "copy_rate", "nn_ratio", "authenticity", "p_copies", "verdict"):
        assert found[key] == same[key], key
    assert report.copy_distance == pytest.approx(known.copy_distance, rel=1e-12)
    write_page(sides, report, tmp_path / "page", sides.columns())
    page = json.loads((tmp_path / "page" / "audit.json").read_text())
    assert (page["data"]["n_train"], page["table"]) == (40, None)
    closest = np.reshape(page["neighbours"]["nearest"][0], -1)
    assert np.abs(rows.reshape(40, -1) - closest).sum(1).min() == 0


def test_an_audit_of_rows_on_disk_has_no_codec(folder, tmp_path):
    np.save(tmp_path / "new.npy", TABLE)
    (tmp_path / "schema.toml").write_text("")
    table, new = str(folder / "table"), str(tmp_path / "new.npy")
    with pytest.raises(InputError, match="a schema speaks of a table in memory"):
        read_sides(table, new, schema=str(tmp_path / "schema.toml"))
    with pytest.raises(InputError, match="a target needs a table in memory"):
        read_real(table, new).require_target("a")
    with pytest.raises(InputError, match="generated rows are read into memory"):
        read_sides(table, table)


def test_a_fit_of_rows_that_are_not_finite_is_free_for_the_repaired_ones(tmp_path):
    rows, source = TABLE.copy(), tmp_path / "table"
    rows[7, 1] = np.nan
    datasets.Dataset.from_dict({"a": rows[:, 0], "b": rows[:, 1]}).save_to_disk(source)
    with pytest.raises(InputError, match="must be finite in every cell"):
        fit_on_disk(config(source), tmp_path / "run")
    shutil.rmtree(source)
    datasets.Dataset.from_dict({"a": TABLE[:, 0], "b": TABLE[:, 1]}).save_to_disk(source)
    assert fit_on_disk(config(source), tmp_path / "run") == len(TABLE)


def test_rows_that_changed_are_refused(folder, tmp_path):
    shutil.copytree(folder / "table", tmp_path / "table")
    fit_on_disk(config(tmp_path / "table"), tmp_path / "run")
    shutil.rmtree(tmp_path / "table")
    datasets.Dataset.from_dict({"a": TABLE[:, 0]}).save_to_disk(tmp_path / "table")
    with pytest.raises(InputError, match="must be what the run was made with"):
        certify_model(tmp_path / "run", None)
