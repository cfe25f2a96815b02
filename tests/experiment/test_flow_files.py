"""Rows from one file to another: units, columns, constants, and the record beside them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.experiment import frames
from wasserscore.experiment.flow_files import flow_files, write_flow
from wasserscore.flow import Annealing, ScoreDifferenceFlow

QUICK = ScoreDifferenceFlow(Annealing(steps=20))


@pytest.fixture
def files(tmp_path):
    """A target in units a million apart with a constant column; a source in another order."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((120, 2))
    target = pd.DataFrame({"small": 1e-3 * z[:, 0] + 5, "flat": 7.0, "large": 1e3 * z[:, 1] - 2e3})
    source = pd.DataFrame({"large": 1e3 * rng.standard_normal(80), "flat": 0.0,
                           "small": 1e-3 * rng.standard_normal(80) + 4.995})  # fmt: skip
    target.to_csv(tmp_path / "target.csv", index=False)
    source.to_csv(tmp_path / "source.csv", index=False)
    return tmp_path


def test_a_table_moves_in_its_own_units(files):
    flown = flow_files(str(files / "source.csv"), str(files / "target.csv"), QUICK)
    rows = flown.rows.numpy()
    assert rows.shape == (80, 3)
    assert rows[:, 0].mean() == pytest.approx(5, abs=3e-4)
    assert rows[:, 2].mean() == pytest.approx(-2e3, abs=300)
    assert rows[:, 0].std() == pytest.approx(1e-3, rel=0.35)
    assert rows[:, 2].std() == pytest.approx(1e3, rel=0.35)
    assert set(rows[:, 1]) == {7.0}
    target = pd.read_csv(files / "target.csv").to_numpy()
    assert (rows >= target.min(0)).all()
    assert (rows <= target.max(0)).all()


def test_what_is_written(files):
    flown = flow_files("normal", str(files / "target.csv"), QUICK, n=30, seed=1)
    _, beside = write_flow(files / "out.csv", flown)
    written = pd.read_csv(files / "out.csv")
    assert list(written.columns) == ["small", "flat", "large"]
    assert len(written) == 30
    record = json.loads(beside.read_text())
    assert beside.name == "out.json"
    assert (record["source"], record["seed"], record["n"]) == ("normal", 1, 30)
    assert record["units"] == "standard deviations of the columns"
    assert len(record["history"]["fisher"]) == 20
    assert "self_interaction" in record["notes"][0]


@pytest.mark.parametrize(("name", "last"), [("run", "write_flow_page"), ("o.csv", "write_json")])
def test_a_full_disk_leaves_no_file(files, monkeypatch, name, last):
    def full(*_):
        raise OSError(28, "No space left on device")

    out = files / "new" / name
    flown = flow_files("normal", str(files / "target.csv"), QUICK, n=30, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(f"wasserscore.experiment.flow_files.{last}", full)
        with pytest.raises(OSError, match="No space"):
            write_flow(out, flown)
    assert not [path for path in (files / "new").rglob("*") if path.is_file()]
    assert all(path.is_file() for path in write_flow(out, flown))
    assert not list((files / "new").rglob("*.part"))


def test_images_keep_their_shape(tmp_path):
    images = np.random.default_rng(0).random((40, 3, 4))
    np.save(tmp_path / "images.npy", images)
    flown = flow_files("normal", str(tmp_path / "images.npy"), QUICK)
    write_flow(tmp_path / "out.npy", flown)
    found = np.load(tmp_path / "out.npy")
    assert found.shape == images.shape
    assert found.mean() == pytest.approx(images.mean(), abs=0.05)


def test_what_does_not_fit_is_refused(files):
    target = str(files / "target.csv")
    np.save(files / "narrow.npy", np.zeros((9, 2)) + np.arange(9)[:, None])
    with pytest.raises(InputError, match="must have the 3 columns"):
        flow_files(str(files / "narrow.npy"), target, QUICK)
    with pytest.raises(InputError, match="is for the source 'normal'"):
        flow_files(target, target, QUICK, n=5)


def test_a_folder_gets_a_page_and_an_animation(files):
    flown = flow_files("normal", str(files / "target.csv"), QUICK, n=30)
    found = write_flow(files / "run", flown)
    assert [path.name for path in found] == ["rows.csv", "flow.json", "flow.html", "flow.gif"]
    assert all(path.stat().st_size for path in found)
    assert "<h1>normal to target</h1>" in found[2].read_text()
    assert flown.motion.axes == ("small", "large")  # the flat column is left out
    assert flown.motion.captions[::20] == ("start", flown.motion.captions[-1])
    known = pd.read_csv(files / "target.csv").to_numpy()[:, [0, 2]]
    last = flown.motion.frames[-1] * known.std(0) + known.mean(0)
    last = last.clip(known.min(0), known.max(0))
    np.testing.assert_allclose(last, flown.rows[:, [0, 2]].numpy(), rtol=1e-9)


def test_many_columns_are_seen_along_the_principal_axes(tmp_path, monkeypatch):
    """Target: 9 and 4 times as wide along two diagonals; fewer frames and rows than there are."""
    monkeypatch.setattr(frames, "FRAMES", 6)
    monkeypatch.setattr(frames, "SHOWN", 50)
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    y = rng.standard_normal((120, 3)) * [9, 4, 1] @ axes.T
    np.save(tmp_path / "y.npy", y)
    flown = flow_files("normal", str(tmp_path / "y.npy"), QUICK, n=110)
    assert flown.motion.frames.shape == (5, 37, 2)  # start, 5, 10, 15, 20
    assert flown.motion.captions[1].startswith("5 of 20, bandwidth")
    assert flown.motion.axes[0] == "first principal axis of the target"
    spread = flown.motion.target.std(0)
    assert spread == pytest.approx([9, 4], rel=0.3)
    ends = flown.record.particles[::3] - torch.from_numpy(y[::3]).mean(0)
    along = np.abs(flown.motion.frames[-1])
    np.testing.assert_allclose(along, np.abs(ends.numpy() @ axes[:, :2]), atol=1.5)


def test_one_column_is_seen_as_a_distribution_function(tmp_path):
    np.save(tmp_path / "y.npy", np.array([[3.0], [1.0], [2.0]]))
    flown = flow_files("normal", str(tmp_path / "y.npy"), QUICK)
    assert flown.motion.target.tolist() == [[3, 1], [1, 0], [2, 0.5]]
    assert flown.motion.axes[1] == "rank"
    assert not flown.motion.same_scale
