"""The space in which distances are taken: the rows as given, principal components, or a map."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import spectrum
from wasserscore.core.numbers import spelled
from wasserscore.core.tensors import as_points

COMPONENTS = 64
"""At most so many principal components."""
ROUNDING = 1e-12
"""Variance of a component of standardised columns, in parts of the largest, that is rounding."""
Features = Callable[[Tensor], Any] | str | None


def feature_map(features: Features, train: Tensor) -> tuple[Callable[[Tensor], Tensor], str]:
    """A map from rows to float64 points (n, k), and its name.

    Args:
        features: None for the rows themselves, ``"pca"`` for at most 64 principal components of
            the training rows, or a map of a tensor of rows to (n, k) numbers.
        train: The training rows.

    Raises:
        InputError: For an unknown name; from the map, if it does not give a point per row.
    """
    if features is None:
        return _flat, "rows as given"
    if isinstance(features, str):
        require(features == "pca", 'features must be "pca", a map of rows, or None',
                got=repr(features))  # fmt: skip
        flat = _flat(train)
        centre = flat.mean(0)
        centred = flat - centre
        values, axes = spectrum(centred)
        basis = axes.flip(1)[:, :COMPONENTS]
        if len(values) > COMPONENTS and values[-COMPONENTS] < ROUNDING * values[-1]:
            # where rows do not differ any directions would do
            basis = basis[:, : _rank(centred)]
        return lambda rows: (_flat(rows) - centre) @ basis, f"{basis.shape[1]} components of train"
    given = features

    def embed(rows: Tensor) -> Tensor:
        points = as_points(given(rows), "features").cpu()
        require(len(points) == len(rows), "features must return one row per row",
                got=f"{len(points)} for {len(rows)}")  # fmt: skip
        return _flat(points)

    return embed, getattr(features, "__name__", "features")


def _flat(rows: Tensor) -> Tensor:
    return spelled(rows.flatten(1))


def _rank(centred: Tensor) -> int:
    """In how many directions rows differ, whatever the units of their columns."""
    size = centred.norm(dim=0)
    values, _ = spectrum(centred / size.masked_fill(size == 0, 1.0))
    return int((values >= ROUNDING * values[-1]).sum())
