"""How far kernel sums are from the same by differences in float64, measured on some queries."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import as_seed
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud
from wasserscore.kernel.keys import Keys, LogWeights, Queries, Rows
from wasserscore.kernel.softmax import KernelMean, Sigma, as_widths, prepare
from wasserscore.kernel.stream import Block, tile_bytes


class KernelError(NamedTuple):
    """The largest errors among some queries.

    Args:
        mean: Of a mean: its distance to the right one, over the largest distance of a value from
            the middle of the values (over one where these are all the same).
        log_sum: Of a log of a sum: nats, over one and its size.
        queries: Of how many queries.
    """

    mean: float
    log_sum: float
    queries: int


def softmax_error(
    found: KernelMean,
    x: Queries,
    y: Rows | Keys,
    sigma: Sigma,
    *,
    values: Tensor | None = None,
    log_weights: LogWeights | None = None,
    leave_one_out: bool = False,
    queries: int = 64,
    seed: int = 0,
) -> KernelError:
    """The error of kernel sums of any way, truncated, interpolated or sharded, on your own data.

    Some queries, drawn without replacement, are compared with all keys by differences and in
    float64. What :func:`softmax_mean` promises is 1e-5 in float32 and 1e-10 in float64; a tie of
    keys at a tiny ``sigma`` is decided by the last bit of a query, and no formula does better.

    Args:
        found: What :func:`softmax_mean` gave for all queries, or another way's sums.
        x: Queries ``(b, d)``, one at least.
        y: Keys, as in :func:`softmax_mean`.
        sigma: Kernel width, in the units of the points.
        values: What is averaged, ``(n, dv)``; the keys themselves by default.
        log_weights: Additive logit per key ``(n,)``.
        leave_one_out: Query i does not see key i.
        queries: How many are compared, at most; one after another.
        seed: Of their choice.

    Raises:
        InputError: For shapes that do not fit.
    """
    require(len(x) == len(found.mean) > 0, "found needs a row for each of the queries",
            got=f"{len(found.mean)} for {len(x)}")  # fmt: skip
    most = as_integer(queries, "queries")
    keys = prepare(x, y, log_weights)
    widths = as_widths(sigma, x)
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(as_seed(seed)))[:most]
    rows = rows.to(x.device)
    if keys.unit != 1.0:
        found = found._replace(mean=found.mean / keys.unit) if values is None else found
        x, widths, keys = x.double() / keys.unit, widths / keys.unit, keys.in_units
    table = keys.points if values is None else values
    centre = table.mean(0, dtype=torch.float64)
    radius = max(float((part.double() - centre).norm(dim=1).max()) for _, part in _parts(table))
    block = Block.of(keys, x[rows], widths[rows], rows if leave_one_out else None)
    off, wrong = [], []
    for i in range(len(rows)):
        mean, log_sum = _by_differences(block, i, table, centre)
        mine, logged = found.mean[rows[i]].double() - centre, found.log_sum[rows[i]].double()
        off.append(float((mine - mean).norm()))
        wrong.append(float((logged - log_sum).abs() / (1 + log_sum.abs())))
    return KernelError(max(off) / (radius or 1.0), max(wrong), len(rows))


def _parts(table: Cloud) -> Iterator[tuple[slice, Cloud]]:
    for part in tiles(len(table), max(1, tile_bytes(table) // (8 * max(1, table.shape[1])))):
        yield part, table[part]


def _by_differences(block: Block, i: int, table: Cloud, centre: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of centred values ``(dv,)`` of a query, and the log of its sum."""
    every = torch.arange(len(table), device=table.device)
    logits = block.differences(torch.full_like(every, i), every)
    if block.own is not None:
        logits[block.own[i]] = -torch.inf
    weights, mean = logits.softmax(0), torch.zeros_like(centre)
    for here, part in _parts(table):
        mean += weights[here] @ (part.double() - centre)
    return mean, logits.logsumexp(0)
