"""A data set that knows its columns, its lattice, its range, and what in it never changes."""

import hashlib
import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.data.lattice import lattice_step
from wasserscore.data.layout import Kind, Layout, column_names

if TYPE_CHECKING:
    from wasserscore.data.tables import Codec

LARGE, SMALL = 1e100, 1e-100
"""Largest numbers of data whose squares, and what samplers make of them, are numbers with ease."""
MIXED_UNITS = "units of the table's metric"
"""Each column in the unit that its codec states."""


@dataclass(frozen=True, eq=False)
class Dataset(Layout):
    """Finite points with everything a model must not forget about them.

    Args:
        points: Shape ``(n, d)``, float64, in the user's units; images are flattened row by row.
        sha256: Hash of points, shape and column names.
    """

    points: Cloud = field(kw_only=True, repr=False)
    sha256: str = field(kw_only=True, repr=False)

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
        codec: "Codec | None" = None,
        dtypes: tuple[str, ...] | None = None,
    ) -> "Dataset":
        """Look at the points and note what is constant, what lies on a lattice, and the range.

        Args:
            points: Shape ``(n, *shape)``.
            name: What to call the data set.
            kind: "image", "table", "vectors" or "mixed".
            columns: Column names; made up from the position when not given.
            source: Where the points came from.
            units: Units of the values.
            codec: Of a mixed table: where its points came from, and their lattice.
            dtypes: Of the columns of a table of numbers.

        Raises:
            InputError: Fewer than two rows, a cell that is not finite (named by row and column),
                nothing that varies, or numbers so large or small that their squares are none.
        """
        shape = tuple(points.shape[1:])
        require(points.ndim >= 2, f"{name} must be 2-D, one row per point (or a stack of images)",
                got=f"a {points.ndim}-D array of shape {tuple(points.shape)}",
                do="reshape it to (n, d)")  # fmt: skip
        require(math.prod(shape) > 0, f"{name} needs at least one column", got=f"shape {shape}")
        flat = points.reshape(len(points), math.prod(shape)).to(torch.float64)
        columns = columns or column_names(shape, kind)
        _require_finite(flat, columns, name)
        require(len(flat) >= 2, f"{name} needs at least 2 rows", got=f"{len(flat)} row"
                + "s" * (len(flat) != 1), do="give more data")  # fmt: skip
        _require_squares(flat, columns, name, apart=kind == "table")
        constant = (flat == flat[0]).all(0)
        require(not bool(constant.all()), f"{name} must vary in at least one column",
                got=f"{len(flat)} identical rows", do="give data that varies")  # fmt: skip
        if kind == "image":
            low, high = flat.min().expand(flat.shape[1]), flat.max().expand(flat.shape[1])
            steps = torch.tensor(lattice_step(flat), dtype=torch.float64).expand(flat.shape[1])
        elif codec is not None:
            low, high = flat.amin(0), flat.amax(0)
            steps = torch.tensor(codec.lattice, dtype=torch.float64)
        else:
            low, high = flat.amin(0), flat.amax(0)
            steps = torch.tensor([lattice_step(column) for column in flat.T], dtype=torch.float64)
        return cls(
            name=name, points=flat, columns=columns, shape=shape, kind=kind,
            lattice=steps.contiguous() if bool((steps > 0).any()) else None,
            low=low.contiguous(), high=high.contiguous(), constant=constant,
            constants=flat[0, constant],
            sha256=_digest(flat, shape, columns), source=source, units=units, codec=codec,
            dtypes=dtypes,
        )  # fmt: skip

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.points.shape[0]

    @property
    def varying(self) -> Float[Tensor, "n v"]:
        """The points without the constant columns, shape ``(n, v)``: what models see."""
        return self.vary(self.points)

    @property
    def layout(self) -> Layout:
        """Everything but the points: what a saved model needs, and no row of the data."""
        return Layout(**{f.name: getattr(self, f.name) for f in fields(Layout)})

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


def _require_squares(points: Tensor, columns: tuple[str, ...], name: str, *, apart: bool) -> None:
    """Refuse what no model can scale: where columns are scaled apart, each must have a size."""
    sizes = points.abs().amax(0)
    if not apart:
        sizes = sizes.max()[None]
    bad = (sizes > LARGE) | ((sizes < SMALL) & (sizes > 0))
    if bool(bad.any()):
        place = int(bad.nonzero()[0])
        where = f" in column {columns[place]!r}" if apart else ""
        raise InputError(explain(
            f"{name} must be numbers of a size between {SMALL:.0e} and {LARGE:.0e}, for squares "
            "are summed", got=f"a largest one of {float(sizes[place]):.3g}{where}",
            do="give the data in another unit"))  # fmt: skip


def _digest(points: Tensor, shape: tuple[int, ...], columns: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr((tuple(points.shape), shape, columns)).encode())
    digest.update(points.contiguous().numpy().astype("<f8").tobytes())
    return digest.hexdigest()
