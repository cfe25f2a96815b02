"""Screens by matrix products in tiles, in coordinates around the mean.

Rows are dealt to groups, and only the largest value of each group is kept: the m nearest rows lie
in the m groups with the largest values, and sorting groups is cheaper than sorting rows.
"""

import math
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core import products
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint, Vector
from wasserscore.kernel.halved import EPS, Halved, middle, rounding
from wasserscore.kernel.keys import Queries, Rows
from wasserscore.kernel.stream import tile_bytes

CANDIDATE = 32
"""A candidate costs as much as picking from among so many groups, and one more per coordinate."""


class Found(NamedTuple):
    """Candidates of each query, and what all other rows are at least away, squared."""

    candidate: Int[Tensor, "b m"]
    outside: PerPoint


class Asked(NamedTuple):
    """Queries as products take them.

    Args:
        rows: Rows of products with the keys, ``(b, c)``.
        zero: The squared distance of a row whose value is zero, ``(b,)``.
        off: What values may be off, ``(b,)``.
    """

    rows: Tensor
    zero: PerPoint
    off: PerPoint


class Products:
    """The screened value is x.y - |y|^2/2.

    Args:
        y: Rows ``(n, d)``.
        dtype: The precision of the products.
    """

    rounded = 0.0
    """What values are off besides, relative to themselves."""

    def __init__(self, y: Rows, dtype: torch.dtype) -> None:
        self.y = y
        self.dtype = dtype

    @cached_property
    def centre(self) -> Vector:
        """The mean of the rows."""
        return middle(self.y)

    @cached_property
    def keys(self) -> Cloud:
        """The rows about their mean."""
        keys = self.y.new_empty(self.y.shape, dtype=self.dtype)
        for part in self._parts():
            keys[part] = self.y[part] - self.centre
        return keys

    @cached_property
    def minus_half(self) -> PerPoint:
        """Minus half the squared norms."""
        halves = [self.keys[part].double().square().sum(1) / -2 for part in self._parts()]
        return torch.cat(halves).to(self.dtype)

    @cached_property
    def radius(self) -> float:
        """The largest norm."""
        return float((-2 * self.minus_half.min()).sqrt())

    def __call__(self, x: Queries, m: int, own: Tensor | None) -> Found:
        """See :class:`~wasserscore.kernel.screen.Screen`."""
        asked = self._asked(x)
        query, n = asked.rows, len(self.y)
        size = self._size(m)
        groups = n // size
        highest = query.new_full((len(query), groups), -torch.inf)
        width = min(groups, max(1, tile_bytes(x) // (8 * len(query))))
        # One space for all tiles: fresh ones cost time and, between small pieces, memory.
        space = query.new_empty(len(query) * width)
        for part in tiles(groups, width):
            out = space[: len(query) * (part.stop - part.start)].view(len(query), -1)
            for first in range(0, size * groups, groups):
                run = slice(first + part.start, first + part.stop)
                value = self._values(query, run, out)
                if own is not None:
                    inside = ((own >= run.start) & (own < run.stop)).nonzero()[:, 0]
                    value[inside, own[inside] - run.start] = -torch.inf
                torch.maximum(highest[:, part], value, out=highest[:, part])
        near, group = highest.topk(min(m, groups))
        dealt = size * groups
        members = torch.arange(0, dealt, groups, device=query.device)
        rest = torch.arange(dealt, n, device=query.device).expand(len(query), -1)
        candidate = torch.cat([(group[:, None] + members[:, None]).flatten(1), rest], 1)
        last = near[:, -1].double()
        off = asked.off + self.rounded * last.abs()
        return Found(candidate, asked.zero - 2 * (last + off))

    def _asked(self, x: Queries) -> Asked:
        centred = x - self.centre
        norm = centred.norm(dim=1)
        off = rounding(norm, self.radius, self.keys.shape[1], self.dtype) / 2
        return Asked(centred.to(self.dtype), norm.square(), off)

    def _values(self, query: Tensor, run: slice, out: Tensor) -> Tensor:
        """The screened values of a run of rows, ``(b, r)``; ``out`` is space it may take."""
        return products.affine(self.minus_half[run], query, self.keys[run].T, out=out)

    def _parts(self) -> list[slice]:
        n, d = self.y.shape
        return list(tiles(n, max(1, tile_bytes(self.y) // (8 * d))))

    def _size(self, m: int) -> int:
        """Rows of a group: n / size groups to pick from, m * size candidates to compute."""
        n, d = self.y.shape
        return max(1, round(math.sqrt(n / (m * (CANDIDATE + d)))))


class Coarse(Products):
    """The same by bfloat16 numbers; the screened value is -|x - y|^2/2.

    Args:
        y: Rows ``(n, d)``, on the CPU.
    """

    rounded = EPS

    def __init__(self, y: Rows) -> None:
        super().__init__(y, torch.bfloat16)

    @cached_property
    def halved(self) -> Halved:
        """The rows about their mean."""
        return Halved.of(self.y, self.centre, second=True)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """The largest norm of a row, and of what rounding took from one."""
        return float(self.halved.norm.max()), float(self.halved.lost.max())

    def _asked(self, x: Queries) -> Asked:
        asked = Halved.of(x, self.centre)
        return Asked(asked.table, torch.zeros_like(asked.norm), asked.off(*self.reach))

    def _values(self, query: Tensor, run: slice, out: Tensor) -> Tensor:
        return torch.mm(query, self.halved.table[run].T, out=out)
