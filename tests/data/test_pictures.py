"""Image files of the field: what is written comes back, what is not one is refused."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from wasserscore.core.errors import InputError
from wasserscore.data import load
from wasserscore.data.layout import channels_first
from wasserscore.data.pictures import idx_array, unpacked

GREY = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)


def idx(array, code=8):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + (
        array.tobytes()
    )  # fmt: skip


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "x-ubyte", "x.idx", "x.idx.gz"])
def test_images_of_an_idx_file(tmp_path, name):
    packed = gzip.compress(idx(GREY)) if name.endswith(".gz") else idx(GREY)
    (tmp_path / name).write_bytes(packed)
    data = load(tmp_path / name)
    assert (data.kind, data.shape, data.units) == ("image", (4, 5), "grey levels")
    assert np.array_equal(data.points.numpy().reshape(GREY.shape), GREY)


def test_labels_of_an_idx_file_are_an_array_and_no_data_set(tmp_path):
    (tmp_path / "y.idx").write_bytes(idx(np.arange(9, dtype=np.uint8)))
    assert idx_array(tmp_path / "y.idx", 10**6).tolist() == list(range(9))
    with pytest.raises(InputError, match="must hold images, got one number each"):
        load(tmp_path / "y.idx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x08", "must be an idx file of unsigned bytes, got a file that begins with"),
        (idx(GREY, code=13), "must be an idx file of unsigned bytes"),
        (idx(GREY)[:-1], "must hold 120 bytes, as it says, got 119"),
        (idx(GREY) + b"!", "must hold 120 bytes, as it says, got more"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "must hold at most"),
        (b"\0\0\x08\x03" + b"\0" * 7, "must hold at most"),
    ],
)
def test_an_idx_file_that_lies_is_refused(tmp_path, content, message):
    (tmp_path / "x.idx").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "x.idx")


def test_a_damaged_archive_is_one_line(tmp_path):
    (tmp_path / "x-ubyte.gz").write_bytes(gzip.compress(idx(GREY))[:-9])
    with pytest.raises(InputError, match=r"x-ubyte\.gz cannot be read"):
        load(tmp_path / "x-ubyte.gz")


RGB = np.random.default_rng(1).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


def packed(images):
    """The inverse: green from red and blue, then differences along height and width."""
    x = images.copy()
    x[..., 0] -= x[..., 1]
    x[..., 2] -= x[..., 1]
    for axis in (1, 2):
        x = np.diff(x, axis=axis, prepend=np.uint8(0)).astype(np.uint8)
    return x.transpose(3, 0, 1, 2)


def test_packed_planes_come_back(tmp_path):
    assert np.array_equal(unpacked(packed(RGB)), RGB)
    np.savez(tmp_path / "cifar.npz", d=packed(RGB), y=np.arange(3, dtype=np.uint8))
    data = load(tmp_path / "cifar.npz")
    assert (data.kind, data.shape, data.name) == ("image", (4, 5, 3), "cifar")
    assert np.array_equal(data.points.numpy().reshape(RGB.shape), RGB)
    labels = load(f"{tmp_path}/cifar.npz:d")  # a name still means the array itself
    assert labels.shape == (3, 4, 5)


def test_other_arrays_of_those_names_are_not_taken_for_planes(tmp_path):
    np.savez(tmp_path / "x.npz", d=np.ones((4, 2)), y=np.arange(4))
    with pytest.raises(InputError, match=r"must hold packed planes.*got \(4, 2\); say which"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("shape", "first"),
    [((3, 8, 8), True), ((8, 8, 3), False), ((1, 28, 20), True), ((28, 20, 1), False),
     ((16, 8, 8), True), ((8, 8, 16), False), ((5, 8, 9), False), ((3, 4, 4), False),
     ((8, 8), False), ((2, 3, 8, 8), False)],
)  # fmt: skip
def test_where_channels_are(shape, first):
    assert channels_first(shape) == first


def test_images_have_channels_first_for_networks_and_rows_come_back(tmp_path):
    np.savez(tmp_path / "cifar.npz", d=packed(RGB), y=np.arange(3, dtype=np.uint8))
    data = load(tmp_path / "cifar.npz")
    images = data.images(data.points)
    assert np.array_equal(images.numpy(), RGB.transpose(0, 3, 1, 2))
    assert torch.equal(data.rows(images), data.points)
    (tmp_path / "x.idx").write_bytes(idx(GREY))
    grey = load(tmp_path / "x.idx")
    assert np.array_equal(grey.images(grey.points).numpy(), GREY[:, None])
    first = load(images.numpy())  # as PyTorch has them
    assert torch.equal(first.images(first.points), images)
    assert torch.equal(first.rows(images), first.points)
    assert torch.equal(grey.rows(grey.images(grey.points)), grey.points)
    with pytest.raises(
        InputError, match=r"only images have channels, got vectors of shape \(2,\)"
    ):
        load(np.eye(2)).images(torch.eye(2))
    with pytest.raises(InputError, match="images must have 60 entries, got 20"):
        data.rows(images[:, :1])


def test_black_and_white_images_are_grey_levels_too(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    Image.fromarray(GREY[1] > 127).save(tmp_path / "b.png")
    found = load(tmp_path).points.numpy()
    assert np.array_equal(found, np.stack([GREY[0], 255 * (GREY[1] > 127)]).reshape(2, -1))


def test_images_of_several_depths_are_refused(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    Image.fromarray(GREY[1].astype(np.uint16) * 257).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"the depth of a.png, uint8, got uint16 in b.png"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("mode", "clear"), [("P", 7), ("P", b"\x80" * 256), ("RGB", (7, 7, 7)), ("L", 7)]
)
def test_transparency_is_refused_wherever_a_file_keeps_it(tmp_path, mode, clear):
    for k in range(2):
        grey = GREY[k].copy()
        grey[0, 0] = 7
        Image.fromarray(grey).convert(mode).save(tmp_path / f"{k}.png", transparency=clear)
    with pytest.raises(InputError, match=f"grey or RGB, got {mode} with transparency; flatten"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("mode", "unused"),
    [("P", b"\xff" * 256), ("RGB", (1, 2, 3)), ("L", 1), ("RGBA", None), ("LA", None)],
)
def test_images_that_could_be_clear_and_are_not_are_taken(tmp_path, mode, unused):
    for k in range(2):
        grey = Image.fromarray(GREY[k] | 2)
        grey.convert(mode).save(tmp_path / f"{k}.png", transparency=unused)
    found = load(tmp_path)
    expected = np.stack([GREY[k] | 2 for k in range(2)])
    colours = 1 if mode in ("L", "LA") else 3
    assert np.array_equal(
        found.points.numpy().reshape(2, *GREY[0].shape, colours)[..., 0], expected
    )


@pytest.mark.parametrize(("held", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_photographs_are_upright(tmp_path, held, turns, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 3, *channels), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = held
    for k, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{k}.png", exif=exif)
    found, wanted = load(tmp_path), np.rot90(pixels, turns, (1, 2))
    assert found.shape == wanted.shape[1:]
    assert np.array_equal(found.points.reshape(wanted.shape).numpy(), wanted)
