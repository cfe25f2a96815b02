"""Files of rows: which names stand for them, how they are mapped, numbers out of them.

The library ``datasets`` (extra ``wasserscore[datasets]``) does the mapping. Parquet files
and shards of images (``.tar``, as WebDataset has them: ``0001.png`` beside ``0001.cls``) are
converted to Arrow once, into a cache of their size.
"""

import tarfile
from errno import EACCES, ENOSPC, EROFS
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wasserscore.core.errors import InputError, explain, require
from wasserscore.data.pictures import decoded, unreadable

ENDINGS, STATE = (".arrow", ".parquet", ".tar"), "state.json"
"""Endings of files, and the file that ``save_to_disk`` leaves beside them."""
PICKLES, LOOK = (".pth", ".pt", ".pkl", ".pickle", ".pyd"), 64
"""Endings that are never opened, and the entries of a shard that are looked at for them."""
TAR = slice(257, 262)
"""Where a plain tar file says that it is one."""


def on_disk(source: str) -> tuple[Path, list[str] | None] | None:
    """The files and columns that a name stands for, for :meth:`Mapped.open`; None for other names.

    A lone Parquet file is a table like any other, and read into memory.

    Args:
        source: A folder of Arrow or Parquet files or of shards, or one file ``.arrow`` or
            ``.tar``, and perhaps a colon and columns: ``"shards:image"``,
            ``"shards:height,weight"``.
    """
    path, mark, columns = source.rpartition(":")
    if mark and not Path(source).exists():
        return (Path(path), columns.split(",")) if _is_mapped(Path(path)) else None
    return (Path(source), None) if _is_mapped(Path(source)) else None


def open_table(source: Path, cache: str | Path | None) -> Any:
    """A folder or file, mapped into memory as a ``datasets.Dataset``.

    Args:
        source: A folder of Arrow or Parquet files or of shards ``.tar``, one that
            ``save_to_disk`` wrote, or one file.
        cache: Where converted files are kept; by default in the cache of ``datasets``.

    Raises:
        InputError: If ``datasets`` is not installed, or there is no file that it can read.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(explain("mapped files need the library datasets", got="none installed",
                                 do="pip install 'wasserscore[datasets]'")) from None  # fmt: skip
    try:
        return _table(datasets, source, cache)
    except InputError:
        raise
    except Exception as error:  # damaged files fail anywhere in the library and those below it
        reason = error.__cause__ or error  # which says more than "an error occurred"
        do = "replace the file that is damaged, empty or other than those beside it"
        if isinstance(reason, OSError) and reason.errno in (EACCES, EROFS, ENOSPC):
            do = "set HF_HOME to a folder with room to write converted files in"
        raise unreadable(source, reason, do) from None


def _table(datasets: Any, source: Path, cache: str | Path | None) -> Any:
    """What the library makes of a source."""
    if (source / STATE).is_file():
        return datasets.load_from_disk(str(source))
    folder = source.is_dir()
    for end in ENDINGS:
        files = sorted(source.glob(f"*{end}")) if folder else [source] * (source.suffix == end)
        names = [str(file) for file in files if file.is_file()]
        if names and end == ".arrow":
            return datasets.concatenate_datasets([datasets.Dataset.from_file(n) for n in names])
        kept = {"cache_dir": cache and str(cache)}
        if names and end == ".tar":
            _require_sound(names)
            return datasets.load_dataset("webdataset", data_files=names, split="train", **kept)
        if names:
            return datasets.Dataset.from_parquet(names, **kept)
    raise InputError(explain("there must be Arrow or Parquet files, or shards",
                             got=repr(str(source)),
                             do="give a folder of .arrow, .parquet or .tar files"))  # fmt: skip


def _require_sound(shards: list[str]) -> None:
    """Refuses entries that would be unpickled; all rows of a shard have entries as its first.

    And shards that do not end as tar files do, in two blocks of zeros: one that is cut off between
    two entries would be read as if it were shorter. (Of a compressed one the library says so.)
    """
    for shard in shards:
        with Path(shard).open("rb") as file:
            plain = file.read(TAR.stop)[TAR] == b"ustar"
            file.seek(max(0, Path(shard).stat().st_size - 1024))
            require(not plain or not file.read().strip(b"\0"), "shards must be whole",
                    got=f"the beginning of one in {shard}", do="copy it again")  # fmt: skip
        try:
            with tarfile.open(shard) as entries:
                names = [entry.name for entry in islice(entries, LOOK)]
        except tarfile.TarError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                explain("shards must be tar files", got=f"{shard}: {reason}")
            ) from None
        found = [name for name in names if Path(name).suffix in PICKLES]
        require(not found, "entries of shards must not be pickles",
                got=f"{found[:1]} in {shard}", do="keep arrays as .npy or .npz")  # fmt: skip


def numbers_of(column: Any, name: str) -> NDArray[np.float64]:
    """A column of numbers or lists of one shape, without a Python object per row, or of images.

    Images are files, alone or as ``bytes`` beside the path that they had, as ``datasets`` has it.

    Raises:
        InputError: If the column holds anything else; names it.
    """
    import pyarrow as pa  # type: ignore[import-untyped]

    array, shape = column.combine_chunks(), [len(column)]
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    types = pa.types
    if types.is_struct(array.type) and array.type.get_field_index("bytes") >= 0:
        array = array.field("bytes")
    if types.is_binary(array.type) or types.is_large_binary(array.type):
        return _pixels(array.to_pylist(), name)
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    while any(kind(array.type) for kind in lists):
        lengths = array.value_lengths().unique().to_pylist()
        _require_numbers(len(lengths) == 1 and lengths[0] is not None, name,
                         "lists of several lengths")  # fmt: skip
        shape.append(lengths[0])
        array = array.flatten()
    kind = array.type
    _require_numbers(types.is_integer(kind) or types.is_floating(kind), name, str(kind))
    numbers: NDArray[np.float64] = array.to_numpy(zero_copy_only=False).astype(np.float64)
    if types.is_integer(kind):
        _require_numbers(not (np.abs(numbers) >= 2**53).any(), name,
                         "integers from 2^53 on, which no double holds")  # fmt: skip
    return numbers.reshape(shape)


def _is_mapped(path: Path) -> bool:
    if path.is_dir():
        return any(file.suffix in ENDINGS or file.name == STATE for file in path.iterdir())
    return path.suffix in (".arrow", ".tar") and path.is_file()


def _pixels(files: list[bytes | None], name: str) -> NDArray[np.float64]:
    """Images as files hold them, decoded."""
    _require_numbers(None not in files, name, "a row without one")
    pictures = [decoded(BytesIO(file or b""), Path(f"an image of column {name!r}"),
                        "leave it out of the files") for file in files]  # fmt: skip
    for what, found in (("sizes", {picture.shape for picture in pictures}),
                        ("depths", {str(picture.dtype) for picture in pictures})):  # fmt: skip
        _require_numbers(len(found) == 1, name, f"images of several {what}, {sorted(found)[:2]}")
    return np.stack(pictures).astype(np.float64)


def _require_numbers(good: bool, name: str, got: str) -> None:
    require(good, f"column {name!r} must hold numbers, lists of one shape, or images", got=got,
            do="choose other columns=")  # fmt: skip
