"""The tiles of a kernel sum: logits of a block of queries against a run of keys.

Memory: one tile of logits (``TILE_BYTES``), its copy in the caller's precision, and on the exact
level as much again for differences; never queries x keys x coordinates, whatever the sizes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from wasserscore.core.products import product
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.kernel.keys import (
    EXACT,
    FAST,
    LARGEST_FAST,
    MASKED,
    Keys,
    largest_double,
    rounding,
)

TILE_BYTES = 2**21
"""Size of one tile of float64 logits."""
ROWS = 128
"""Queries of one block, more where the keys are few; never set by the values in it."""
WIDE, WIDE_TILES, WIDE_ROWS = 1024, 2, 4
"""From so many coordinates on, products need so many times more of both to reach their speed."""
SMALL = {16: 2.0, 64: 1.4}
"""Sizes of smaller blocks, and how many times as long a query takes there."""
GPU_TILES, GPU_ROWS = 2**7, 2**5
"""A GPU, whose memory is larger and whose calls are dearer, takes so many times more of both."""
NEGLIGIBLE = 45.0
"""Nats below the largest logit at which a key no longer matters (e**-45 = 3e-20)."""


@dataclass(frozen=True, eq=False)
class Block:
    """A block of queries on one level.

    Args:
        keys: The keys.
        x: Centred queries ``(q, d)``, float64.
        inverse: One over sigma squared ``(q,)``, float64.
        level: FAST, DOUBLE or EXACT, for the whole block.
        dtype: The caller's precision.
        own: Index of the key that each query must not see, or None.
    """

    keys: Keys
    x: Cloud
    inverse: PerPoint
    level: int
    dtype: torch.dtype
    own: Tensor | None

    @classmethod
    def of(cls, keys: Keys, x: Tensor, sigma: PerPoint, own: Tensor | None = None) -> "Block":
        """All queries, as they come, on the FAST level."""
        return cls(keys, x - keys.centre, sigma.pow(-2), FAST, x.dtype, own)

    def part(self, rows: Tensor, level: int) -> "Block":
        """Some of the queries on some level."""
        own = None if self.own is None else self.own[rows]
        return replace(self, x=self.x[rows], inverse=self.inverse[rows], level=level, own=own)

    @cached_property
    def squared(self) -> PerPoint:
        """Squared norms of the queries, ``(q,)``."""
        return self.x.square().sum(1)

    @cached_property
    def norm(self) -> PerPoint:
        """Norms of the queries, ``(q,)``."""
        return self.squared.sqrt()

    @cached_property
    def size(self) -> PerPoint:
        """The largest part of any logit, ``(q,)``: epsilon of it is rounding."""
        size = (self.norm + self.keys.radius / 2) * (self.inverse * self.keys.radius)
        return size if self.keys.log_weights is None else size + self.keys.heaviest

    def levels(self) -> Tensor:
        """The level that each query needs, ``(q,)``: it depends on that query alone."""
        return (self.size > LARGEST_FAST).long() + (self.size > largest_double(self.dtype)).long()

    @property
    def precision(self) -> torch.dtype:
        """Of the products."""
        return self.dtype if self.level == FAST else torch.float64

    def hold(self, log_sum: PerPoint) -> Tensor:
        """Whether logs of sums show no rounding of the products, ``(q,)``."""
        if self.level == EXACT:
            return torch.ones_like(log_sum, dtype=torch.bool)
        piled = self.keys.piled * rounding(self.dtype, self.precision)
        return piled * self.size <= 1 + log_sum.abs()

    def queries(self) -> Tensor:
        r"""Rows :math:`(x / \sigma^2, 0, 1, 1 / \sigma^2)`: times rows of the table, logits."""
        one, scaled = self.x.new_tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        ends = torch.addr(one, self.inverse, scaled)
        return torch.cat([self.x * self.inverse[:, None], ends], 1)

    def runs(self) -> list[slice]:
        """The runs of keys: as many per tile as fit beside this number of queries."""
        rows = max(len(self.x), 1)
        return list(tiles(len(self.keys), max(256, tile_bytes(self.x) // (8 * rows))))

    def logits(self, reference: PerPoint) -> Iterator[tuple[slice, Tensor]]:
        """Logits ``(q, k)`` of one run of keys after another; the caller may overwrite them.

        On the EXACT level they are -|x - y|^2 / 2 sigma^2 + b; on the others the part of it that
        depends on the key (add :meth:`offset`).

        Args:
            reference: The largest logit so far ``(q,)``; the caller raises it in place. Only keys
                that come near it are computed by differences.
        """
        table = self.keys.table(self.precision)
        queries = self.queries().to(self.precision)
        runs = self.runs()
        space = queries.new_empty(len(self.x) * (runs[0].stop - runs[0].start))
        for run in runs:
            k = run.stop - run.start
            out = space[: len(self.x) * k].view(len(self.x), k)
            out = product(queries, table[run].T, out=out)
            if self.level == EXACT:
                out += self._shift()[:, None]
                self._refine(out, run, reference)
            self.hide(out, run)
            yield run, out

    def hide(self, logits: Tensor, run: slice, rows: Tensor | None = None) -> None:
        """Masks the keys that queries (some ``rows``) must not see, in the logits of a run."""
        if self.own is not None:
            own = self.own if rows is None else self.own[rows]
            inside = ((own >= run.start) & (own < run.stop)).nonzero()[:, 0]
            logits[inside, own[inside] - run.start] = MASKED

    def offset(self) -> PerPoint:
        """What :meth:`logits` left out, ``(q,)``."""
        return torch.zeros_like(self.inverse) if self.level == EXACT else self._shift()

    def _shift(self) -> PerPoint:
        return self.squared * self.inverse / -2

    def _refine(self, out: Tensor, run: slice, reference: PerPoint) -> None:
        """Replace the logits that can matter by their values from differences."""
        error = (
            4 * torch.finfo(torch.float64).eps * (self.norm + self.keys.radius) ** 2 * self.inverse
        )
        top = torch.maximum(out.amax(1), reference)
        rows, columns = (out > (top - NEGLIGIBLE - 2 * error)[:, None]).nonzero(as_tuple=True)
        out[rows, columns] = self.differences(rows, run.start + columns)

    def differences(self, rows: Tensor, keys: Tensor) -> PerPoint:
        """Logits of queries ``(p,)`` and their keys ``(p,)`` by differences, float64."""
        table, out = self.keys.table(torch.float64), self.x.new_empty(len(rows))
        for part in tiles(len(rows), max(1, tile_bytes(self.x) // (8 * self.x.shape[1]))):
            row, there = rows[part], table[keys[part]]
            squared = (there[:, :-3] - self.x[row]).square_().sum(1)
            out[part] = there[:, -2] - squared * self.inverse[row] / 2
        return out


def tile_bytes(x: Tensor) -> int:
    """Size of one tile on the device of ``x``."""
    if x.is_cuda:
        return TILE_BYTES * GPU_TILES
    return TILE_BYTES * (WIDE_TILES if x.shape[-1] >= WIDE else 1)


def block_size(whole: Block) -> int:
    """Queries of a block: what fits a tile, or all."""
    fitting = min(2048, TILE_BYTES // (8 * len(whole.keys)))
    return min(len(whole.x), max(block_rows(whole.x), fitting))


def block_rows(x: Tensor) -> int:
    """Queries of one block on the device of ``x``."""
    if x.is_cuda:
        return ROWS * GPU_ROWS
    return ROWS * (WIDE_ROWS if x.shape[-1] >= WIDE else 1)


def blocks(
    whole: Block, rows: Tensor, level: int, size: int | None = None
) -> Iterator[tuple[Tensor, Block]]:
    """Some of the queries on one level, in blocks: (their indices, the block).

    Blocks have one size, and the last one is filled up with its first query: so rounding does not
    depend on the company of a query where the size does not.

    Args:
        whole: All queries.
        rows: Which of them, ``(q,)`` true or false.
        level: FAST, DOUBLE or EXACT.
        size: Queries of a block; None takes what fits a tile.
    """
    size = min(size or block_size(whole), len(whole.x))
    index = rows.nonzero()[:, 0]
    if len(index) == size == len(whole.x):
        yield index, replace(whole, level=level)
        return
    for part in tiles(len(index), size):
        here = index[part]
        yield here, whole.part(filled(here, size), level)


def arranged(
    whole: Block, rows: Tensor, level: int, size: int | None
) -> Iterator[tuple[Tensor, Block]]:
    """Some of the queries as :func:`blocks` has them, in smaller blocks if these are few.

    Args:
        whole: All queries.
        rows: Which of them, ``(q,)`` true or false.
        level: FAST, DOUBLE or EXACT.
        size: Queries of a block; None takes all in place, also those that are not asked for, as
            some products round a row by its place.
    """
    count, most = int(rows.sum()), size or len(rows)
    smaller = SMALL if not whole.x.is_cuda else {}
    costs = {each: -(-count // each) * each * times for each, times in smaller.items()}
    best = min(costs, key=costs.__getitem__, default=most)
    if costs.get(best, torch.inf) < -(-count // most) * most:
        yield from blocks(whole, rows, level, best)
    elif size:
        yield from blocks(whole, rows, level, size)
    elif count:
        yield torch.arange(len(rows), device=rows.device), whole


def filled(rows: Tensor, size: int) -> Tensor:
    """The rows of a block of :func:`blocks`, with the first one again at its end."""
    return torch.cat([rows, rows[:1].expand(size - len(rows))])
