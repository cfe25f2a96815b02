"""Rows that stay on disk: an Arrow table is mapped into memory, and a batch reads its rows only.

The library ``datasets`` (extra ``wasserscore[datasets]``) does the mapping; what it maps may be
larger than the memory. Parquet files are converted to Arrow once, into a cache of their size.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Points, Vector
from wasserscore.data.layout import Kind, Layout, column_names
from wasserscore.data.scaling import Scaling

CHUNK_NUMBERS = 2**20
"""Numbers that one streaming pass reads at a time, 8 MiB in float64: larger arrays are mapped anew
by the system every time, which took most of the pass."""
ENDINGS, STATE = (".arrow", ".parquet"), "state.json"
"""Endings of files, and the file that ``save_to_disk`` leaves beside them."""
WITNESSES = 64
"""Rows that stand for the contents in :attr:`Mapped.sha256`."""


class Moments(NamedTuple):
    """Of all rows and every coordinate, model units, float64."""

    mean: Vector
    variance: Vector  # divided by n
    square: float  # mean of all squares
    low: Vector
    high: Vector


@dataclass(frozen=True, eq=False)
class Mapped:
    """Points on disk, for :func:`~wasserscore.training.train_score`: ``data[rows]`` reads rows.

    Args:
        table: A ``datasets.Dataset``.
        columns: One column that holds whole points, or several that hold a coordinate each.
        scaling: From the units of the file to those that come out; None for the same.
        dtype: Of what comes out, float32 or float64; numbers are scaled in float64.

    Raises:
        InputError: If a column is missing, or is not numbers of one shape.
    """

    table: Any
    columns: tuple[str, ...]
    scaling: Scaling | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        missing = [name for name in self.columns if name not in self.table.column_names]
        require(not missing and bool(self.columns), "columns must be in the file", got=missing,
                do=f"choose from {', '.join(self.table.column_names)}")  # fmt: skip
        require(len(self.table) >= 2, "a mapped file needs at least 2 rows", got=len(self.table))
        table = self.table.select_columns(list(self.columns)).with_format("arrow")
        object.__setattr__(self, "table", table)
        self._read([0])

    @classmethod
    def open(
        cls,
        source: str | Path,
        columns: str | Sequence[str] | None = None,
        *,
        cache: str | Path | None = None,
    ) -> "Mapped":
        """Map a folder of Arrow or Parquet files, or one that ``save_to_disk`` wrote.

        Args:
            source: The folder, or one file ``.arrow`` or ``.parquet``; files in order of name.
            columns: One column that holds whole points (lists or arrays of one shape), or
                several that hold a coordinate each; all columns where None.
            cache: Where converted Parquet is kept; by default in the cache of ``datasets``.

        Raises:
            InputError: If ``datasets`` is not installed or there is no such file.
        """
        table = _open(Path(source), cache)
        chosen = table.column_names if columns is None else columns
        return cls(table, (chosen,) if isinstance(chosen, str) else tuple(chosen))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Int[Tensor, " b"] | slice) -> Points:
        """Some rows, ``(b, *shape)``; nothing else is read."""
        found = self._read(rows if isinstance(rows, slice) else rows.tolist())
        x = torch.from_numpy(found)
        return (x if self.scaling is None else self.scaling.apply(x)).to(self.dtype)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """``(n, *shape)``, as a tensor of all points would have it."""
        return (len(self), *self._read([0]).shape[1:])

    @property
    def device(self) -> torch.device:
        """Where rows come out."""
        return torch.device("cpu")

    @cached_property
    def moments(self) -> Moments:
        r"""Mean, variance and range of every coordinate, in one pass over the file.

        With chunks a and b, :math:`M = \sum (x - \bar x)^2` and
        :math:`\delta = \bar x_b - \bar x_a`,

        .. math:: \bar x = \bar x_a + \delta \frac{n_b}{n}, \qquad
                  M = M_a + M_b + \delta^2 \frac{n_a n_b}{n}.

        Source: Chan, Golub and LeVeque (1983), eq. (2.1).

        Raises:
            InputError: If a number is missing or not finite.
        """
        d = math.prod(self.shape[1:])
        mean, squares, square, seen = torch.zeros(d).double(), torch.zeros(d).double(), 0.0, 0
        low, high = torch.full((2, d), math.inf).double() * torch.tensor([[1.0], [-1.0]])
        for part in tiles(len(self), max(1, CHUNK_NUMBERS // d)):
            x = self[part].flatten(1).double()
            here, total = x.mean(0), seen + len(x)
            require(bool(torch.isfinite(here).all()), "a mapped file must be finite in every cell",
                    got=f"NaN or infinity in rows {part.start} to {part.stop - 1}",
                    do="drop or fill these cells")  # fmt: skip
            low, high = low.minimum(x.amin(0)), high.maximum(x.amax(0))
            apart = here - mean
            mean = mean + apart * (len(x) / total)
            square += (float(x.square().mean()) - square) * (len(x) / total)
            squares += x.sub_(here).square_().sum(0) + apart**2 * (seen * len(x) / total)
            seen = total
        return Moments(mean, squares / seen, square, low, high)

    @property
    def root_mean_square(self) -> float:
        """Of all entries, model units."""
        return math.sqrt(self.moments.square)

    @property
    def kind(self) -> Kind:
        """A ``"table"`` of several columns, or what the shape of a point says."""
        if len(self.columns) > 1:
            return "table"
        return "image" if len(self.shape) > 2 else "vectors"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the coordinates: the columns of a table, or made up from their positions."""
        if self.kind == "table":
            return self.columns
        return column_names(tuple(self.shape[1:]), self.kind)

    def layout(self, name: str, source: str) -> Layout:
        """Shape, column names and range of the points; columns that never vary are kept.

        Args:
            name: What to call the data set.
            source: Where the points came from.
        """
        return Layout(
            name=name, columns=self.names, shape=tuple(self.shape[1:]), kind=self.kind,
            lattice=None, low=self.moments.low, high=self.moments.high,
            constant=torch.zeros(len(self.names), dtype=torch.bool),
            constants=torch.zeros(0, dtype=torch.float64), source=source,
        )  # fmt: skip

    def fit_scaling(self, kind: str) -> Scaling:
        """As :meth:`Scaling.fit`: per column for a ``"table"``, else one scalar."""
        variance = self.moments.variance
        spread = variance.sqrt() if kind == "table" else variance.mean().sqrt()
        return Scaling(self.moments.mean, torch.where(spread > 0, spread, torch.ones_like(spread)))

    def scaled(self, scaling: Scaling) -> "Mapped":
        """The same rows in the model units of a scaling.

        Raises:
            InputError: If they are scaled already.
        """
        require(self.scaling is None, "rows are scaled once", got="a second scaling")
        return replace(self, scaling=scaling)

    def to(self, dtype: torch.dtype) -> "Mapped":
        """The same rows in another dtype."""
        return replace(self, dtype=dtype)

    @property
    def sha256(self) -> str:
        """A digest of columns, sizes and a few rows: not of all numbers, which would be a pass."""
        places = np.linspace(0, len(self) - 1, min(WITNESSES, len(self))).astype(int).tolist()
        files = [Path(file["filename"]).stat().st_size for file in self.table.cache_files]
        digest = hashlib.sha256(repr((self.columns, self.shape, files, str(self.dtype))).encode())
        digest.update(self[torch.tensor(places)].numpy().tobytes())
        return digest.hexdigest()

    def _read(self, rows: slice | list[int]) -> Any:
        """Some rows as an array of numbers, ``(b, *shape)``."""
        found = self.table[rows]
        parts = [_numbers(found[name], name) for name in self.columns]
        if len(parts) == 1 and parts[0].ndim > 1:
            return parts[0]
        deep = [name for name, p in zip(self.columns, parts, strict=True) if p.ndim > 1]
        require(not deep, "a point is one column of arrays, or several of numbers",
                got=f"columns {', '.join(self.columns)}, of which {', '.join(deep)} holds arrays",
                do="choose columns=")  # fmt: skip
        return np.stack(parts, 1)


def on_disk(source: str) -> tuple[Path, list[str] | None] | None:
    """The files and columns that a name stands for, for :meth:`Mapped.open`; None for other names.

    A lone Parquet file is a table like any other, and read into memory.

    Args:
        source: A folder of Arrow or Parquet files, or one file ``.arrow``, and perhaps a colon
            and columns: ``"shards:image"``, ``"shards:height,weight"``.
    """
    path, mark, columns = source.rpartition(":")
    if mark and not Path(source).exists():
        return (Path(path), columns.split(",")) if _is_mapped(Path(path)) else None
    return (Path(source), None) if _is_mapped(Path(source)) else None


def _is_mapped(path: Path) -> bool:
    if path.is_dir():
        return any(file.suffix in ENDINGS or file.name == STATE for file in path.iterdir())
    return path.suffix == ".arrow" and path.is_file()


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    """A column of numbers, or of lists of one shape, without a Python object per row."""
    import pyarrow as pa  # type: ignore[import-untyped]

    array, shape = column.combine_chunks(), [len(column)]
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        lengths = array.value_lengths().unique().to_pylist()
        _require_numbers(len(lengths) == 1 and lengths[0] is not None, name,
                         "lists of several lengths")  # fmt: skip
        shape.append(lengths[0])
        array = array.flatten()
    kind = array.type
    _require_numbers(pa.types.is_integer(kind) or pa.types.is_floating(kind), name, str(kind))
    numbers: NDArray[np.float64] = array.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers.reshape(shape)


def _require_numbers(good: bool, name: str, got: str) -> None:
    require(good, f"column {name!r} must hold numbers, or lists of one shape", got=got,
            do="choose other columns=")  # fmt: skip


def _open(source: Path, cache: str | Path | None) -> Any:
    try:
        import datasets
    except ImportError:
        raise InputError(explain("mapped files need the library datasets", got="none installed",
                                 do="pip install 'wasserscore[datasets]'")) from None  # fmt: skip
    if (source / STATE).is_file():
        return datasets.load_from_disk(str(source))
    folder = source.is_dir()
    for end in ENDINGS:
        files = sorted(source.glob(f"*{end}")) if folder else [source] * (source.suffix == end)
        names = [str(file) for file in files if file.is_file()]
        if names and end == ".arrow":
            return datasets.concatenate_datasets([datasets.Dataset.from_file(n) for n in names])
        if names:
            return datasets.Dataset.from_parquet(names, cache_dir=cache and str(cache))
    raise InputError(explain("there must be Arrow or Parquet files", got=repr(str(source)),
                             do="give a folder of .arrow or .parquet files"))  # fmt: skip
