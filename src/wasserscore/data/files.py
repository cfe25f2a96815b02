"""Readers of arrays and images; none unpickles anything, and a failure is one readable line."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wasserscore.core.errors import InputError, explain, require
from wasserscore.data.dataset import Dataset
from wasserscore.data.folders import image_files
from wasserscore.data.pictures import (
    IDX,
    MAX_BYTES,
    UNREADABLE,
    decoded,
    idx_array,
    unpacked,
    unreadable,
)


def read_npy(path: Path, key: str | None = None) -> Dataset:
    """A ``.npy`` file: 2-D is vectors, more axes are images."""
    try:
        # Mapping compares the header with the size of the file before anything is allocated.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise unreadable(path, error, "save a plain numeric array with numpy.save") from None
    if not isinstance(array, np.ndarray):
        array.close()
        got = f"an archive in {path.name!r}"
        raise InputError(explain("the file must hold one array", got=got, do="name it .npz"))
    return _from_array(array, path, path.stem)


def read_npz(path: Path, key: str | None = None) -> Dataset:
    """A ``.npz`` archive: its only array, or the one called ``key``."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        require(size <= MAX_BYTES, f"{path.name} must unpack to at most {MAX_BYTES >> 30} GiB",
                got=f"{size / 2**30:.1f} GiB")  # fmt: skip
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            if key is None and set(names) == {"d", "y"}:
                return _pictures(unpacked(_planes(archive, path)), path)
            require(bool(names), f"{path.name} must hold an array", got="an empty archive")
            if key is None:
                require(len(names) == 1, f"{path.name} holds several arrays", got=", ".join(names),
                        do=f"say which, as in {path.name}:{names[0]}")  # fmt: skip
                key = names[0]
            require(key in names, f"{path.name} has no array of that name", got=repr(key),
                    do=f"choose one of {', '.join(names)}")  # fmt: skip
            array = archive[key]
            require(isinstance(array, np.ndarray), f"{path.name} must hold numeric arrays",
                    got=f"other bytes under {key!r}", do="save it with numpy.savez")  # fmt: skip
    except (zipfile.BadZipFile, OSError, EOFError, MemoryError) as error:
        raise unreadable(path, error, "save plain numeric arrays with numpy.savez") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(path, error, "save plain numeric arrays with numpy.savez") from None
    return _from_array(array, path, path.stem)


def read_idx(path: Path, key: str | None = None) -> Dataset:
    """An idx file of images (MNIST, Fashion-MNIST), gzipped or not."""
    try:
        array = idx_array(path)
    except UNREADABLE as error:
        raise unreadable(path, error, "download it again") from None
    if array.ndim == 1:
        raise InputError(explain(f"{path.name} must hold images", got="one number each",
                                 do="give the file of images, not of labels"))  # fmt: skip
    return _pictures(array, path)


def read_images(folder: Path) -> Dataset:
    """The images of a folder, see :func:`image_files`, as grey levels (16 bits: 0..65535)."""
    files = image_files(folder)
    pictures: list[NDArray[Any]] = []
    for file in files:
        pixels = decoded(file, file, "replace or remove this file")
        pictures.append(pixels)
        require(pixels.shape == pictures[0].shape,
                f"all images must have the size of {files[0].name}, {_size(pictures[0])}",
                got=f"{_size(pixels)} in {file.name}", do="resize or remove it")  # fmt: skip
        require(pixels.dtype == pictures[0].dtype,
                f"all images must have the depth of {files[0].name}, {pictures[0].dtype}",
                got=f"{pixels.dtype} in {file.name}", do="convert or remove it")  # fmt: skip
    stack = np.stack(pictures).astype(np.float64)
    return Dataset.build(torch.from_numpy(stack), name=folder.name, kind="image",
                         source=f"{len(files)} images in {folder.name}",
                         units="grey levels")  # fmt: skip


TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
"""Endings of tables, which :mod:`wasserscore.data.tables` reads."""
READERS: dict[str, Callable[[Path, str | None], Dataset]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    **dict.fromkeys(IDX, read_idx),
}


def _from_array(array: NDArray[Any], path: Path, name: str) -> Dataset:
    require(
        array.dtype.kind in "fiub", f"{path.name} must hold numbers", got=f"dtype {array.dtype}"
    )
    if array.dtype.kind in "iu":
        _require_exact(array, path.name)
    kind = "image" if array.ndim > 2 else "vectors"
    points = torch.from_numpy(np.array(array, dtype=np.float64))
    return Dataset.build(points, name=name, kind=kind, source=f"file {path.name}")  # type: ignore[arg-type]


def _planes(archive: Any, path: Path) -> NDArray[Any]:
    """Packed planes, as :func:`~wasserscore.data.pictures.unpacked` takes them."""
    planes: NDArray[Any] = archive["d"]
    good = isinstance(planes, np.ndarray) and planes.dtype == np.uint8
    require(good and planes.ndim == 4 and len(planes) == 3,
            f"array 'd' of {path.name} must hold packed planes (3, n, height, width) of bytes",
            got=getattr(planes, "shape", "other bytes"),
            do=f"say which array is meant, as in {path.name}:d")  # fmt: skip
    return planes


def _pictures(grey: NDArray[np.uint8], path: Path) -> Dataset:
    return Dataset.build(
        torch.from_numpy(grey.astype(np.float64)), name=path.name.split(".")[0], kind="image",
        source=f"file {path.name}", units="grey levels",
    )  # fmt: skip


def _require_exact(integers: Any, what: str) -> None:
    largest = max(abs(int(integers.min())), abs(int(integers.max()))) if integers.size else 0
    require(largest <= 2**53, f"integers in {what} must fit a double (at most 2^53)", got=largest,
            do="drop identifiers or rescale")  # fmt: skip


def _size(pixels: Any) -> str:
    return " x ".join(str(k) for k in np.shape(pixels))
