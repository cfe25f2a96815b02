"""Rows that stay on disk: an Arrow table is mapped into memory, and a batch reads its rows only.

What is mapped (:mod:`wasserscore.data.arrow`) may be larger than the memory.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Points
from wasserscore.data.arrow import numbers_of, open_table
from wasserscore.data.layout import Kind, Layout, channels_first, column_names
from wasserscore.data.moments import Moments, moments_of
from wasserscore.data.scaling import Scaling

WITNESSES = 64
"""Rows that stand for the contents in :attr:`Mapped.sha256`."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """Points on disk, for :func:`~wasserscore.training.train_score`: ``data[rows]`` reads rows.

    Args:
        table: A ``datasets.Dataset``.
        columns: One column that holds whole points, or several that hold a coordinate each.
        scaling: From the units of the file to those that come out; None for the same.
        dtype: Of what comes out, float32 or float64; numbers are scaled in float64.
        channels_first: Whether images come out as networks see them, see :meth:`images`.

    Raises:
        InputError: If a column is missing, or is not numbers of one shape.
    """

    table: Any
    columns: tuple[str, ...]
    scaling: Scaling | None = None
    dtype: torch.dtype = torch.float32
    channels_first: bool = False

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
        """Map a folder of Arrow or Parquet files or of shards, or one that ``save_to_disk`` wrote.

        Args:
            source: The folder, or one file ``.arrow``, ``.parquet`` or ``.tar``; files in order of
                name.
            columns: One column that holds whole points (lists or arrays of one shape, or images),
                or several that hold a coordinate each; None for the only column of images, or all
                columns.
            cache: Where converted files are kept; by default in the cache of ``datasets``.

        Raises:
            InputError: If ``datasets`` is not installed or there is no such file.
        """
        table = open_table(Path(source), cache)
        chosen = _only_images(table) if columns is None else columns
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
        """See :func:`~wasserscore.data.moments.moments_of`; of rows in the units of the file as
        they are there, which may be too far from zero for float32.
        """
        return moments_of(self.to(torch.float64) if self.scaling is None else self)

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

    def images(self) -> "Mapped":
        """The same images, unscaled yet, as ``(n, channels, height, width)``.

        Raises:
            InputError: If rows are no images of the axes (height, width), (height, width, c) or,
                as they come out, (c, height, width).
        """
        shape = tuple(self.shape[1:])
        good = self.kind == "image" and len(shape) in (2, 3) and self.scaling is None
        require(good and not self.channels_first, "only images, unscaled, have channels to move",
                got=f"{self.kind} of shape {shape}")  # fmt: skip
        return self if channels_first(shape) else replace(self, channels_first=True)

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
        parts = [numbers_of(found[name], name) for name in self.columns]
        if len(parts) == 1 and parts[0].ndim > 1:
            return _channels_first(parts[0]) if self.channels_first else parts[0]
        deep = [name for name, p in zip(self.columns, parts, strict=True) if p.ndim > 1]
        require(not deep, "a point is one column of arrays, or several of numbers",
                got=f"columns {', '.join(self.columns)}, of which {', '.join(deep)} holds arrays",
                do="choose columns=")  # fmt: skip
        return np.stack(parts, 1)


def _only_images(table: Any) -> list[str]:
    """The only column of image files, or all columns."""
    images = [name for name, kind in table.features.items() if type(kind).__name__ == "Image"]
    return images if len(images) == 1 else list(table.column_names)


def _channels_first(x: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(x if x.ndim == 4 else x[..., None], -1, 1)
