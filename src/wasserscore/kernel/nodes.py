r"""Chebyshev nodes that stand for keys of few coordinates where the kernel is wide.

As a function of the key, a kernel that is wide beside a cell of keys is nearly a polynomial, so
with the nodes :math:`\xi_m` of the cell and their Lagrange polynomials :math:`L_m`

.. math:: \sum_j e^{b_j - |x - y_j|^2 / 2 \sigma^2} v_j \approx
          \sum_m W_m e^{-|x - \xi_m|^2 / 2 \sigma^2}, \qquad W_m = \sum_j L_m(y_j) e^{b_j} v_j .

Nodes form a grid and the kernel is a product over its axes, so a query takes one product with the
table W and as many exponentials as the axes have nodes, however many keys there are. The tables
hold at every sigma. Cells are halved again and again, as often as the largest table may have it;
a coarser table is made of the next finer one, and that is exact: a polynomial of a cell is one of
its halves.

Source: :cite:p:`fong2009`, sections 2 and 3.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint, Vector
from wasserscore.kernel.boxes import away
from wasserscore.kernel.keys import MASKED, Rows

F64 = torch.float64
ORDERS = {1: 20, 2: 20, 3: 12}
"""Nodes of a cell along each axis, by the number of coordinates."""
HALVED = {1: 5, 2: 2, 3: 1}
"""Halvings of the box into parts from which distances are taken, at most 32."""
NUMBERS = 2**18
"""Of keys times columns times nodes that are made at once."""
THINNEST = 2.0**-20
"""Shares of the longest side below which a side of a box is taken for longer than it is."""


class Box(NamedTuple):
    """The box of the keys.

    Args:
        low: Least coordinates, ``(d,)``, float64.
        across: Lengths of its sides, ``(d,)``.
        spared: How often each side is halved less often than the longest.
        parts: Least and largest coordinates of the keys in its larger cells, ``(2, k, d)``, those
            that are seen at all.
    """

    low: Vector
    across: Vector
    spared: list[int]
    parts: Tensor

    @classmethod
    def of(cls, table: Cloud) -> "Box":
        """From the keys' table."""
        low = table[:, :-3].amin(0)
        across = table[:, :-3].amax(0) - low
        longest = float(across.max()) or 1.0
        across = across.clamp_min(THINNEST * longest)
        spared = [int(math.log2(longest / side)) for side in across.tolist()]
        seen = table[table[:, -2] > MASKED, :-3]
        _, cell = cls(low, across, spared, seen[None]).places(seen, HALVED[len(spared)])
        held, where = cell.unique(return_inverse=True)
        empty, where = seen.new_zeros(len(held), len(spared)), where[:, None].expand_as(seen)
        ends = [empty.scatter_reduce(0, where, seen, how, include_self=False)
                for how in ("amin", "amax")]  # fmt: skip
        return cls(low, across, spared, torch.stack(ends))

    def away(self, x: Cloud) -> PerPoint:
        """Squared distances of points to the nearest of its parts."""
        low, high = self.parts
        return away(x, low.T, high.T).amin(1)

    def places(self, points: Cloud, level: int) -> tuple[Cloud, Int[Tensor, " n"]]:
        """Where in its cell a point is, from -1 to 1, and in which; last axes count first."""
        cells = torch.tensor(self.cells(level))
        place = (points - self.low) / self.across * cells
        cell = place.long().minimum(cells - 1)
        code = cell[:, 0]
        for count, along in zip(cells[1:], cell.T[1:], strict=True):
            code = code * count + along
        return 2 * (place - cell) - 1, code

    def cells(self, level: int) -> list[int]:
        """Cells along each axis: on every level the longest are halved."""
        return [2 ** max(0, level - spared) for spared in self.spared]


class Axis(NamedTuple):
    """An axis on some level.

    Args:
        nodes: Their coordinates.
        middles: Those of the cells' middles.
        half: Half a cell's length.
    """

    nodes: Vector
    middles: Vector
    half: float


class Nodes:
    """Weighted values of keys at the nodes of cells, on every level up to the finest.

    Args:
        box: The box of the keys.
        points: The keys, ``(n, d)``.
        values: What is summed, times the keys' weights; last the weights themselves, ``(n, c)``.
        finest: The finest level.
    """

    def __init__(self, box: Box, points: Cloud, values: Rows, finest: int) -> None:
        self.box, self.finest, self.order = box, finest, ORDERS[points.shape[1]]
        self._tables = {finest: self._filled(points, values)}
        self._masses: dict[int, Tensor] = {}
        self._axes: dict[int, list[Axis]] = {}

    def table(self, level: int) -> Tensor:
        """W: nodes of the first axis, columns, nodes of the other axes."""
        if level not in self._tables:
            self._tables[level] = self._joined(level)
        return self._tables[level]

    def masses(self, level: int) -> Tensor:
        """Weights of cells: of the first axis, one column, of the other axes."""
        if level not in self._masses:
            mass = self.table(level)[:, -1:]
            for axis, cells in enumerate(self.box.cells(level)):
                # Lagrange polynomials sum to one, so the nodes of a cell to its weight
                mass = mass.unflatten(_place(axis), (cells, self.order)).sum(_place(axis) + 1)
            self._masses[level] = mass.clamp_min(0)
        return self._masses[level]

    def axes(self, level: int) -> list[Axis]:
        """All axes."""
        if level not in self._axes:
            sides = zip(self.box.low, self.box.across.tolist(), self.box.cells(level), strict=True)
            self._axes[level] = [self._axis(*side) for side in sides]
        return self._axes[level]

    def _axis(self, low: Tensor, across: float, cells: int) -> Axis:
        half = across / (2 * cells)
        middles = low + half * (2 * torch.arange(cells, dtype=F64) + 1)
        return Axis((middles[:, None] + half * chebyshev(self.order)).flatten(), middles, half)

    def _filled(self, points: Cloud, values: Rows) -> Tensor:
        """The finest table, cell by cell."""
        cells, p, c = self.box.cells(self.finest), self.order, values.shape[1]
        place, code = self.box.places(points, self.finest)
        order = code.argsort(stable=True)
        out = values.new_zeros(math.prod(cells), p, c * p ** (len(cells) - 1))
        for part in tiles(len(order), max(1, NUMBERS // out.shape[2])):
            keys = order[part]
            first, *others = lagrange(place[keys].T, p)
            rows = values[keys]
            for along in others:
                rows = (rows[:, :, None] * along[:, None]).flatten(1)
            held, sizes = (a.tolist() for a in code[keys].unique_consecutive(return_counts=True))
            pieces = zip(held, first.split(sizes), rows.split(sizes), strict=True)
            for here, weights, wanted in pieces:
                out[here].addmm_(weights.T, wanted)
        return _by_axes(out, cells, p)

    def _joined(self, level: int) -> Tensor:
        """A table from that of the next finer level."""
        finer, halves = self.table(level + 1), self._halves()
        for axis, cells in enumerate(self.box.cells(level)):
            if cells < self.box.cells(level + 1)[axis]:
                pairs = finer.movedim(_place(axis), -1).unflatten(-1, (cells, 2 * self.order))
                finer = (pairs @ halves).flatten(-2).movedim(-1, _place(axis))
        return finer.contiguous()

    def _halves(self) -> Tensor:
        """From nodes of two halves to those of the whole cell, ``(2 p, p)``."""
        nodes = chebyshev(self.order) / 2
        return lagrange(torch.cat([nodes - 0.5, nodes + 0.5]), self.order)


def chebyshev(p: int) -> Vector:
    """The Chebyshev nodes of the first kind in [-1, 1], ``(p,)``."""
    return torch.cos((2 * torch.arange(p, dtype=F64) + 1) * (math.pi / (2 * p)))


def lagrange(u: Tensor, p: int) -> Tensor:
    """The Lagrange polynomials of p Chebyshev nodes at points of [-1, 1], one more axis of p.

    As sums of Chebyshev polynomials, which are right at the nodes, too.
    """
    scale = torch.full((p, 1), 2 / p, dtype=F64)
    scale[0] /= 2
    return _polynomials(u, p) @ (scale * _polynomials(chebyshev(p), p).T)


def _polynomials(u: Tensor, p: int) -> Tensor:
    """The first p Chebyshev polynomials, one more axis."""
    found = [torch.ones_like(u), u]
    while len(found) < p:
        found.append(2 * u * found[-1] - found[-2])
    return torch.stack(found, -1)


def _place(axis: int) -> int:
    """Where a table has an axis: its columns come second."""
    return axis + (axis > 0)


def _by_axes(filled: Tensor, cells: list[int], p: int) -> Tensor:
    """From cells, their first nodes, and columns and other nodes: a table."""
    d = len(cells)
    apart = filled.view(*cells, p, -1, *[p] * (d - 1))
    others = [k for axis in range(1, d) for k in (axis, d + 1 + axis)]
    return apart.permute(0, d, d + 1, *others).reshape(
        cells[0] * p, -1, *[count * p for count in cells[1:]]
    )
