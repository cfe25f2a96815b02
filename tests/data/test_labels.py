"""Classes in the order of the rows."""

import gzip

import numpy as np
import pytest
import torch
from PIL import Image

from wasserscore.core.errors import InputError
from wasserscore.data import load, load_labels

CLASSES = np.array([3, 0, 2, 2], dtype=np.uint8)


def test_files_of_labels(tmp_path):
    content = b"\0\0\x08\x01" + (4).to_bytes(4, "big") + CLASSES.tobytes()
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))
    (tmp_path / "LABELS-IDX1-UBYTE").write_bytes(content)
    np.savez(tmp_path / "cifar.npz", d=np.zeros((3, 4, 2, 2), np.uint8), y=CLASSES)
    np.savez(tmp_path / "own.npz", images=np.zeros((4, 2)), kind=CLASSES)
    np.save(tmp_path / "own.npy", CLASSES.astype(np.int32))
    np.save(tmp_path / "column.npy", CLASSES[:, None])
    for name in (
        "train-labels-idx1-ubyte.gz", "LABELS-IDX1-UBYTE", "cifar.npz", "own.npz:kind", "own.npy",
        "column.npy",
    ):  # fmt: skip
        found = load_labels(f"{tmp_path}/{name}")
        assert found.tolist() == [3, 0, 2, 2]
        assert found.dtype == torch.int64


def test_a_folder_per_class_goes_with_its_images(tmp_path):
    for k, (name, grey) in enumerate([("ant", 10), ("cat", 200), ("ant", 30), ("bee", 90)]):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("L", (2, 2), grey).save(tmp_path / name / f"{k}.jpg")
    points, labels = load(tmp_path).points, load_labels(tmp_path)
    assert labels.tolist() == [0, 0, 1, 2]
    torch.testing.assert_close(points[:, 0], torch.tensor([10.0, 30.0, 90.0, 200.0]).double(),
                               atol=2, rtol=0)  # fmt: skip


def test_images_beside_folders_of_them_are_no_classes(tmp_path):
    """One stray image made all folders go away, and every image of the class 0."""
    for k, name in enumerate(["ant/1.png", "bee/2.png", ".cache/3.png", "bee/._4.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (2, 2), k).save(tmp_path / name)
    assert load(tmp_path).n == 2
    assert load_labels(tmp_path).tolist() == [0, 1]
    with pytest.raises(InputError, match=r"folders of them, got images in 'ant' itself"):
        load_labels(tmp_path / "ant")
    Image.new("L", (2, 2)).save(tmp_path / "stray.png")
    for read in (load, load_labels):
        with pytest.raises(InputError, match=r"not both, got \['stray.png', 'ant/1.png'\]"):
            read(tmp_path)


@pytest.mark.parametrize("read", [load, load_labels])
@pytest.mark.parametrize(
    ("stray", "message"),
    [
        ("bee/9.webp", r"images of .* must be PNG or JPEG, got \['bee/9.webp'\]; convert"),
        ("9.TIF", r"must be PNG or JPEG, got \['9.TIF'\]"),
        ("bee/small/9.png", r"must lie in .* or in folders of it, got \['bee/small/9.png'\]"),
        ("bee/small/9.gif", r"got \['bee/small/9.gif'\]; name the folder .*, or move them"),
    ],
)
def test_no_image_is_left_out_in_silence(read, stray, message, tmp_path):
    """Of a training folder these would be rows that an audit never looks at."""
    for name in ("ant/1.png", "bee/2.png", "bee/.small/3.webp", stray):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for k, name in enumerate(("ant/1.png", "bee/2.png")):
        Image.new("L", (2, 2), k).save(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read(tmp_path)
    (tmp_path / stray).unlink()
    assert len(read(tmp_path).points if read is load else read(tmp_path)) == 2


def test_pages_may_lie_in_a_folder_of_images(tmp_path):
    """A page's figures are images further below, which nobody takes for data."""
    for k, name in enumerate(["1.png", "2.png", "audit/figures/neighbours.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        Image.new("L", (2, 2), k).save(tmp_path / name)
    assert load(tmp_path).n == 2


BAD = {
    "float.npy": np.array([0.5, 1.0]),
    "two.npy": np.zeros((2, 2), int),
    "less.npy": np.array([-1, 0]),
    "more.npy": np.array([2**63, 0], dtype=np.uint64),
}
SAID = {"float.npy": "float64", "two.npy": "int64 of shape", "less.npy": -1, "more.npy": 2**63}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_class_is_refused(name, tmp_path):
    np.save(tmp_path / name, BAD[name])
    with pytest.raises(InputError, match=f"a whole number from 0 per row, got {SAID[name]}"):
        load_labels(tmp_path / name)


def test_what_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing")
    np.savez(tmp_path / "b.npz", images=np.zeros(3))
    (tmp_path / "d.csv").write_text("label\n1\n")
    for name, words in (("a.npy", "cannot be read"), ("b.npz", "must hold labels 'y', got images"),
                        ("c.npy", "no such file"), ("d.csv", "in an array, got .d.csv"),
                        ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            load_labels(tmp_path / name)
