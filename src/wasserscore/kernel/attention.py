r"""Kernel sums on a CPU by PyTorch's fused attention, where products are right as they are.

Logits are products of rows :math:`(1 / \sigma^2, 1, x / \sigma^2)` of queries and
:math:`(-|y|^2 / 2, b, y)` of keys, and the softmax of logits times values is attention: one pass
that keeps a tile of logits in cache and never writes it to memory.

Source: :cite:p:`dao2022`, algorithm 1.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from wasserscore.kernel.keys import EXACT, FAST
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Sums, Values

WIDEST64 = 128
"""Coordinates up to which float64 attention is faster than tiles."""
HERE = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
"""It is no public function (that one hides the logs of the sums), so a PyTorch may lack it."""
SHARE = 0.5
"""A key of a larger share is not taken out of a sum afterwards: too few digits would be left."""


def serves(whole: Block, level: int) -> bool:
    """Whether attention can make the sums on a level, and pays."""
    if not HERE or whole.x.is_cuda or level == EXACT:
        return False
    if whole.dtype == torch.float32:
        return level == FAST
    return whole.x.shape[1] <= WIDEST64


def attention_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows are right ``(q,)``, and the sums.

    Wrong are rows whose largest weight is that of the key they must not see.

    Args:
        block: Queries that :func:`serves` takes.
        values: What is averaged.
        sized: Whether effective sizes are asked for; they cost another pass.
    """
    d = block.x.shape[1]
    keys = block.keys.table(block.dtype)[:, : d + 2]
    queries = block.queries().to(block.dtype)
    # the means of |y|^2 / 2 and b beside those of the keys cost less than another table
    wanted = keys if values.are_keys else values.table[:, :-1]
    columns = slice(2, d + 2) if values.are_keys else slice(wanted.shape[1])
    mean, log_sum = _attention(queries, keys, wanted)
    mean = mean[:, columns]
    squares = _attention(2 * queries, keys, keys)[1] if sized else log_sum
    right = torch.ones_like(log_sum, dtype=torch.bool)
    if block.own is not None:
        logit = (queries * keys[block.own]).sum(1).double()
        share = (logit - log_sum).exp()
        right = share < SHARE
        mean = (mean - share[:, None] * wanted[block.own, columns]) / (1 - share[:, None])
        log_sum = log_sum + torch.log1p(-share)
        squares = squares + torch.log1p(-(2 * logit - squares).exp())
    size = (2 * log_sum - squares).exp() if sized else log_sum
    return right, Sums(mean, log_sum + block.offset(), size)


def _attention(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``(q, dv)`` and logs of sums ``(q,)``, float64."""
    width = max(keys.shape[1], values.shape[1])
    q, k, v = (
        a[None, None] if a.shape[1] == width else pad(a, (0, width - a.shape[1]))[None, None]
        for a in (queries, keys, values)
    )
    mean, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, scale=1.0)
    return mean[0, 0].double(), log_sum[0, 0].double()
