"""One door for every kind of input: an embedded name, a file, a folder of images, an array."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.tensors import as_points
from wasserscore.data.arrow import on_disk
from wasserscore.data.dataset import Dataset
from wasserscore.data.embedded import EMBEDDED as EMBEDDED
from wasserscore.data.files import READERS, TABLES, read_images

if TYPE_CHECKING:
    from wasserscore.data.tables import Overrides


def load(source: Any, *, schema: "Overrides | str | Path | None" = None) -> Dataset:
    """A data set from a name, a path or an array.

    A table whose columns are all numbers is taken as it is; any other goes through the codec of
    :mod:`wasserscore.data.tables`, and its points are in the metric stated there.

    Args:
        source: An embedded name ("digits", "moons", ...); a file ``.npy``, ``.npz`` (one array,
            ``file.npz:name``, or packed planes ``d`` with labels ``y``), ``-ubyte`` and ``.idx``
            with or without ``.gz`` (MNIST and its relatives), ``.csv`` and
            ``.tsv`` with or without ``.gz``, ``.parquet``; a folder of PNG or JPEG images of one
            size, or of a folder of such per class; or an array, tensor or DataFrame with one row
            per point, or a table of another library that knows ``to_pandas`` (polars, Arrow,
            datasets).
        schema: For a table: what its columns are, or the TOML or JSON file that says so.

    Raises:
        InputError: One line that says what was wrong, what came and what to do.
    """
    overrides = _overrides(schema)
    if not isinstance(source, str | Path):
        return _from_array(source, overrides)
    if str(source) in EMBEDDED:
        return EMBEDDED[str(source)]()
    path, key = _split_key(str(source))
    require(on_disk(str(source)) is None, "files of rows on disk are not read into memory",
            got=repr(str(source)),
            do="train on them (wasserscore fit --models network, or ws.data.Mapped); sample, "
            "certify and plan with the run, audit with them as REAL")  # fmt: skip
    if path.is_dir():
        return read_images(path)
    name = path.name.lower()
    table = name.endswith(TABLES)
    require(table or overrides is None, "a schema speaks of a table", got=repr(path.name),
            do=f"give a file that ends in {', '.join(TABLES)}")  # fmt: skip
    reader = next((read for end, read in READERS.items() if name.endswith(end)), None)
    if reader is None and not table and (path.exists() or path.suffix):
        known = ", ".join((*READERS, *TABLES))
        raise InputError(explain("the file type is not known", got=repr(path.name),
                                 do=f"use one of {known} or a folder of images"))  # fmt: skip
    if not path.exists() or (reader is None and not table):
        near = get_close_matches(str(source), EMBEDDED, n=1, cutoff=0.6)
        raise InputError(explain(
            "no such file, folder or embedded data set", got=repr(str(source)),
            do=f"did you mean {near[0]!r}?" if near else f"embedded: {', '.join(EMBEDDED)}",
        ))  # fmt: skip
    if reader is not None:
        return reader(path, key)
    from wasserscore.data.tables.dataset import read_table

    return read_table(path, overrides)


def _overrides(schema: "Overrides | str | Path | None") -> "Overrides | None":
    """What the user says of the columns, read if it is a file."""
    if not isinstance(schema, str | Path):
        return schema
    from wasserscore.data.tables import read_overrides

    return read_overrides(schema)


def _split_key(source: str) -> tuple[Path, str | None]:
    """``file.npz:name`` as path and array name."""
    stem, mark, key = source.rpartition(".npz:")
    return (
        (Path(stem + ".npz"), key) if mark and not Path(source).exists() else (Path(source), None)
    )


def _from_array(array: Any, overrides: "Overrides | None") -> Dataset:
    if hasattr(array, "to_pandas"):
        array = array.to_pandas()
    if hasattr(array, "columns"):
        from wasserscore.data.tables.dataset import from_frame

        source = f"a table of shape {tuple(array.shape)}"
        return from_frame(array, name="data", source=source, overrides=overrides)
    points = as_points(array, "data", minimum=2).cpu()
    kind = "image" if points.ndim > 2 else "vectors"
    return Dataset.build(points, name="data", kind=kind,  # type: ignore[arg-type]
                         source=f"an array of shape {tuple(points.shape)}")  # fmt: skip
