"""Draw a key from the softmax weights of a query, by the inverse of their cumulative sum."""

from math import exp

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import PerPoint
from wasserscore.kernel.dense import VANISHING
from wasserscore.kernel.digits import all_digits
from wasserscore.kernel.keys import DOUBLE, EXACT, FAST, Keys, LogWeights, Queries, Rows
from wasserscore.kernel.softmax import Sigma, as_widths, prepare
from wasserscore.kernel.stream import Block, blocks, filled


@all_digits
def softmax_pick(
    x: Queries,
    y: Rows | Keys,
    sigma: Sigma,
    uniform: PerPoint,
    *,
    log_weights: LogWeights | None = None,
) -> Int[Tensor, " b"]:
    r"""The first key at which the cumulative softmax weight exceeds ``uniform``.

    Uniform numbers in [0, 1) make it a draw of :math:`j` with probability
    :math:`w_j \propto e^{b_j - |x - y_j|^2 / 2 \sigma^2}`; a key of weight zero is never drawn.
    Two passes over the keys in tiles, in float64.

    Args:
        x: Queries ``(b, d)``.
        y: Keys ``(n, d)``, or :class:`Keys`.
        sigma: Kernel width, a number or one per query.
        uniform: Numbers in [0, 1), ``(b,)``; a rounded 1 takes the last key in sight.
        log_weights: Additive logit per key ``(n,)``.
    """
    keys = prepare(x, y, log_weights)
    require(bool(((uniform >= 0) & (uniform <= 1)).all()), "uniform must lie between 0 and 1",
            got=f"{float(uniform.min()):.3g} to {float(uniform.max()):.3g}")  # fmt: skip
    with torch.no_grad():
        whole = Block.of(keys, x, as_widths(sigma, x))
        level = whole.levels()
        chosen = torch.empty_like(level)
        for v in (FAST, DOUBLE, EXACT):
            for rows, block in blocks(whole, level == v, v):
                asked = uniform[filled(rows, len(block.x))].to(torch.float64)
                chosen[rows] = _pick(block, asked)[: len(rows)]
    return chosen


def _pick(block: Block, uniform: Tensor) -> Tensor:
    q = len(block.x)
    top = torch.full((q,), -torch.inf, dtype=torch.float64, device=block.x.device)
    total = torch.zeros_like(top)
    for _, logits in block.logits(top):
        new = torch.maximum(top, logits.amax(1))
        total.mul_((top - new).exp()).add_(_weights(logits, new).sum(1))
        top.copy_(new)
    level = uniform * total
    carry = torch.zeros_like(top)
    below = torch.zeros(q, dtype=torch.int64, device=top.device)
    last = torch.zeros_like(below)
    for run, logits in block.logits(top):
        weights = _weights(logits, top)
        position = torch.arange(run.start + 1, run.stop + 1, device=top.device)
        last = torch.maximum(last, ((weights > 0) * position).amax(1))
        cumulative = weights.cumsum_(1).add_(carry[:, None])
        below += (cumulative <= level[:, None]).sum(1)
        carry = cumulative[:, -1].clone()
    return torch.minimum(below, last - 1)


def _weights(logits: Tensor, top: Tensor) -> Tensor:
    shifted = logits.to(torch.float64).sub_(top[:, None])
    return torch.threshold_(shifted.clamp_min_(-VANISHING).exp_(), 2 * exp(-VANISHING), 0.0)
