r"""Sliced W2: the root mean square of one-dimensional W2 over random directions.

.. math:: SW_2^2(p, q) = E_{\theta \sim S^{d-1}} W_2^2(\theta \cdot p, \theta \cdot q),
          \qquad \sqrt d\, SW_2 \le W_2 .

Sorting is batched over directions, so it stays cheap where the exact distance is out of reach.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.modes import require_digits
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.core.tensors import tiles
from wasserscore.distance.clouds import as_clouds, in_unit
from wasserscore.distance.one_dim import monotone_coupling

TILE_BYTES = 2**25
"""Projections of both clouds held at once."""


def sliced_w2(x: Any, y: Any, *, projections: int = 500, seed: int = 0) -> Estimate:
    """The sliced W2 distance of two clouds, unequal sizes included (exact quantile matching).

    Not multiplied by sqrt(d). The standard error is over directions, for the clouds as they are.

    Args:
        x: Points ``(n, *shape)``, data units.
        y: Points ``(m, *shape)``.
        projections: How many directions, drawn uniformly on the sphere.
        seed: Seed of the directions; the same seed compares models along the same directions.

    Raises:
        InputError: On bad clouds or fewer than two projections.
    """
    require(projections >= 2, "projections must be at least 2", got=projections)
    x, y = as_clouds(x, y)
    unit, (x, y) = in_unit(x, y)
    squares = _squares(x, y, _directions(projections, x, seed))
    value = math.sqrt(float(squares.mean()))
    stderr = float(squares.std()) / math.sqrt(projections) / (2 * value) if value else 0.0
    return Estimate(unit * value, stderr=unit * stderr, n=min(len(x), len(y)))


def _directions(projections: int, x: Tensor, seed: int) -> Tensor:
    """Uniform unit vectors (projections, d), in float64 for float64 points."""
    z = Streams(seed).normal("sliced", 0, projections, tuple(x.shape[1:]), x.new_empty(0).double())
    unit: Tensor = z / z.norm(dim=1, keepdim=True)
    return unit.to(x.dtype)


def _squares(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Squared one-dimensional W2 (projections,), float64, in tiles of directions."""
    require_digits(x, "projections")
    n, m = len(x), len(y)
    centre = x.mean(0)  # one common shift: projections of float32 points keep their digits
    x, y = x - centre, y - centre
    a, b = (torch.full((k,), 1 / k, dtype=torch.float64) for k in (n, m))
    plan = None if n == m else monotone_coupling(a, b)
    rows = max(1, TILE_BYTES // ((n + m) * x.element_size()))
    squares = []
    for part in tiles(len(directions), rows):
        xs, ys = (_in_order(directions[part] @ cloud.mT) for cloud in (x, y))
        if plan is None:
            squares.append(xs.sub_(ys).double().square_().mean(1))
        else:
            gaps = xs[:, plan.rows.to(x.device)] - ys[:, plan.columns.to(x.device)]
            squares.append(gaps.double().square() @ plan.mass.to(x.device))
    return torch.cat(squares)


def _in_order(rows: Tensor) -> Tensor:
    """Each row sorted; on a CPU by NumPy, nine times as fast as torch."""
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: part.sort(axis=1), np.array_split(rows.numpy(), threads)))
    return rows
