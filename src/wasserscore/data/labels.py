"""Classes of images: the idx file of labels, the array beside packed planes, names of folders."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from wasserscore.core.errors import InputError, require
from wasserscore.data.arrow import numbers_of, on_disk, open_table
from wasserscore.data.folders import image_files
from wasserscore.data.pictures import IDX, UNREADABLE, idx_array, unreadable

PLANES = "y"
"""The array of labels beside packed planes."""


def load_labels(source: str | Path) -> Int[Tensor, " n"]:
    """A class per row of a data set, for ``train_score(labels=)``, in the order of its rows.

    Args:
        source: An idx file of labels (``-ubyte``, ``.idx``, with or without ``.gz``); ``.npz``
            with labels ``y``, or ``file.npz:name``; a ``.npy`` of one axis; a folder of folders of
            images, where a class is the place of its folder's name among them; or
            ``folder:column`` of files of rows on disk, such as ``shards:cls``.

    Raises:
        InputError: If the source cannot be read, or holds anything but whole numbers from 0.
    """
    rows = on_disk(str(source))
    if rows is not None:
        return _column(str(source), *rows)
    stem, _, key = str(source).partition(".npz:")
    path = Path(f"{stem}.npz") if key else Path(source)
    if path.is_dir():
        files = image_files(path)
        places = sorted({file.parent for file in files})
        require(path not in places, "classes of images are folders of them",
                got=f"images in {path.name!r} itself", do="make a folder per class")  # fmt: skip
        classes = {place: k for k, place in enumerate(places)}
        return torch.tensor([classes[file.parent] for file in files])
    require(path.is_file(), "no such file or folder of labels", got=repr(str(source)))
    require(path.name.lower().endswith((*IDX, ".npy", ".npz")), "labels are numbers in an array",
            got=repr(path.name), do="save them with numpy.save, as .npy")  # fmt: skip
    try:
        found = idx_array(path) if path.name.lower().endswith(IDX) else _array(path, key or PLANES)
    except InputError:
        raise
    except (*UNREADABLE, ValueError, zipfile.BadZipFile) as error:
        raise unreadable(path, error, "give a file of labels") from None
    return _whole(found, path.name)


def _whole(found: NDArray[Any], name: str) -> Int[Tensor, " n"]:
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    whole = found.ndim == 1 and found.dtype.kind in "iu" and found.size > 0
    outside = [k for k in (found.min(), found.max()) if not 0 <= k < 2**63] if whole else []
    require(whole and not outside, f"{name} must hold a whole number from 0 per row",
            got=outside[0] if outside else f"{found.dtype} of shape {found.shape}")  # fmt: skip
    return torch.from_numpy(found.astype(np.int64))


def _column(source: str, path: Path, columns: list[str] | None) -> Int[Tensor, " n"]:
    """One column of a table on disk."""
    table = open_table(path, None)
    good = columns is not None and len(columns) == 1 and columns[0] in table.column_names
    require(good, "labels are one column", got=repr(source),
            do=f"name it after a colon: {', '.join(table.column_names)}")  # fmt: skip
    name = str(columns[0]) if columns else ""
    found = numbers_of(table.with_format("arrow")[:][name], name)
    require(not np.isnan(found).any(), f"every row of {source} must have a class",
            got=f"none in row {np.isnan(found).argmax()}", do="leave it out, or name it a class"
    )  # fmt: skip
    return _whole(found.astype(np.int64) if (found == found.round()).all() else found, source)


def _array(path: Path, key: str) -> NDArray[Any]:
    """The only array of ``.npy``, or the one of that name."""
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    with found:
        require(key in found.files, f"{path.name} must hold labels {key!r}",
                got=", ".join(found.files), do=f"say which, as in {path.name}:labels")  # fmt: skip
        array: NDArray[Any] = found[key]
    return array
