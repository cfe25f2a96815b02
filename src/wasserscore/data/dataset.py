"""A data set that knows its columns, its lattice, its range, and what in it never changes."""

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, Vector
from wasserscore.data.lattice import lattice_step

Kind = Literal["image", "table", "vectors"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Finite points with everything a model must not forget about them.

    Args:
        name: What to call it.
        points: Shape ``(n, d)``, float64, in the user's units; images are flattened row by row.
        columns: The d column names.
        shape: The shape of one item, ``(d,)`` or for images ``(h, w)`` or ``(h, w, c)``.
        kind: "image", "table" or "vectors".
        lattice: Step of the lattice of each column, 0 where it has none; None if none has one.
        low: Smallest value, per column (images: over all pixels).
        high: Largest value, likewise.
        constant: Which columns never change; models leave them out.
        sha256: Hash of points, shape and column names.
        source: Where the points came from, in words.
        units: Units of the values, in words.
    """

    name: str
    points: Cloud = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    shape: tuple[int, ...]
    kind: Kind
    lattice: Vector | None = field(repr=False)
    low: Vector = field(repr=False)
    high: Vector = field(repr=False)
    constant: Bool[Tensor, " d"] = field(repr=False)
    sha256: str = field(repr=False)
    source: str = ""
    units: str = "data units"

    @classmethod
    def build(
        cls,
        points: Tensor,
        *,
        name: str,
        kind: Kind,
        columns: tuple[str, ...] | None = None,
        source: str = "",
        units: str = "data units",
    ) -> "Dataset":
        """Look at the points and note what is constant, what lies on a lattice, and the range.

        Args:
            points: Shape ``(n, *shape)``.
            name: What to call the data set.
            kind: "image", "table" or "vectors".
            columns: Column names; made up from the position when not given.
            source: Where the points came from.
            units: Units of the values.

        Raises:
            InputError: Fewer than two rows, a cell that is not finite (named by row and column),
                or nothing that varies.
        """
        shape = tuple(points.shape[1:])
        require(points.ndim >= 2, f"{name} must be 2-D, one row per point (or a stack of images)",
                got=f"a {points.ndim}-D array of shape {tuple(points.shape)}",
                do="reshape it to (n, d)")  # fmt: skip
        require(math.prod(shape) > 0, f"{name} needs at least one column", got=f"shape {shape}")
        flat = points.reshape(len(points), math.prod(shape)).to(torch.float64)
        columns = columns or _column_names(shape, kind)
        _require_finite(flat, columns, name)
        require(len(flat) >= 2, f"{name} needs at least 2 rows", got=f"{len(flat)} row"
                + "s" * (len(flat) != 1), do="give more data")  # fmt: skip
        constant = (flat == flat[0]).all(0)
        require(not bool(constant.all()), f"{name} must vary in at least one column",
                got=f"{len(flat)} identical rows", do="give data that varies")  # fmt: skip
        if kind == "image":
            low, high = flat.min().expand(flat.shape[1]), flat.max().expand(flat.shape[1])
            steps = torch.tensor(lattice_step(flat), dtype=torch.float64).expand(flat.shape[1])
        else:
            low, high = flat.amin(0), flat.amax(0)
            steps = torch.tensor([lattice_step(column) for column in flat.T], dtype=torch.float64)
        return cls(
            name=name, points=flat, columns=columns, shape=shape, kind=kind,
            lattice=steps.contiguous() if bool((steps > 0).any()) else None,
            low=low.contiguous(), high=high.contiguous(), constant=constant,
            sha256=_digest(flat, shape, columns), source=source, units=units,
        )  # fmt: skip

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.points.shape[0]

    @property
    def d(self) -> int:
        """The number of columns, constant ones included."""
        return self.points.shape[1]

    @property
    def varying(self) -> Float[Tensor, "n v"]:
        """The points without the constant columns, shape ``(n, v)``: what models see."""
        return self.vary(self.points)

    @property
    def constant_columns(self) -> tuple[str, ...]:
        """Names of the columns that never change."""
        return tuple(
            c for c, same in zip(self.columns, self.constant.tolist(), strict=True) if same
        )

    def vary(self, x: Cloud) -> Float[Tensor, "n v"]:
        """``x`` of shape ``(m, d)`` without the constant columns."""
        return x[:, ~self.constant]

    def restore(self, x: Float[Tensor, "n v"]) -> Cloud:
        """Put the constant columns back: ``(m, v)`` to ``(m, d)``, in the dtype of ``x``."""
        varying = ~self.constant
        require(x.shape[1] == int(varying.sum()), f"points must have {int(varying.sum())} columns",
                got=x.shape[1])  # fmt: skip
        full = self.points[:1].to(x).repeat(len(x), 1)
        full[:, varying] = x
        return full

    def clip(self, x: Cloud) -> Cloud:
        """``x`` of shape ``(m, d)`` or ``(m, v)`` cut to the range of the data."""
        keep = ... if x.shape[1] == self.d else ~self.constant
        return torch.minimum(torch.maximum(x, self.low[keep].to(x)), self.high[keep].to(x))

    def take(self, rows: Tensor, name: str | None = None) -> "Dataset":
        """The same data set with only some rows.

        Columns, constants and lattice stay; the range is that of the rows kept, except for
        images, whose range belongs to the format.
        """
        points = self.points[rows]
        own = self.kind != "image"
        return replace(
            self, points=points, name=name or self.name,
            low=points.amin(0) if own else self.low, high=points.amax(0) if own else self.high,
            sha256=_digest(points, self.shape, self.columns),
        )  # fmt: skip


def split(
    dataset: Dataset, *, fraction: float = 0.5, seed: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    """Row numbers of a training part and a hold-out, each sorted, drawn without replacement.

    Args:
        dataset: What to split.
        fraction: Share of the rows that trains, in (0, 1); at least one row goes to each side.
        seed: The same seed gives the same split.
    """
    require(0 < fraction < 1, "fraction must lie strictly between 0 and 1", got=fraction)
    order = torch.randperm(dataset.n, generator=Streams(seed).generator("split"))
    cut = min(max(round(fraction * dataset.n), 1), dataset.n - 1)
    return order[:cut].sort().values, order[cut:].sort().values


def _column_names(shape: tuple[int, ...], kind: Kind) -> tuple[str, ...]:
    if kind == "image":
        cells = torch.cartesian_prod(*(torch.arange(k) for k in shape)).reshape(-1, len(shape))
        return tuple("pixel_" + "_".join(map(str, cell)) for cell in cells.tolist())
    return tuple(f"column_{j}" for j in range(shape[0]))


def _require_finite(points: Tensor, columns: tuple[str, ...], name: str) -> None:
    bad = ~torch.isfinite(points)
    if bool(bad.any()):
        row, column = (int(i) for i in bad.nonzero()[0])
        value, count = float(points[row, column]), int(bad.sum())
        shown = "NaN" if value != value else value
        raise InputError(
            explain(
                f"{name} must be finite in every cell",
                got=f"{shown} at row {row} (counted from 0), column {columns[column]!r}"
                f" ({count} such cell{'s' * (count != 1)} in all)",
                do="drop or fill these cells",
            )
        )


def _digest(points: Tensor, shape: tuple[int, ...], columns: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr((tuple(points.shape), shape, columns)).encode())
    digest.update(points.contiguous().numpy().astype("<f8").tobytes())
    return digest.hexdigest()
