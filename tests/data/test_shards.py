"""Images in shards as WebDataset has them, and images inside Arrow files."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import Mapped, load, load_labels
from wasserscore.network import UNet
from wasserscore.process import EDM

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()
PICTURES = np.random.default_rng(0).integers(0, 256, size=(10, 4, 8, 3), dtype=np.uint8)


def encoded(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def shard(path, rows, pictures=PICTURES):
    """Of every row a picture, its class and a caption."""
    with tarfile.open(path, "w") as tar:
        for k in rows:
            members = {"png": encoded(pictures[k]), "cls": b"%d" % (k % 3), "txt": b"a picture"}
            for end, content in members.items():
                member = tarfile.TarInfo(f"{k:06d}.{end}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path, monkeypatch):
    folder = tmp_path / "shards"
    folder.mkdir()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    shard(folder / "b-000001.tar", range(6, 10))
    shard(folder / "b-000000.tar", range(6))
    return folder


def test_pickles_in_shards_are_not_opened(shards):
    with tarfile.open(shards / "c.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("000000.pth"), io.BytesIO(b""))
    with pytest.raises(InputError, match=r"not be pickles, got \['000000.pth'\] in .*c.tar"):
        Mapped.open(shards)
    (shards / "c.tar").write_text("no tar at all" * 100)
    with pytest.raises(InputError, match=r"shards must be tar files, got .*c.tar"):
        Mapped.open(shards)


def test_a_shard_that_is_cut_between_two_entries_is_refused(shards):
    path = shards / "b-000001.tar"
    with tarfile.open(path) as tar:
        third = tar.getmembers()[2].offset
    path.write_bytes(path.read_bytes()[:third])
    with pytest.raises(InputError, match=r"whole, got the beginning of one in .*b-000001.tar"):
        Mapped.open(shards)


def test_pictures_of_shards_are_rows_on_disk(shards):
    data, whole = Mapped.open(shards), torch.from_numpy(PICTURES)
    rows = torch.tensor([9, 0, 7, 7])
    assert (data.columns, data.shape, data.kind) == (("png",), (10, 4, 8, 3), "image")
    assert torch.equal(data[rows], whole[rows].float())
    first = data.images()
    assert first.shape == (10, 3, 4, 8)
    assert torch.equal(first[rows], whole[rows].movedim(-1, 1).float())
    alone = Mapped.open(shards / "b-000001.tar")
    assert torch.equal(alone[slice(0, 4)], whole[6:].float())
    with pytest.raises(InputError, match="only images, unscaled, have channels to move"):
        first.images()


def test_their_classes_are_labels_in_the_same_order(shards):
    assert load_labels(f"{shards}:cls").tolist() == [k % 3 for k in range(10)]
    with pytest.raises(InputError, match=r"labels are one column.*name it after a colon: .*cls"):
        load_labels(shards)
    with pytest.raises(InputError, match="column 'txt' must hold numbers"):
        load_labels(f"{shards}:txt")


def test_a_row_without_a_class_is_named(shards):
    with tarfile.open(shards / "c.tar", "w") as tar:
        for k in range(7):
            for end, content in (("png", encoded(PICTURES[k])), ("cls", b"2"))[: 2 - (k == 6)]:
                member = tarfile.TarInfo(f"{k}.{end}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=r"c.tar:cls must have a class, got none in row 6"):
        load_labels(f"{shards}/c.tar:cls")


def test_a_network_of_images_trains_on_them(shards):
    data = Mapped.open(shards).images()
    data = data.scaled(data.fit_scaling("image"))
    network = UNet((3, 4, 8), 4, (1,), 1, (), classes=3)
    settings = {"labels": load_labels(f"{shards}:cls"), "steps": 3, "batch_size": 4}
    one, other = (
        ws.train_score(network, points, EDM(), **settings, data_std=1.0).network.last.weight
        for points in (data, data[slice(0, 10)])
    )
    assert torch.equal(one, other)


def test_they_are_not_read_into_memory(shards):
    with pytest.raises(InputError, match="files of rows on disk are not read into memory"):
        load(shards)


def test_grey_pictures_in_arrow_files_have_no_channels_until_asked(tmp_path):
    grey = PICTURES[..., 0]
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [{"bytes": encoded(x), "path": None} for x in grey], "label": [0] * 10}
    datasets.Dataset.from_dict(rows, features=kinds).save_to_disk(tmp_path)
    data = Mapped.open(tmp_path)
    assert (data.columns, data.shape) == (("image",), (10, 4, 8))
    assert torch.equal(data.images()[slice(0, 10)][:, 0], torch.from_numpy(grey).float())


FILES = [encoded(picture) for picture in PICTURES]
STRUCTS = [{"bytes": file, "path": f"{k}.png"} for k, file in enumerate(FILES)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(STRUCTS, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        pa.array(STRUCTS, pa.struct({"path": pa.string(), "bytes": pa.binary()})),
        pa.array(STRUCTS, pa.struct({"bytes": pa.large_binary(), "path": pa.large_string()})),
        pa.array([{"bytes": file, "path": None} for file in FILES]),
        pa.array(FILES, pa.binary()),
        pa.array(FILES, pa.large_binary()),
        pa.array(PICTURES.tolist(), pa.large_list(pa.large_list(pa.large_list(pa.uint8())))),
    ],
    ids=lambda column: str(column.type),
)
def test_pictures_in_parquet_files_whoever_wrote_them(column, tmp_path):
    pq.write_table(pa.table({"image": column}), tmp_path / "a.parquet")
    data = Mapped.open(tmp_path, "image", cache=tmp_path / "cache")
    for rows in (slice(3, 9), torch.tensor([7, 0, 7])):
        assert np.array_equal(data[rows].numpy(), PICTURES[rows])


def test_a_row_without_a_picture_is_said(tmp_path):
    rows = [*STRUCTS[:6], {"bytes": None, "path": "6.png"}]
    pq.write_table(pa.table({"image": pa.array(rows)}), tmp_path / "a.parquet")
    data = Mapped.open(tmp_path, "image", cache=tmp_path / "cache")
    with pytest.raises(InputError, match=r"column 'image' must hold .* got a row without one"):
        data[slice(0, 7)]


def test_pictures_that_are_no_rows_are_refused(shards, tmp_path):
    small = [*PICTURES[:6], PICTURES[6][:2], *PICTURES[7:]]
    shard(tmp_path / "sizes.tar", range(10), small)
    data = Mapped.open(tmp_path / "sizes.tar")
    with pytest.raises(InputError, match=r"images of several sizes, \[\(2, 8, 3\), \(4, 8, 3\)\]"):
        data[slice(0, 10)]
    deep = [x[..., 0].astype(np.uint16) if k == 6 else x[..., 0] for k, x in enumerate(PICTURES)]
    shard(tmp_path / "depths.tar", range(10), deep)
    with pytest.raises(InputError, match=r"images of several depths, \['uint16', 'uint8'\]"):
        Mapped.open(tmp_path / "depths.tar")[slice(0, 10)]
    clear = np.zeros((4, 8, 4), np.uint8)
    shard(tmp_path / "clear.tar", range(10), [clear] * 10)
    with pytest.raises(InputError, match="an image of column 'png' must be grey or RGB, got RGBA"):
        Mapped.open(tmp_path / "clear.tar")
