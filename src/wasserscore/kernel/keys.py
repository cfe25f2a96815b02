r"""A cloud of keys, prepared once: centred, with norms, ready for matrix products.

The logit of query :math:`x` and key :math:`y_j` is, up to a term without :math:`j`,

.. math:: \ell_j = (x \cdot y_j - |y_j|^2 / 2) / \sigma^2 + b_j,

one matrix product with two more columns. Its rounding error is about
:math:`\epsilon (|x| R + R^2 / 2) / \sigma^2`, where :math:`R` is the largest norm of a centred
key: nothing at large :math:`\sigma`, everything at small. So each query takes the cheapest of
three levels whose bound holds:

========  =====================================================================================
FAST      float32 products are right; they are made in the caller's own precision
DOUBLE    the product in float64, the exponentials and sums in the caller's precision
EXACT     as DOUBLE, then every key that can matter again by differences, in float64
========  =====================================================================================

On the last two, few keys may matter, and then only those are computed, by differences.

The level of a query depends on that query alone, so rows never influence each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core import products
from wasserscore.core.errors import require
from wasserscore.core.tensors import as_points
from wasserscore.core.typing import Cloud, Vector

T = TypeVar("T")
Queries = Float[Tensor, "b d"]
"""Points at which a kernel sum is asked."""
Rows = Float[Tensor, "n e"]
"""Points, or values, that are summed over."""
LogWeights = Float[Tensor, " w"]
"""One additive logit per key."""
FAST, DOUBLE, EXACT = 0, 1, 2
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}
"""The rounding error of a logit, in nats, that a level may have."""
LARGEST_FAST = TOLERANCE[torch.float32] / torch.finfo(torch.float32).eps
"""Logits whose parts are all smaller are right in float32."""


@cache
def largest_double(dtype: torch.dtype) -> float:
    """Logits whose parts are all smaller are right in float64, for a caller's precision."""
    return TOLERANCE[dtype] / torch.finfo(torch.float64).eps


def rounding(dtype: torch.dtype, products: torch.dtype) -> float:
    """One rounding of a part of a logit, of size one, beside what a log of a sum may be off."""
    return torch.finfo(products).eps / (4 * TOLERANCE[dtype])


ASKED, SCALES = 16, 32
"""Of so many keys roundings are measured, at so many scales."""
MODERATE = 1e-15, 1e15
"""Between these, squares and their inverses are float32 numbers with all digits."""
MASKED = -1e30
"""The logit of a key that must not be seen (finite, so that products stay finite)."""


@dataclass(frozen=True, eq=False)
class Keys:
    """Keys of a kernel sum.

    Args:
        points: The keys, ``(n, d)``; they are not copied.
        log_weights: One additive logit per key, ``(n,)``; ``-inf`` hides a key.

    Raises:
        InputError: Without any key in sight, or with a number that is not finite.
    """

    points: Cloud
    log_weights: LogWeights | None = None

    def __post_init__(self) -> None:
        as_points(self.points, "keys")
        require(self.points.ndim == 2, "keys must have shape (n, d)", got=tuple(self.points.shape))
        if self.log_weights is None:
            return
        require(self.log_weights.shape == (len(self),), "log_weights needs one number per key",
                got=tuple(self.log_weights.shape))  # fmt: skip
        bad = self.log_weights[~(self.log_weights < torch.inf)]
        require(
            not len(bad), "log_weights must be finite or -inf", got=[float(w) for w in bad[:1]]
        )
        require(self.visible > 0, "at least one key must have a finite log weight", got="none")

    def __len__(self) -> int:
        return self.points.shape[0]

    @cached_property
    def visible(self) -> int:
        """How many keys are not hidden by their weight."""
        if self.log_weights is None:
            return len(self)
        return int((self.log_weights > -torch.inf).sum())

    @cached_property
    def centre(self) -> Vector:
        """The mean of the keys, float64."""
        return self.points.mean(0, dtype=torch.float64)

    @cached_property
    def radius(self) -> float:
        """The largest norm of a centred key."""
        return float((-2 * self.table(torch.float64)[:, -1].min()).sqrt())

    @cached_property
    def unit(self) -> float:
        """One, or a power of two near the size of keys whose squares float32 does not hold."""
        if MODERATE[0] < self.radius < MODERATE[1]:
            return 1.0
        size = float((self.points - self.centre).abs().max())
        return 2.0 ** round(math.log2(size)) if size > 0 else 1.0

    @cached_property
    def in_units(self) -> "Keys":
        """The keys in that unit."""
        return Keys(self.points.double() / self.unit, self.log_weights)

    @cached_property
    def piled(self) -> float:
        """How many roundings a float32 product of a key and itself is off, of some keys the most.

        Those of all terms pile up, to about 8 where terms differ, to 25 in oneDNN's longer sums.
        Among keys that are one in one column and zero in the others terms are alike, and so are
        roundings: these reach 90, and 120.
        """
        # on the CPU, whose products nobody has set to fewer bits
        exact = self.table(torch.float64)[:: -(-len(self) // ASKED), :-3].cpu()
        scales = torch.logspace(0, 1, SCALES, 2, dtype=exact.dtype, device=exact.device)[:, None]
        scaled = (scales[..., None] * exact).float().flatten(0, 1)
        made = products.of_all(scaled, exact.float().T).unflatten(1, (SCALES, -1))
        right = scales * exact.square().sum(1)
        off = (made.diagonal(dim1=2, dim2=3) - right).abs()
        share = off / right.clamp_min(1e-6 * self.radius**2 + 1e-300)
        return max(1.0, float(share.max()) / (torch.finfo(torch.float32).eps / 2))

    @cached_property
    def heaviest(self) -> float:
        """The largest size of a finite log weight."""
        if self.log_weights is None:
            return 0.0
        return float(self.log_weights[self.log_weights > -torch.inf].abs().max())

    @cached_property
    def _tables(self) -> dict[torch.dtype, Tensor]:
        return {}

    @cached_property
    def _kept(self) -> dict[tuple[str, torch.dtype], Any]:
        return {}

    def table(self, dtype: torch.dtype) -> Cloud:
        r"""Rows :math:`(y, 1, b, -|y|^2/2)` of the centred keys, ``(n, d + 3)``.

        All columns make logits (see :meth:`Block.queries`), the first ``d + 1`` weighted sums. The
        norms come last: products that start with them round every later term to their size.
        """
        if dtype not in self._tables:
            if dtype == torch.float64:
                y = self.points.to(torch.float64) - self.centre
                half = y.square().sum(1, keepdim=True) / 2
                ones = torch.ones_like(half)
                bias = torch.zeros_like(half)
                if self.log_weights is not None:
                    bias += self.log_weights.to(bias).clamp_min(MASKED)[:, None]
                self._tables[dtype] = torch.cat([y, ones, bias, -half], 1)
            else:
                self._tables[dtype] = self.table(torch.float64).to(dtype)
        return self._tables[dtype]

    def prepared(self, name: tuple[str, torch.dtype], make: Callable[[Cloud], T]) -> T:
        """What ``make`` makes of the table of some precision, made once and kept.

        Args:
            name: What it is called, and the precision.
            make: The function of the table.
        """
        if name not in self._kept:
            self._kept[name] = make(self.table(name[1]))
        kept: T = self._kept[name]
        return kept
