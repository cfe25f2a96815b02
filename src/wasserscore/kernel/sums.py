"""What goes into every way of making kernel sums, and what comes out."""

from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.kernel.keys import Keys


class Values(NamedTuple):
    """Values centred and with a column of ones behind, ``(n, dv + 1)``.

    Args:
        table: The values, in the caller's precision.
        centre: What was taken off, float64.
        origin: The same in the caller's precision.
        are_keys: Whether they are the keys.
        whole: Rows that begin with those of the table and have no gaps between them.
    """

    table: Tensor
    centre: Tensor
    origin: Tensor
    are_keys: bool
    whole: Tensor

    @classmethod
    def of(cls, keys: Keys, values: Tensor | None, dtype: torch.dtype) -> "Values":
        """The given values, one row per key, or the keys themselves."""
        if values is None:
            return keys.prepared(
                ("values", dtype),
                lambda rows: cls(rows[:, :-2], keys.centre, keys.centre.to(dtype), True, rows),
            )
        require(values.ndim == 2 and len(values) == len(keys), "values needs one row per key",
                got=tuple(values.shape))  # fmt: skip
        values = values.detach()
        centre = values.mean(0, dtype=torch.float64)
        ones = values.new_ones(len(values), 1)
        table = torch.cat([(values - centre).to(dtype), ones.to(dtype)], 1)
        return cls(table, centre, centre.to(dtype), False, table)


class Sums(NamedTuple):
    """The sums of some queries.

    Args:
        mean: Weighted mean of the centred values, ``(q, dv)``, float64 or the caller's precision.
        log_sum: Log of the sum of weights, ``(q,)``, float64.
        size: Effective number of keys, ``(q,)``; anything where it was not asked for.
    """

    mean: Tensor
    log_sum: Tensor
    size: Tensor

    @classmethod
    def of(cls, sums: Tensor, squares: Tensor, top: Tensor, offset: Tensor) -> "Sums":
        """From sums over weights, in their last column the weights', relative to the largest.

        Args:
            sums: Of (v, 1), ``(q, dv + 1)``.
            squares: Of squared weights, ``(q,)``.
            top: Logits that weights are relative to, ``(q,)``.
            offset: What these logits left out, ``(q,)``.
        """
        total = sums[:, -1]
        log_sum = top + total.log() + offset
        return cls(sums[:, :-1] / total[:, None], log_sum, total.square() / squares)

    @classmethod
    def empty(cls, q: int, values: Values) -> "Sums":
        """Room for the sums of ``q`` queries."""
        wide = values.centre.new_empty(q, values.table.shape[1] - 1)
        return cls(wide, values.centre.new_empty(q), values.centre.new_empty(q))

    def put(self, rows: Tensor, sums: "Sums", right: Tensor) -> None:
        """The sums that are ``right``, of the first queries of a block, into these ``rows``."""
        for mine, new in zip(self, sums, strict=True):
            mine[rows] = new[: len(right)][right].to(mine.dtype)
