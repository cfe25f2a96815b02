r"""Kernel sums by nodes that stand for the keys, with a bound of the error of every query.

Along an axis, let a cell have half length s and a query be :math:`\xi s` from its middle, and let
:math:`\kappa = s^2 / \sigma^2`. In the ellipse around :math:`[-1, 1]` with half axes a and b,
:math:`a + b = \rho`, the kernel as a function of the key is at most

.. math:: M = e^{\kappa b^2 (1 - \xi^2 / (a^2 + b^2)) / 2},

so interpolation at p Chebyshev nodes is off by at most :math:`4 M \rho^{1 - p} / (\rho - 1)`
(:cite:p:`trefethen2019`, theorem 8.2), which is least near :math:`\rho^2 = 4 (p - 1) / \kappa`.
Products over axes and sums over cells, times the weights of cells, bound the error of the sum of
weights. A query is right where that is a small share of the sum: means are then off by at most
twice that share of the largest value.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.kernel import attention
from wasserscore.kernel.keys import TOLERANCE
from wasserscore.kernel.nodes import ORDERS, Box, Nodes
from wasserscore.kernel.stream import Block, filled, tile_bytes
from wasserscore.kernel.sums import Sums, Values

F32, F64 = torch.float32, torch.float64
KEYS, COLUMNS = 3072, 8
"""Nodes pay from so many keys on, up to so many columns of values."""
QUERIES, ANEW = 64, 1024
"""And from so many queries on: keys are asked again and again, other values only once."""
LEAST_SUM = 1e-280
"""Smaller sums may have lost terms, and their bound, to underflow."""
BLOCK, LEAST = 512, 32
"""Queries of a block; of a tile, at least."""
WIDEST = {(F32, 20): 3.0, (F64, 20): 1.5, (F32, 12): 1.5, (F64, 12): 0.6}
"""Sigmas that a cell may be long, by precision and order: most queries then are right."""
REACH = 6.0
"""Sigmas from every box of keys beyond which a query is not tried."""
MULTIPLY, EXPONENTIAL = 0.04, 3.0
"""Nanoseconds, measured on a CPU."""
KEY = {F32: 1.0, F64: 2.0}
"""Nanoseconds of a key where all are seen."""
NEVER = 100
"""The level of queries that are not to be tried."""
LEVELS = 10
"""Times that a box is halved along an axis, at most."""
ROUNDING = 1e-14
"""Of kernels, and of sums over nodes, whose weights have both signs."""


def serves(whole: Block, values: Values, sized: bool) -> bool:
    """Whether nodes may stand for the keys."""
    n, d = whole.keys.points.shape
    few = d in ORDERS and values.table.shape[1] - 1 <= COLUMNS
    many = n >= KEYS and len(whole.x) >= (QUERIES if values.are_keys else ANEW)
    weighed = sized and whole.keys.log_weights is not None  # squares need tables of their own
    return few and many and not (weighed or whole.x.is_cuda)


def promising(whole: Block, sized: bool) -> Tensor:
    """The level on which to begin, ``(q,)``, or ``NEVER``."""
    box = _box(whole)
    sigma = (whole.inverse * (1 + sized)).rsqrt()  # that of squared weights is narrower
    widest = WIDEST[whole.dtype, ORDERS[whole.x.shape[1]]] * sigma
    level = (float(box.across.max()) / widest).log2().ceil().clamp(0, LEVELS + 1).long()
    near = box.away(whole.x) * whole.inverse <= REACH**2
    return level.where(near & (level <= _finest(whole)), NEVER)


def attempts(
    whole: Block, values: Values, start: Tensor
) -> Iterator[tuple[partial[tuple[Tensor, Sums]], Tensor]]:
    """Ways, from coarse to fine, and who is to be tried, ``(q,)``.

    Args:
        whole: All queries.
        values: What is averaged.
        start: What :func:`promising` gave.
    """
    first = int(start.min())
    if first == NEVER:
        return
    nodes = _nodes(whole, values)
    for level in range(first, nodes.finest + 1):
        yield partial(interpolated_sums, nodes, level), start <= level


def interpolated_sums(
    nodes: Nodes, level: int, block: Block, values: Values, sized: bool
) -> tuple[Tensor, Sums]:
    """Which queries are right ``(q,)``, and their sums.

    Args:
        nodes: Of the keys.
        level: How often their box is halved.
        block: Queries.
        values: What is averaged.
        sized: Whether effective sizes are asked for; they cost another pass.
    """
    right, sums = _checked(nodes, level, block, block.inverse)
    mean, log_sum = sums[:, :-1] / sums[:, -1:], sums[:, -1].log() + _heaviest(block)
    squares = log_sum
    if sized:
        sure, doubled = _checked(nodes, level, block, 2 * block.inverse)
        right, squares = right & sure, doubled[:, -1].log()
    if block.own is not None:
        logit = block.differences(torch.arange(len(block.x)), block.own)
        value = values.table[block.own, :-1].double()
        seen, mean, log_sum, squares = attention.without(logit, value, mean, log_sum, squares)
        right &= seen
    return right, Sums(mean, log_sum, (2 * log_sum - squares).exp())


def _checked(
    nodes: Nodes, level: int, block: Block, inverse: PerPoint
) -> tuple[Tensor, Float[Tensor, "q c"]]:
    """Which sums are right, ``(q,)``, and the sums, at one over sigma squared.

    In tiles of one size: rounding must not depend on a query's place.
    """
    table, q = nodes.table(level), len(block.x)
    size = min(q, max(LEAST, tile_bytes(table) // (table[0].nbytes + 8 * len(table))))
    sums, error = block.x.new_empty(q, table.shape[1]), block.x.new_empty(q)
    for part in tiles(q, size):
        rows = torch.arange(q)[part]
        here = filled(rows, size)
        found = _of_tile(nodes, level, block.x[here], inverse[here])
        sums[rows], error[rows] = (each[: len(rows)] for each in found)
    total = sums[:, -1]
    return (error <= TOLERANCE[block.dtype] / 4 * total) & (total > LEAST_SUM), sums


def _of_tile(nodes: Nodes, level: int, x: Cloud, inverse: PerPoint) -> tuple[Tensor, PerPoint]:
    """Sums ``(q, c)``, and how much the last one may be off, ``(q,)``."""
    kernels, sizes, errors = [], [], []
    for along, axis in zip(x.T[:, :, None], nodes.axes(level), strict=True):
        kernels.append((along - axis.nodes).square_().mul_(inverse[:, None] / -2).exp_())
        xi, kappa = (along - axis.middles) / axis.half, axis.half**2 * inverse[:, None]
        size, error = bounds(xi, kappa, nodes.order)
        sizes.append(size + error)
        errors.append(error)
    mass, off = nodes.masses(level), torch.zeros_like(inverse)
    for k, error in enumerate(errors):
        off += _product(mass, [*sizes[:k], error, *sizes[k + 1 :]])[:, 0]
    return _product(nodes.table(level), kernels), off


def bounds(xi: Tensor, kappa: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """The largest kernel in a cell, and the error of its interpolation, ``(q, cells)`` both.

    Args:
        xi: Queries from the middles of cells, in half lengths, ``(q, cells)``.
        kappa: Squares of half a length over sigma, ``(q, 1)``.
        order: Nodes of a cell.
    """
    rho = (kappa / (4 * (order - 1))).rsqrt().clamp_min(2)
    a, b = (rho + 1 / rho) / 2, (rho - 1 / rho) / 2
    grown, faded = b.square() * (kappa / 2), (a.square() + b.square()).reciprocal()
    squared, widest = xi.square(), 4 * rho ** (1 - order) / (rho - 1)
    error = (grown - squared * (grown * faded)).exp_().mul_(widest)
    size = ((xi.abs() - 1).clamp_min_(0).square_() * (kappa / -2)).exp_()
    return size, error.add_(size, alpha=ROUNDING)


def _product(table: Tensor, factors: list[Tensor]) -> Tensor:
    """A table of :class:`Nodes` summed against factors ``(q, nodes)`` of each axis, ``(q, c)``."""
    first, *others = factors
    out: Tensor = (first @ table.flatten(1)).unflatten(1, table.shape[1:])
    for factor in reversed(others):
        out = (out * factor.view(len(factor), *[1] * (out.ndim - 2), -1)).sum(-1)
    return out


def _finest(whole: Block) -> int:
    """The finest level on which a query costs less than to see all keys."""

    def found(table: Cloud) -> int:
        level, most = 0, KEY[whole.dtype] * len(table)
        while level < LEVELS and _cost(_box(whole).cells(level + 1)) <= most:
            level += 1
        return level

    finest: int = whole.keys.prepared((f"finest {whole.dtype}", F64), found)
    return finest


def _cost(cells: list[int]) -> float:
    """Nanoseconds of a query."""
    sides = [ORDERS[len(cells)] * count for count in cells]
    return MULTIPLY * (len(cells) + 1) * math.prod(sides) + EXPONENTIAL * sum(sides)


def _box(whole: Block) -> Box:
    return whole.keys.prepared(("box", F64), Box.of)


def _heaviest(block: Block) -> float:
    """The largest log weight: others are relative to it."""
    return block.keys.prepared(("heaviest", F64), lambda table: float(table[:, -2].max()))


def _nodes(whole: Block, values: Values) -> Nodes:
    """Made once for the keys; anew for other values."""

    def made(table: Cloud) -> Nodes:
        weights = (table[:, -2:-1] - _heaviest(whole)).exp()
        wanted = table[:, :-2] if values.are_keys else values.table.double()
        return Nodes(_box(whole), table[:, :-3], wanted * weights, _finest(whole))

    if values.are_keys:
        return whole.keys.prepared((f"nodes {whole.dtype}", F64), made)
    return made(whole.keys.table(F64))
