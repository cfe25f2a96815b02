r"""Kernel sums on a GPU over keys that stay in the CPU's memory, a part at a time.

The sums of the parts are merged as those of ranks are (:mod:`wasserscore.kernel.sharded`): with
:math:`\ell_r` the log-sum of part r and :math:`\bar v_r` its mean, the mean of all is
:math:`\sum_r p_r \bar v_r` with p the softmax of :math:`\ell`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel.keys import Keys, Queries, Rows
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Sums, Values
from wasserscore.kernel.ways import sums_of

PART_BYTES = 2**30
"""Keys and values of one part; its tables and their halves are four times as much."""


def elsewhere(x: Tensor, y: object) -> bool:
    """Whether keys are in the CPU's memory and queries are not."""
    return isinstance(y, Tensor) and x.is_cuda and not y.is_cuda


@torch.no_grad()
def streamed_sums(
    x: Queries, y: Rows, sigma: PerPoint, values: Tensor | None, log_weights: Tensor | None
) -> tuple[Tensor, PerPoint]:
    """(weighted means ``(q, dv)``, logs of sums ``(q,)``), float64, where the queries are.

    Args:
        x: Queries ``(q, d)``.
        y: Keys ``(n, d)``, anywhere.
        sigma: A width per query, float64.
        values: What is averaged, ``(n, dv)``; None for the keys.
        log_weights: Additive logit per key ``(n,)``.
    """
    require(x.shape[1] == y.shape[1], "queries and keys must have the same dimension",
            got=f"{x.shape[1]} and {y.shape[1]}")  # fmt: skip
    mean: Tensor | None = None
    log_sum = torch.full_like(sigma, -torch.inf)
    for keys, table in _parts(x, y, values, log_weights):
        found: Sums = sums_of(Block.of(keys, x, sigma), table)
        here, new = found.mean + table.centre, torch.logaddexp(log_sum, found.log_sum)
        share = (found.log_sum - new).exp()[:, None]
        mean = here if mean is None else mean + share * (here - mean)
        log_sum = new
    require(mean is not None, "at least one key must have a finite log weight", got="none")
    assert mean is not None
    return mean, log_sum


def _parts(
    x: Tensor, y: Tensor, values: Tensor | None, log_weights: Tensor | None
) -> Iterator[tuple[Keys, Values]]:
    """Keys and values where the queries are; parts that are hidden as a whole are left out."""
    columns = y.shape[1] + (0 if values is None else values.shape[1])
    for rows in tiles(len(y), max(1, PART_BYTES // (y.element_size() * columns))):
        weights = None if log_weights is None else log_weights[rows].to(x.device)
        if weights is not None and bool((weights == -torch.inf).all()):
            continue
        keys = Keys(y[rows].to(x.device), weights)
        yield keys, Values.of(keys, None if values is None else values[rows].to(x.device), x.dtype)
