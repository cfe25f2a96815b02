"""Rows on disk against the same rows in memory."""

import errno
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import Mapped, Scaling, moments

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

PICTURES = np.random.default_rng(0).normal(3, 2, size=(50, 1, 4, 4)).astype(np.float32)
TABLE = np.random.default_rng(1).normal(size=(41, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("mapped")
    pictures = datasets.Dataset.from_dict({"image": PICTURES, "label": list(range(50))})
    pictures.save_to_disk(root / "saved", num_shards=2)
    for k, rows in enumerate((slice(0, 20), slice(20, 41))):
        columns = {name: TABLE[rows, j] for j, name in enumerate("abc")}
        (root / "parquet").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), root / "parquet" / f"{k}.parquet")
    return root


def pictures(folder):
    return Mapped.open(folder / "saved", "image")


def table(folder):
    return Mapped.open(folder / "parquet", cache=folder / "cache").to(torch.float64)


def test_rows_are_those_in_memory_to_the_last_bit(folder):
    rows = torch.tensor([49, 0, 7, 7, 26])
    data = pictures(folder)
    assert (data.shape, len(data), data[rows].dtype) == ((50, 1, 4, 4), 50, torch.float32)
    assert torch.equal(data[rows], torch.from_numpy(PICTURES)[rows])
    assert torch.equal(data[slice(3, 9)], torch.from_numpy(PICTURES)[3:9])
    assert torch.equal(table(folder)[rows % 41], torch.from_numpy(TABLE)[rows % 41])
    some = Mapped.open(folder / "parquet", ["c", "a"], cache=folder / "cache").to(torch.float64)
    assert torch.equal(some[rows % 41], torch.from_numpy(TABLE[:, [2, 0]])[rows % 41])


def test_arrays_and_integers_are_numbers_too(tmp_path):
    shape = datasets.Features({"grey": datasets.Array2D((2, 3), "uint8")})
    grey = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)
    datasets.Dataset.from_dict({"grey": list(grey)}, features=shape).save_to_disk(tmp_path)
    rows = torch.tensor([4, 1])
    assert torch.equal(Mapped.open(tmp_path)[rows], torch.from_numpy(grey)[rows].float())


def test_files_of_arrow_are_mapped_in_order(folder):
    data = Mapped.open(folder / "saved" / "data-00000-of-00002.arrow", "image")
    assert torch.equal(data[slice(0, 25)], torch.from_numpy(PICTURES)[:25])


@pytest.mark.parametrize("kind", ["table", "image"])
@pytest.mark.parametrize("chunk", [7 * 3, 10**6])
def test_one_pass_measures_what_memory_would(folder, monkeypatch, kind, chunk):
    monkeypatch.setattr(moments, "CHUNK_NUMBERS", chunk)
    data, points = table(folder), torch.from_numpy(TABLE)
    mean, variance, square, low, high = data.moments
    assert torch.equal(torch.stack([low, high]), torch.stack([points.amin(0), points.amax(0)]))
    torch.testing.assert_close(mean, points.mean(0), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(variance, points.var(0, unbiased=False), rtol=1e-13, atol=0)
    assert square == pytest.approx(float(points.square().mean()), rel=1e-14)
    found, expected = data.fit_scaling(kind), Scaling.fit(points, kind)
    torch.testing.assert_close(found.scale, expected.scale, rtol=1e-13, atol=0)
    torch.testing.assert_close(data.scaled(expected)[torch.arange(5)], expected.apply(points[:5]))


@pytest.mark.parametrize(
    ("network", "labels"),
    [
        (ws.networks.MLP(16, 8, 1), None),
        (ws.networks.UNet((1, 4, 4), 4, (1,), 1, (), classes=2), torch.arange(50) % 2),
    ],
    ids=["plain", "labelled"],
)
def test_training_ends_with_the_weights_of_training_in_memory(folder, network, labels, tmp_path):
    points = torch.from_numpy(PICTURES)
    scaling = Scaling.scalar(points.double().flatten(1))
    data = pictures(folder).scaled(scaling)
    settings = {"steps": 5, "batch_size": 16, "scaling": scaling, "labels": labels, "seed": 3}
    process = ws.EDM(sigma_max=80.0)
    one = ws.train_score(network, scaling.apply(points.double()).float(), process, **settings)
    other = ws.train_score(network, data, process, **settings, out=tmp_path)
    assert one.data_std == other.data_std
    assert (one.shape, one.scaling) == (other.shape, other.scaling)
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
    again = ws.train_score(network, data, process, **settings, out=tmp_path)  # done: the same run
    assert torch.equal(next(again.network.parameters()), next(other.network.parameters()))
    moved = Mapped(data.table.select([0, *range(49, 0, -1)]), ("image",), scaling)
    with pytest.raises(InputError, match="data_sha256"):
        ws.train_score(network, moved, process, **settings, out=tmp_path)


@pytest.mark.parametrize(
    ("rows", "columns", "match"),
    [
        ({"a": [1.0, None], "b": [1.0, 2.0]}, None, "every cell, got NaN or infinity in rows 0"),
        ({"a": ["x", "y"]}, None, "must hold numbers, lists of one shape, or images, got string"),
        ({"a": [[1.0], [1.0, 2.0]]}, None, "column 'a' must hold numbers, lists of"),
        ({"a": [[[1.0]], [[1.0, 2.0]]]}, None, "lists of several lengths; choose other columns="),
        ({"a": [[1.0], None]}, None, "lists of several lengths"),
        ({"a": [1, -(2**53) - 1]}, None, "must hold numbers, .* integers from 2\\^53 on"),
        ({"a": [[1.0], [2.0]], "b": [1.0, 2.0]}, None, "one column of arrays, or several"),
        ({"a": [1.0, 2.0]}, "z", r"columns must be in the file, got \['z'\]; choose from a"),
        ({"a": [1.0]}, None, "at least 2 rows, got 1"),
    ],
)  # fmt: skip
def test_what_is_not_points_is_refused(rows, columns, match, tmp_path):
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path)
    with pytest.raises(InputError, match=match):
        _ = Mapped.open(tmp_path, columns).moments


def written(folder, damage):
    """Two files of rows, one of them damaged."""
    frame = pd.DataFrame({"a": range(50), "b": range(50)})
    if damage == "no json":
        datasets.Dataset.from_pandas(frame).save_to_disk(folder)
        (folder / "state.json").write_text("{")
    elif damage == "no arrow":
        (folder / "0.arrow").write_bytes(b"junk" * 100)
    else:
        frame.to_parquet(folder / "0.parquet")
        other = frame.rename(columns={"a": "z"}) if damage == "other columns" else frame[:0]
        other.to_parquet(folder / "1.parquet")
        if damage == "cut":
            whole = (folder / "0.parquet").read_bytes()
            (folder / "1.parquet").write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("cut", "Parquet magic bytes not found"),
        ("other columns", "cast z: int64"),
        ("no json", "Expecting property name"),
        ("no arrow", "Expected to read"),
    ],
)
def test_damaged_files_are_refused_with_the_reason(damage, reason, tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    written(folder, damage)
    with pytest.raises(InputError, match=f"rows cannot be read, got .*{reason}") as caught:
        Mapped.open(folder, cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [errno.EACCES, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_is_no_damaged_file(kind, tmp_path, monkeypatch):
    written(tmp_path, "none")
    trouble = OSError(kind, os.strerror(kind), "/home/me/.cache")

    def refuse(*given, **how):
        raise RuntimeError("An error occurred while generating the dataset") from trouble

    monkeypatch.setattr(datasets.Dataset, "from_parquet", refuse)
    with pytest.raises(InputError, match=rf"{os.strerror(kind)}.*; set HF_HOME to a folder with"):
        Mapped.open(tmp_path)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(InputError, match="there must be Arrow or Parquet files"):
        Mapped.open(tmp_path)
    scaling = Scaling(torch.zeros(1), torch.ones(()))
    data = Mapped(datasets.Dataset.from_dict({"a": [1.0, 2.0]}), ("a",)).scaled(scaling)
    with pytest.raises(InputError, match="rows are scaled once"):
        data.scaled(scaling)


def test_the_scaling_is_that_of_the_file_however_far_from_zero():
    """Rows come out in float32, in which numbers near 1e8 are 8 apart."""
    far = TABLE + 1e8
    data = Mapped(datasets.Dataset.from_dict(dict(zip("abc", far.T, strict=True))), tuple("abc"))
    for kind in ("table", "vectors"):
        found, known = data.fit_scaling(kind), Scaling.fit(torch.from_numpy(far), kind)
        torch.testing.assert_close(found.shift - 1e8, known.shift - 1e8, rtol=0, atol=1e-7)
        torch.testing.assert_close(found.scale, known.scale, rtol=1e-7, atol=0)
    low = data.layout("rows", "here").low
    assert torch.equal(low, torch.from_numpy(far.min(0)))
    scaled = data.scaled(Scaling.fit(torch.from_numpy(far), "table"))
    wanted = torch.from_numpy((TABLE - TABLE.mean(0)) / TABLE.std(0))
    found = scaled[torch.arange(len(TABLE))].double()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
