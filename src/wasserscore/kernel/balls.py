"""Which points lie in which open balls, counted without a table of all pairs."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel.keys import Queries, Rows
from wasserscore.kernel.screen import rounding
from wasserscore.kernel.stream import block_rows, tile_bytes


def in_balls(
    x: Queries, y: Rows, radii: Float[Tensor, " r"]
) -> tuple[Int[Tensor, " b"], Bool[Tensor, " n"]]:
    r"""How many open balls hold each point, and which balls hold any.

    .. math:: c_i = \#\{j : |x_i - y_j| < r_j\}, \qquad h_j = \exists i : |x_i - y_j| < r_j

    A float64 product decides, but for pairs within its rounding of a sphere: those are decided by
    differences.

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
    x64, y64, radii = x.double(), y.double(), radii.double()
    middle = y64.mean(0)
    centred = y64 - middle
    excess = (centred.square().sum(1) - radii.square()) / 2
    reach = float(centred.norm(dim=1).max() + radii.max())
    counts = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    holds = torch.zeros(len(y), dtype=torch.bool, device=x.device)
    for rows in tiles(len(x), block_rows(x)):
        query = x64[rows] - middle
        half = query.square().sum(1) / 2
        slack = rounding(query.norm(dim=1), reach, centred)
        width = max(1, tile_bytes(query) // (8 * len(query)))
        space = query.new_empty(len(query) * min(width, len(y)))
        for run in tiles(len(y), width):
            n = min(run.stop, len(y)) - run.start
            value = space[: len(query) * n].view(len(query), n)
            torch.addmm(excess[run], query, centred[run].T, alpha=-1, out=value)
            i, j = (value < (slack - half)[:, None]).nonzero(as_tuple=True)
            near = value[i, j] > -(slack + half)[i]
            inside = ~near
            inside[near] = _strictly(x64[rows][i[near]], y64[run][j[near]], radii[run][j[near]])
            counts[rows] += torch.bincount(i[inside], minlength=len(query))
            holds[run.start + j[inside]] = True
    return counts, holds


def _strictly(x: Queries, y: Queries, radii: PerPoint) -> Tensor:
    """Pair by pair, by differences."""
    return (x - y).square_().sum(1).sqrt() < radii
