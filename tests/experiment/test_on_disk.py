"""Fits to rows that stay on disk, against the same fit in memory."""

import numpy as np
import pytest
import torch

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import Mapped, Scaling, on_disk
from wasserscore.experiment.config import NetworkConfig, RunConfig
from wasserscore.experiment.models import train_network
from wasserscore.experiment.on_disk import fit_on_disk
from wasserscore.experiment.revisit import fitted

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
