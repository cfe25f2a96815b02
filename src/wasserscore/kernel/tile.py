"""One tile of logits: queries that see all of few keys at once.

Nothing runs along and no product is made but these two: in small problems the number of calls
matters more than their speed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.products import affine, faster, product
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.kernel.dense import RUN, VANISHING, in_runs
from wasserscore.kernel.few import GROUP
from wasserscore.kernel.keys import FAST, MASKED, TOLERANCE, Keys, rounding
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Sums, Values

SHORT = 256
"""Keys of one sum in tiles of more keys than a run."""
THIN = 64
"""Columns of values up to which a product the other way round is faster, up to eight times."""
PILED = 3.0
"""No more roundings than so many times the root of the columns were ever seen to pile up; how many
do is measured only where that is too much."""


class Columns(NamedTuple):
    """The columns of the table of keys, each in one piece, ``k`` long.

    In float32 zeros fill them up to whole groups, in which :mod:`~wasserscore.kernel.few` looks.

    Args:
        points: Centred keys, ``(d, k)``.
        half: Minus half their squared norms, ``(k,)``.
        log_weights: ``(k,)``.
    """

    points: Tensor
    half: Tensor
    log_weights: Tensor

    @classmethod
    def of(cls, keys: Keys, dtype: torch.dtype) -> "Columns":
        """Those of some keys, made once."""
        return keys.prepared(("columns", dtype), cls.from_table)

    @classmethod
    def from_table(cls, table: Cloud) -> "Columns":
        """As :meth:`of`, from the table."""
        n, e = table.shape
        columns = table.new_zeros(e, n + (-n % GROUP if table.dtype == torch.float32 else 0))
        columns[:, :n] = table.T
        return cls(columns[:-3], columns[-1], columns[-2])


class Tile(NamedTuple):
    """Queries and their keys.

    Args:
        keys: The keys.
        x: Centred queries, ``(q, d)``, float64.
        squared: Their squared norms, ``(q,)``.
        inverse: One over sigma squared, a number or one per query, float64.
        own: Index of the key that each query must not see, or None.
        dtype: The caller's precision.
    """

    keys: Keys
    x: Cloud
    squared: PerPoint
    inverse: float | Tensor
    own: Tensor | None
    dtype: torch.dtype

    @classmethod
    def of(cls, keys: Keys, x: Tensor, sigma: float | Tensor, own: Tensor | None) -> "Tile":
        """Queries as they come."""
        centred = x - keys.centre
        squared = torch.linalg.vecdot(centred, centred)
        return cls(keys, centred, squared, sigma**-2, own, x.dtype)

    def part(self, rows: Tensor) -> "Tile":
        """Some of the queries."""
        inverse = self.inverse if isinstance(self.inverse, float) else self.inverse[rows]
        own = None if self.own is None else self.own[rows]
        return self._replace(x=self.x[rows], squared=self.squared[rows], inverse=inverse, own=own)

    def block(self) -> Block:
        """The same for the ways that take blocks."""
        inverse = torch.as_tensor(self.inverse, dtype=torch.float64).expand(len(self.x))
        return Block(self.keys, self.x, inverse, FAST, self.dtype, self.own)

    @property
    def steepest(self) -> float:
        """The largest of one over sigma squared."""
        return self.inverse if isinstance(self.inverse, float) else float(self.inverse.max())

    def worst(self) -> float:
        """No logit of any query has a larger part than this."""
        radius, farthest = self.keys.radius, float(self.squared.max()) ** 0.5
        worst: float = (farthest + radius / 2) * radius * self.steepest + self.keys.heaviest
        return worst

    def least(self) -> float:
        """The largest part of the logits of a query is at least this."""
        radius, nearest = self.keys.radius, float(self.squared.min()) ** 0.5
        flattest = self.inverse if isinstance(self.inverse, float) else float(self.inverse.min())
        least: float = (nearest + radius / 2) * radius * flattest + self.keys.heaviest
        return least

    def size(self, far: float | PerPoint) -> PerPoint:
        """The largest part of a logit of a key ``far`` from the centre, by query, ``(q,)``."""
        return (self.squared.sqrt() + far / 2) * (self.inverse * far) + self.keys.heaviest

    def sure(self, worst: float, products: torch.dtype) -> bool:
        """Whether products in some precision are right for all, given :meth:`worst`."""
        share = rounding(self.dtype, products) * worst
        if PILED * (1 + self.x.shape[1] ** 0.5) * share <= 1:
            return True
        exact = worst <= TOLERANCE[self.dtype] / torch.finfo(products).eps
        return exact and self.keys.piled * share <= 1

    def right(self, log_sum: PerPoint, products: torch.dtype) -> Tensor:
        """For which rows they were, ``(q,)``, given logs of the sums they gave."""
        size, piled = self.size(self.keys.radius), self.keys.piled * rounding(self.dtype, products)
        exact = size <= TOLERANCE[self.dtype] / torch.finfo(products).eps
        return exact & (piled * size <= 1 + log_sum.abs())

    def logits(self, products: torch.dtype) -> Tensor:
        """What depends on the key, ``(q, k)``, by products in some precision; see Columns."""
        columns, x = Columns.of(self.keys, products), self.x.to(products)
        if isinstance(self.inverse, float):
            logits = affine(columns.half, x, columns.points, self.inverse)
        else:
            logits = affine(columns.half, x, columns.points).mul_(self.inverse[:, None])
        if self.keys.log_weights is not None:
            logits += columns.log_weights
        if logits.shape[1] > len(self.keys):
            logits[:, len(self.keys) :] = MASKED
        if self.own is not None:
            logits[torch.arange(len(x)), self.own] = MASKED
        return logits

    def weights(self, logits: Tensor, rest: torch.dtype) -> tuple[Tensor, Tensor]:
        """The largest logits ``(q,)``, and the weights ``(q, k)`` in some precision from here on.

        Spoils logits of another precision.
        """
        top = logits.amax(1)
        if rest == torch.float32:
            # a weight below e**-60 does not show, and exponentials of less are slow
            below = logits.sub_ if logits.dtype != rest else logits.sub
            logits = below(top[:, None]).to(rest).clamp_min_(-VANISHING)
        return top, logits.softmax(1)

    def sums(self, top: Tensor, weights: Tensor, values: Values, sized: bool) -> Sums:
        """The sums of what :meth:`weights` gives."""
        log_sum = top - weights.amax(1).log() - self.squared * (self.inverse / 2)  # in float64
        size = weights.square().sum(1).reciprocal() if sized else log_sum
        n, columns = len(self.keys), values.table.shape[1] - 1
        if weights.dtype == torch.float32 and n > RUN:
            made = in_runs(weights[:, :n], values.whole, SHORT)
            total = made[:, columns]  # one but for rounding
            return Sums(made[:, :columns] / total[:, None], log_sum + total.log(), size)
        if faster(weights, len(weights), n, columns):
            return Sums(product(weights[:, :n], values.whole)[:, :columns], log_sum, size)
        if values.are_keys:
            wanted = Columns.of(self.keys, weights.dtype).points
        else:
            wanted = values.table[:, :-1].to(weights.dtype).T
        if wanted.shape[1] != weights.shape[1]:
            wanted, weights = wanted[:, :n], weights[:, :n]
        mean = (wanted @ weights.T).T if len(wanted) <= THIN else weights @ wanted.T
        return Sums(mean, log_sum, size)

    def norms(self, weights: Tensor) -> PerPoint:
        """Means of the keys' squared norms, ``(q,)``."""
        return -2 * (weights @ Columns.of(self.keys, weights.dtype).half)
