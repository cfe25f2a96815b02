"""Broadcasting, checks and fixed tiles: the only places where shapes are handled by hand."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require


def expand_like(a: Tensor | float, x: Tensor) -> Tensor:
    """``a`` of shape ``()`` or ``(b,)`` as a tensor that broadcasts over the rows of ``x``."""
    a = beside(a, x)
    return a.reshape(a.shape + (1,) * (x.ndim - a.ndim)) if a.ndim else a


def beside(a: Tensor | float, x: Tensor) -> Tensor:
    """``a`` in the precision of ``x`` and where that is.

    Noise levels are made on the CPU. A plain copy to a GPU waits until this has done all it was
    asked to do, so numbers go there by a copy that does not.
    """
    if not x.is_cuda or (isinstance(a, Tensor) and (a.is_cuda or a.requires_grad)):
        return torch.as_tensor(a, dtype=x.dtype, device=x.device)
    if not isinstance(a, Tensor):
        return torch.full((), a, dtype=x.dtype, device=x.device)
    return a.to(x.dtype).pin_memory().to(x.device, non_blocking=True)


def as_floats(x: Any, name: str) -> Tensor:
    """A floating tensor of any shape from a tensor, an array, a DataFrame or nested lists.

    Keeps float32 and float64; other number types become float64, and what a masked array or a
    column of pandas leaves out NaN. A tensor that is one already is returned itself, all else is
    copied.

    Raises:
        InputError: If these are no real numbers, or a sparse tensor.
    """
    table = hasattr(x, "to_numpy")
    if table:
        x = _frame_numbers(x)
    if isinstance(x, np.ma.MaskedArray):
        left_out = np.ma.is_masked(x) and x.dtype.kind in "fiub"
        x = np.ma.filled(x.astype(np.float64), np.nan) if left_out else x.data
    if not isinstance(x, Tensor):
        known = isinstance(x, Sequence | int | float) or hasattr(x, "__array__")
        require(known, f"{name} must be an array, a tensor or a table of numbers",
                got=f"an object of class {type(x).__name__}")  # fmt: skip
        x = np.asarray(x)
        require(x.dtype.kind in "fiub", f"{name} must be numbers", got=f"dtype {x.dtype}",
                do="take ws.data.load(table).points" if table else "")  # fmt: skip
        wanted = x.dtype if x.dtype in (np.float32, np.float64) else np.float64
        x = torch.from_numpy(np.array(x, dtype=wanted, order="C"))
    require(not x.is_complex(), f"{name} must be real numbers", got=f"dtype {x.dtype}",
            do="pass real and imaginary parts as columns")  # fmt: skip
    require(x.layout == torch.strided, f"{name} must be a dense tensor", got=f"one of {x.layout}",
            do="pass x.to_dense()")  # fmt: skip
    real: Tensor = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float64)
    return real.resolve_neg()


def _frame_numbers(frame: Any) -> Any:
    """The numbers of a frame or a column, also of pandas' types that know missing values."""
    found = frame.to_numpy()
    kinds = [getattr(kind, "kind", "O") for kind in np.atleast_1d(getattr(frame, "dtypes", "O"))]
    if found.dtype == object and all(kind in "fiub" for kind in kinds):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return found


def as_tensor(x: Any) -> Tensor:
    """Points, as :func:`as_floats` takes them; a floating tensor keeps its type, halves too.

    Raises:
        InputError: If these are no real numbers, or a sparse tensor.
    """
    plain = isinstance(x, Tensor) and x.is_floating_point() and x.layout == torch.strided
    return x if plain else as_floats(x, "points")


def as_points(x: Any, name: str = "points", *, minimum: int = 1) -> Tensor:
    """A finite floating tensor ``(n, *shape)`` from a tensor, an array or a DataFrame.

    Keeps float32 and float64; other number types become float64. Points are constants: a tensor
    that gathers gradients would carry a graph into all that is made of it, and gather some there.

    Raises:
        InputError: Names the first bad cell, or the shape that came.
    """
    x = as_floats(x, name).detach()
    came = f"shape {tuple(x.shape)}"
    require(x.ndim >= 2, f"{name} must have one row per point", got=came, do="reshape to (n, d)")
    require(x.shape[0] >= minimum, f"{name} needs at least {minimum} rows", got=x.shape[0])
    require(x[0].numel() > 0, f"{name} needs at least one column", got=came)
    bad = ~torch.isfinite(x)
    if bad.any():
        row, *column = (int(i) for i in bad.nonzero()[0])
        at = f"row {row}, column {column[0] if len(column) == 1 else column}"
        value = x[(row, *column)].item()
        do = "drop or fill such cells"
        raise InputError(explain(f"{name} must be finite", got=f"{value} at {at}", do=do))
    return torch.as_tensor(x)


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of those that hold NaN or infinity."""
    return [name for name, value in tensors.items() if not bool(value.isfinite().all())]


def same_axes(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two shapes hold as many numbers in one order: axes of length one change nothing."""
    first, second = ([k for k in shape if k != 1] for shape in (one, other))
    return first == second


def require_shape(x: Tensor, shape: tuple[int, ...], name: str = "points") -> None:
    """Refuse points ``(b, ...)`` whose numbers would be taken in another order than ``shape``'s.

    Flat rows are in that order, and axes of length one change nothing.
    """
    good = x.shape[1:].numel() == math.prod(shape)
    require(good and (x.ndim == 2 or len(shape) == 1 or same_axes(x.shape[1:], shape)),
            f"{name} must have shape (b, {', '.join(map(str, shape))})",
            got=tuple(x.shape))  # fmt: skip


def require_alike(**points: Any) -> None:
    """Refuse images of other axes than the first, and tables of other columns.

    Other pixels, or other columns, would be compared.

    Args:
        points: By name, ``(b, *shape)``; rows without axes or names may stand for any.
    """
    images = {name: tuple(x.shape[1:]) for name, x in points.items()
              if getattr(x, "ndim", 0) > 2}  # fmt: skip
    for name, shape in images.items():
        first = next(iter(images))
        apart = math.prod(shape) != math.prod(images[first])  # said elsewhere
        require(apart or same_axes(shape, images[first]),
                f"{name} must have the axes of {first}, {images[first]}", got=shape,
                do="put channels first, or last, in both")  # fmt: skip
    tables = {name: list(getattr(x, "column_names", x.columns)) for name, x in points.items()
              if hasattr(x, "columns")}  # fmt: skip
    named = {name: own for name, own in tables.items() if all(isinstance(k, str) for k in own)}
    for name, columns in named.items():
        first = next(iter(named))
        require(columns == named[first], f"{name} must have the columns of {first} in their order,"
                f" {', '.join(named[first][:8])}", got=", ".join(columns[:8]))  # fmt: skip


@cache
def tile_rows(shape: tuple[int, ...], device: str = "cpu") -> int:
    """How many rows one evaluation takes: fixed by the shape of a point, never by a batch.

    On the CPU 64, which a matrix product needs to be fast and which a small batch still fills; up
    to 256 where points are so small that the cost of a call shows; fewer where they are huge. A
    multiple of 16, so that no row falls into the odd tail of a vector register. On a GPU, whose
    calls cost more and whose cores are many, eight times as many.
    """
    numel = max(1, math.prod(shape))
    if device == "cuda":
        return 8 * tile_rows(shape)
    return max(16, min(256, max(64, 2**12 // numel), 2**20 // numel) // 16 * 16)


def tiles(n: int, rows: int) -> Iterator[slice]:
    """Slices of at most ``rows`` rows that cover ``range(n)``."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def cuts(n: int, parts: int, unit: int = 1) -> list[slice]:
    """``range(n)`` in ``parts`` slices of nearly one length, each a multiple of ``unit``.

    The last ends at ``n``; some are empty where there are fewer units than parts.

    >>> cuts(10, 3, 4)
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    units = -(-n // unit)
    ends = [min(n, units * part // parts * unit) for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def in_tiles(function: Callable[..., Tensor], x: Tensor, *others: Tensor) -> Tensor:
    """``function(x, *others)`` in fixed tiles of rows, the last one padded with its first row.

    The number of rows in a matrix product changes float rounding; a fixed number makes each row's
    result independent of how many rows came with it.
    """
    rows, results = tile_rows(x.shape[1:], x.device.type), []
    if x.shape[0] == rows:
        return function(x, *others)
    for part in tiles(x.shape[0], rows):
        short = rows - (part.stop - part.start)
        pieces = [a[part] for a in (x, *others)]
        if short:
            pieces = [torch.cat([a, a[:1].expand(short, *a.shape[1:])]) for a in pieces]
        result = function(*pieces)
        results.append(result[:-short] if short else result)
    return torch.cat(results) if results else function(x, *others)
