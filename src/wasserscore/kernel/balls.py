"""Which points lie in which open balls, counted without a table of all pairs."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint, Vector
from wasserscore.kernel.halved import Halved, middle, pays, rounding
from wasserscore.kernel.keys import Queries, Rows
from wasserscore.kernel.stream import block_rows, tile_bytes

FEW = 8
"""Undecided pairs of a point up to which they are decided by differences."""


def in_balls(
    x: Queries, y: Rows, radii: Float[Tensor, " r"]
) -> tuple[Int[Tensor, " b"], Bool[Tensor, " n"]]:
    r"""How many open balls hold each point, and which balls hold any.

    .. math:: c_i = \#\{j : |x_i - y_j| < r_j\}, \qquad h_j = \exists i : |x_i - y_j| < r_j

    Products decide, of bfloat16 numbers where these are fast and see enough, but for pairs within
    their rounding of a sphere: those are decided by differences.

    Args:
        x: Points ``(b, d)``.
        y: Centres ``(n, d)``.
        radii: ``(n,)``.

    Raises:
        InputError: For shapes that do not fit.
    """
    require(x.shape[1] == y.shape[1] and len(radii) == len(y),
            "points and centres need the same dimension, and centres a radius each",
            got=f"{tuple(x.shape)}, {tuple(y.shape)} and {len(radii)} radii")  # fmt: skip
    centre, radii = middle(y), radii.double()
    coarse = _halved(x, y, centre, radii) if pays(y) else None
    counts = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    holds = torch.zeros(len(y), dtype=torch.bool, device=x.device)
    for rows in tiles(len(x), block_rows(x)):
        points = x[rows].double()
        for run in tiles(len(y), max(1, tile_bytes(x) // (8 * len(points)))):
            found = coarse.pairs(rows, run) if coarse else None
            if found is None or int(found[2].sum()) > FEW * len(points):
                found = _exact(points - centre, y[run] - centre, radii[run]).pairs()
            i, j, near = found
            inside = ~near
            inside[near] = _strictly(points, y[run], radii[run], i[near], j[near])
            counts[rows] += torch.bincount(i[inside], minlength=len(points))
            holds[run.start + j[inside]] = True
    return counts, holds


class _Tables(NamedTuple):
    """Two tables, ``(b, c)`` and ``(n, c)``, whose products are positive inside of balls.

    Args:
        points: Of the points.
        centres: Of the centres.
        off: What products may be off, ``(b, 1)``.
    """

    points: Tensor
    centres: Tensor
    off: Tensor

    @classmethod
    def of(cls, points: Tensor, centres: Tensor, off: PerPoint) -> "_Tables":
        """Tables, and what their products may be off before they are rounded."""
        more = 1 + 2 * torch.finfo(points.dtype).eps  # it and the products are rounded
        return cls(points, centres, (off * more).to(points.dtype)[:, None])

    def pairs(
        self, rows: slice = slice(None), run: slice = slice(None)
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points and centres ``(p,)`` that may be near enough, and which of them are undecided."""
        value, off = self.points[rows] @ self.centres[run].T, self.off[rows]
        i, j = (value < -off).logical_not_().nonzero(as_tuple=True)  # NaN is undecided
        return i, j, ~(value[i, j] > off[i, 0])


def _halved(x: Queries, y: Rows, centre: Vector, radii: Tensor) -> _Tables:
    points, centres = Halved.of(x, centre), Halved.of(y, centre, radii, second=True)
    off = points.off(float(centres.norm.max() + radii.max()), float(centres.lost.max()))
    return _Tables.of(points.table, centres.table, off)


def _exact(x: Queries, y: Rows, radii: Tensor) -> _Tables:
    norm, others = x.norm(dim=1), y.norm(dim=1)
    level = (radii.square() - others.square())[:, None] / 2
    points = torch.cat([x, x.new_ones(len(x), 1), norm.square()[:, None] / -2], 1)
    centres = torch.cat([y, level, torch.ones_like(level)], 1)
    off = rounding(norm, float(others.max() + radii.max()), centres.shape[1], centres.dtype) / 2
    return _Tables.of(points, centres, off)


def _strictly(x: Queries, y: Rows, radii: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Which pairs are in, by differences."""
    inside = torch.empty(len(i), dtype=torch.bool, device=x.device)
    for part in tiles(len(i), max(1, tile_bytes(x) // (8 * x.shape[1]))):
        apart = (x[i[part]] - y[j[part]]).square_().sum(1).sqrt()
        inside[part] = apart < radii[j[part]]
    return inside
