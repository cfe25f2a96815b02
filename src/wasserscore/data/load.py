"""One door for every kind of input: an embedded name, a file, a folder of images, an array."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from wasserscore.core.errors import InputError, explain
from wasserscore.core.tensors import as_points
from wasserscore.data.dataset import Dataset
from wasserscore.data.embedded import EMBEDDED as EMBEDDED
from wasserscore.data.files import READERS, read_images


def load(source: Any) -> Dataset:
    """A data set from a name, a path or an array.

    Args:
        source: An embedded name ("digits", "moons", ...); a file ``.npy``, ``.npz`` (one array,
            or ``file.npz:name``), ``.csv``, ``.csv.gz``, ``.parquet``; a folder of PNG images of
            one size; or an array, tensor or DataFrame with one row per point.

    Raises:
        InputError: One line that says what was wrong, what came and what to do.
    """
    if not isinstance(source, str | Path):
        return _from_array(source)
    if str(source) in EMBEDDED:
        return EMBEDDED[str(source)]()
    path, key = _split_key(str(source))
    if path.is_dir():
        return read_images(path)
    reader = next((read for end, read in READERS.items() if path.name.lower().endswith(end)), None)
    if reader is None and (path.exists() or path.suffix):
        known = ", ".join(READERS)
        raise InputError(explain("the file type is not known", got=repr(path.name),
                                 do=f"use one of {known} or a folder of PNG images"))  # fmt: skip
    if reader is None or not path.exists():
        near = get_close_matches(str(source), EMBEDDED, n=1, cutoff=0.6)
        raise InputError(explain(
            "no such file, folder or embedded data set", got=repr(str(source)),
            do=f"did you mean {near[0]!r}?" if near else f"embedded: {', '.join(EMBEDDED)}",
        ))  # fmt: skip
    return reader(path, key)


def _split_key(source: str) -> tuple[Path, str | None]:
    """``file.npz:name`` as path and array name."""
    stem, mark, key = source.rpartition(".npz:")
    return (
        (Path(stem + ".npz"), key) if mark and not Path(source).exists() else (Path(source), None)
    )


def _from_array(array: Any) -> Dataset:
    columns = tuple(str(c) for c in array.columns) if hasattr(array, "columns") else None
    points = as_points(array, "data", minimum=2).detach().cpu()
    kind = "table" if columns else "image" if points.ndim > 2 else "vectors"
    return Dataset.build(points, name="data", kind=kind, columns=columns,  # type: ignore[arg-type]
                         source=f"an array of shape {tuple(points.shape)}")  # fmt: skip
