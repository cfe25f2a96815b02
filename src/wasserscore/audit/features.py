"""The space in which distances are taken: the rows as given, principal components, or a map."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.numbers import spelled
from wasserscore.core.tensors import as_points

COMPONENTS = 64
"""At most so many principal components."""
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
        # Eigenvectors of the covariance: a decomposition of all rows would hold as many again.
        centred = flat - centre
        basis = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :COMPONENTS]
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
