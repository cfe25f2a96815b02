"""Who goes with whom: two clouds paired anew, exactly where they are small, by mode where not.

Any pairing makes a valid coupling, so none of this has to be optimal; it has to be near, and
cheap for clouds of many thousands of points.
"""

from typing import NamedTuple

import numpy as np
import ot
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from wasserscore.core.tensors import tiles

DENSE = 1024
"""Clouds, and members of one mode, up to this size are assigned exactly."""
LEFT = 4096
"""Points without a partner in their mode are transported in blocks of at most this size."""


class Side(NamedTuple):
    """One of two clouds: where its points are going, and in which mode each of them is."""

    x: Tensor
    mode: Tensor

    def rows(self, index: Tensor) -> "Side":
        """Some of the points."""
        return Side(self.x[index], self.mode[index])


def paired(one: Side, two: Side) -> Tensor:
    """Row of ``one`` for every row of ``two``, a permutation.

    Small clouds by assignment. In large ones a pair that is in one mode stays; the others find a
    partner in their own mode, by assignment, as far as there are enough; what is left is
    transported from mode to mode.

    Args:
        one: The cloud that is put in order; row i is the partner of row i until now.
        two: The other cloud, as large.
    """
    n, device = len(two.x), two.x.device
    if n <= DENSE or not torch.isfinite(two.x).all():
        return assignment(one.x, two.x)
    one, two = (Side(side.x.cpu(), side.mode.cpu()) for side in (one, two))
    order = torch.arange(n)
    free = (one.mode != two.mode).nonzero()[:, 0]
    rows, columns = within(one.rows(free), two.rows(free))
    order[free[rows]] = free[columns]
    left_two, left_one = (free[_others(rows, len(free))], free[_others(columns, len(free))])
    rows, columns = between(one.rows(left_one), two.rows(left_two))
    order[left_two[rows]] = left_one[columns]
    return order.to(device)


def assignment(x: Tensor, y: Tensor) -> Tensor:
    """The order of ``x`` that is nearest to ``y`` in mean square."""
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        return torch.arange(len(x), device=x.device)
    order = linear_sum_assignment(_costs(x.cpu(), y.cpu()))[1]
    return torch.from_numpy(order).to(x.device)


def within(one: Side, two: Side) -> tuple[Tensor, Tensor]:
    """Pairs (row of ``two``, row of ``one``) inside each mode, as many as the rarer side has."""
    first, second = (side.mode.argsort(stable=True) for side in (one, two))
    rows, columns = list[Tensor](), list[Tensor]()
    modes = torch.unique(two.mode)
    cuts = [
        [torch.searchsorted(side.mode[by], modes, right=right).tolist() for right in (False, True)]
        for side, by in ((one, first), (two, second))
    ]
    for a, b, c, d in zip(*cuts[0], *cuts[1], strict=True):
        for here, there in zip(first[a:b].split(DENSE), second[c:d].split(DENSE), strict=False):
            i, j = linear_sum_assignment(_costs(one.x[here], two.x[there]))
            rows.append(there[torch.from_numpy(i)])
            columns.append(here[torch.from_numpy(j)])
    return _joined(rows), _joined(columns)


def between(one: Side, two: Side) -> tuple[Tensor, Tensor]:
    """Pairs (row of ``two``, row of ``one``) by transport of the modes' counts, all rows.

    Many points are first cut into blocks along the direction in which they differ most.
    """
    rows, columns = list[Tensor](), list[Tensor]()
    blocks = list(tiles(len(two.x), LEFT))
    first, second = torch.arange(len(one.x)), torch.arange(len(two.x))
    if len(blocks) > 1:
        axis = _widest(two.x)
        first, second = ((side.x @ axis).argsort() for side in (one, two))
    for block in blocks:
        here, there = first[block], second[block]
        i, j = _transported(one.rows(here), two.rows(there))
        rows.append(there[i])
        columns.append(here[j])
    return _joined(rows), _joined(columns)


def _widest(x: Tensor) -> Tensor:
    """About the direction in which points differ most, by a few powers of their covariance."""
    centred = x - x.mean(0)
    axis = centred[int(centred.norm(dim=1).argmax())]
    for _ in range(8):
        axis = torch.nn.functional.normalize(axis @ centred.T @ centred, dim=0)
    return axis


def _transported(one: Side, two: Side) -> tuple[Tensor, Tensor]:
    """Rows of ``two`` and ``one`` in matching order, for as many points on both sides."""
    counts, middles = zip(*(_summary(side) for side in (two, one)), strict=True)
    plan = torch.from_numpy(
        ot.emd(*(c.double().numpy() for c in counts), _costs(middles[1], middles[0]),
               numItermax=10**7)
    )  # fmt: skip
    i, j = (plan > 0.5).nonzero(as_tuple=True)
    target = j.repeat_interleave(plan[i, j].round().long())
    by_two, by_one = two.mode.argsort(stable=True), one.mode.argsort(stable=True)
    moved = torch.empty_like(by_one)
    if len(target) != len(moved):  # a plan that the solver did not finish: any order will do
        return by_two, by_one
    moved[target.argsort(stable=True)] = by_one
    return by_two, moved


def _summary(side: Side) -> tuple[Tensor, Tensor]:
    """How many points each mode has, in the modes' order, and their mean."""
    _, mode, counts = torch.unique(side.mode, return_inverse=True, return_counts=True)
    total = side.x.new_zeros(len(counts), side.x.shape[1]).index_add_(0, mode, side.x)
    return counts, total / counts[:, None]


def _costs(x: Tensor, y: Tensor) -> np.ndarray:
    """Squared distances, a row for each row of ``y``."""
    return np.asarray(cdist(y.numpy(), x.numpy(), "sqeuclidean"))


def _others(rows: Tensor, n: int) -> Tensor:
    keep = torch.ones(n, dtype=torch.bool)
    keep[rows] = False
    return keep.nonzero()[:, 0]


def _joined(rows: list[Tensor]) -> Tensor:
    return torch.cat(rows) if rows else torch.empty(0, dtype=torch.int64)
