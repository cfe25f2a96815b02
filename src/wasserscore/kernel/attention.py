r"""Kernel sums on a CPU by PyTorch's fused attention, where products are right as they are.

Logits are products of rows of queries and of keys, and the softmax of logits times values is
attention: one pass that keeps a tile of logits in cache and never writes it to memory. Its sums
run in the caller's precision, so they go over ``RUN`` keys at a time, as heads of one call, and
are put together in float64.

Source: :cite:p:`dao2022`, algorithm 1.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from wasserscore.core.products import faster, product
from wasserscore.core.tensors import tiles
from wasserscore.kernel.dense import RUN, VANISHING
from wasserscore.kernel.keys import EXACT, FAST, MASKED
from wasserscore.kernel.stream import Block, tile_bytes
from wasserscore.kernel.sums import Sums, Values

WIDEST = {torch.float32: 1024, torch.float64: 128}
"""Coordinates up to which attention is faster than tiles."""
LEAST = 16
"""Columns of float32 rows that attention takes are at least so many, and a multiple of four."""
PRODUCTS, ROWS = 32, 512
"""Columns from which on oneDNN's products and a pass over each tile are faster; rows of a tile."""
HERE = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
"""It is no public function (that one hides the logs of the sums), so a PyTorch may lack it."""
SHARE = 0.5
"""A key of a larger share is not taken out of a sum afterwards: too few digits would be left."""


def serves(whole: Block, level: int) -> bool:
    """Whether attention can make the sums on a level, and pays."""
    if not HERE or whole.x.is_cuda or level == EXACT:
        return False
    narrow = whole.x.shape[1] <= WIDEST[whole.dtype]
    return narrow and (level == FAST or whole.dtype == torch.float64)


def attention_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows are right ``(q,)``, and the sums.

    Wrong are rows whose largest weight is that of the key they must not see, and those whose log
    of a sum is so small that rounding shows.

    Args:
        block: Queries that :func:`serves` takes.
        values: What is averaged.
        sized: Whether effective sizes are asked for; they cost another pass.
    """
    keys = block.keys.table(block.dtype)
    queries = block.queries().to(block.dtype)
    # the means of the other columns beside those of the keys cost less than another table
    wanted = keys if values.are_keys else values.table[:, :-1]
    mean, log_sum = _attention(block, queries, wanted)
    mean = mean[:, : values.table.shape[1] - 1]
    squares = _attention(block, 2 * queries, keys)[1] if sized else log_sum
    if block.own is None:
        right = torch.ones_like(log_sum, dtype=torch.bool)
    else:
        logit = (queries * keys[block.own]).sum(1).double()
        own = wanted[block.own, : mean.shape[1]]
        right, mean, log_sum, squares = without(logit, own, mean, log_sum, squares)
    size = (2 * log_sum - squares).exp() if sized else log_sum
    log_sum = log_sum + block.offset()
    return right & block.hold(log_sum), Sums(mean, log_sum, size)


def without(
    logit: Tensor, value: Tensor, mean: Tensor, log_sum: Tensor, squares: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums without one key each: (which are right, means, logs of sums, of sums of squares).

    Args:
        logit: The key's logit ``(q,)``.
        value: Its value ``(q, dv)``.
        mean: Means with it ``(q, dv)``.
        log_sum: Logs of the sums of weights with it ``(q,)``.
        squares: Logs of the sums of squared weights with it ``(q,)``.
    """
    share = (logit - log_sum).exp()
    mean = (mean - share[:, None] * value) / (1 - share[:, None])
    squares = squares + torch.log1p(-(2 * logit - squares).exp())
    return share < SHARE, mean, log_sum + torch.log1p(-share), squares


def _attention(block: Block, queries: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``(q, dv)`` and logs of sums ``(q,)``, float64."""
    q, columns = len(queries), values.shape[1]
    keys = block.keys.prepared(("runs", queries.dtype), lambda table: _in_runs(table, MASKED))
    own = block.keys.table(queries.dtype) is values
    values = keys if own else _in_runs(values, 0.0)
    width = max(keys.shape[2], values.shape[2])
    keys, values, queries = (
        a if a.shape[-1] == width else pad(a, (0, width - a.shape[-1]))
        for a in (keys, values, widened(queries)[None])
    )
    if len(keys) == 1:
        part, log_sum = heads(queries, keys, values)
        return part[0, :, :columns].double(), log_sum[0]
    mean = torch.zeros(q, columns, dtype=torch.float64)
    total, top = mean.new_zeros(q), mean.new_full((q,), -torch.inf)
    for here in tiles(len(keys), max(1, tile_bytes(queries) // queries.nbytes)):
        part, log_sum = heads(queries, keys[here], values[here])
        new = torch.maximum(top, log_sum.amax(0))
        fade, weight = (top - new).exp(), (log_sum - new).exp()
        mean.mul_(fade[:, None]).add_(combined(weight, part[:, :, :columns]))
        total, top = total * fade + weight.sum(0), new
    return mean / total[:, None], top + total.log()


def combined(weight: Tensor, parts: Tensor) -> Tensor:
    """Sums over r of ``(r, q)`` times ``(r, q, c)``, which are spoilt: einsum takes ten times."""
    parts.mul_(weight.to(parts.dtype)[..., None])
    return parts[0] if len(parts) == 1 else parts.sum(0)


def heads(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``(r, q, dv)`` and logs of sums ``(r, q)``, these in float64, over each run of keys.

    Of a run that lies e**-60 below another one, they may be anything that does not show beside it.

    Args:
        queries: ``(r, q, e)``, or ``(1, q, e)`` for all runs.
        keys: ``(r, k, e)``; logits are plain products.
        values: ``(r, k, e)``.
    """
    same, q, e = queries.shape
    if same == 1 and e >= PRODUCTS and faster(queries, min(ROWS, q), e, keys.shape[1]):
        return _by_products(queries[0], keys, values)
    mean, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        queries.expand(1, len(keys), -1, -1), keys[None], values[None], scale=1.0
    )
    return mean[0], log_sum[0].double()


def _by_products(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`heads`, of queries ``(q, e)``, where products are faster than attention's own."""
    (r, k, _), q = keys.shape, len(queries)
    mean = queries.new_empty(r, q, values.shape[2])
    log_sum = queries.new_empty(r, q)
    for rows in tiles(q, ROWS):
        for runs in tiles(r, max(1, ROWS // q)):
            logits = product(queries[rows], keys[runs].flatten(0, 1).T)
            logits = logits.view(len(logits), -1, k).transpose(0, 1)
            top = logits.amax((0, 2), keepdim=True)
            weights = logits.sub_(top).clamp_min_(-VANISHING).exp_()
            total = weights.sum(2)
            for run, weight in zip(range(runs.start, runs.stop), weights, strict=True):
                mean[run, rows] = product(weight, values[run])
            mean[runs, rows] /= total[..., None]
            log_sum[runs, rows] = top[..., 0] + total.log()
    return mean, log_sum.double()


def _in_runs(table: Tensor, hidden: float) -> Tensor:
    """Rows of a table in runs of one length, ``(r, k, e)``, the last one filled up.

    Args:
        table: The rows.
        hidden: The last column but one of rows that fill up.
    """
    n, e = table.shape
    runs = -(-n // RUN)
    length = -(-n // runs)
    if n == runs * length:
        return widened(table.reshape(runs, length, e))
    full = pad(table, (0, 0, 0, runs * length - n))
    full[n:, -2:-1] = hidden
    return widened(full.view(runs, length, e))


def widened(table: Tensor) -> Tensor:
    """Zeros beside the last columns: attention of 5 columns in float32 takes longer than of 16."""
    if table.dtype != torch.float32:
        return table
    columns = table.shape[-1]
    return pad(table, (0, max(LEAST, columns + -columns % 4) - columns))
