"""Kernel sums over all keys, tile by tile with a running maximum (online softmax)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from wasserscore.core.products import faster, product
from wasserscore.core.tensors import tiles
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Values

VANISHING = 60.0
"""No weight is more nats below the largest than this (e**-60 = 9e-27): denormals are slow.

Not on a GPU, which computes with them at full speed.
"""
RUN = 1024
"""Keys of one sum. Equal terms are rounded alike: 4096 of them lose 3e-5 in float32."""


def dense_sums(
    block: Block, values: Tensor, columns: int, beside: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of (v, 1) ``(q, columns)``, sum of squared weights ``(q,)``, largest logit ``(q,)``.

    Weights are relative to the one of the largest logit.

    Args:
        block: Queries on any level.
        values: Centred values with a column of ones behind, and maybe more: ``(n, e)``.
        columns: Of how many of them sums are asked.
        beside: So many last ones of these have a product of their own where MKL makes it: with one
            column more than a round number, a large product takes a quarter longer.
    """
    q, device = len(block.x), block.x.device
    top = torch.full((q,), -torch.inf, dtype=torch.float64, device=device)
    sums = torch.zeros(q, values.shape[1], dtype=torch.float64, device=device)
    squares = torch.zeros(q, dtype=torch.float64, device=device)
    space = torch.empty(0, dtype=block.dtype, device=device)
    apart = [slice(columns - beside), slice(columns - beside, columns)]
    for run, logits in block.logits(top):
        new = torch.maximum(top, logits.amax(1))
        shrink = (top - new).exp()
        logits -= new[:, None].to(logits.dtype)
        if logits.dtype != block.dtype:
            space = (
                space
                if space.shape == logits.shape
                else torch.empty_like(logits, dtype=block.dtype)
            )
            logits = space.copy_(logits)
        weights = (logits if logits.is_cuda else logits.clamp_min_(-VANISHING)).exp_()
        sums.mul_(shrink[:, None])
        if faster(weights, q, RUN, columns):
            made = in_runs(weights, values[run])
            made[:, columns - 1] = weights.sum(1)  # not one term after the other
            sums += made
        else:
            for part in apart:
                sums[:, part] += in_runs(weights, values[run, part])
        squares.mul_(shrink.square()).add_(torch.linalg.vector_norm(weights, dim=1).square())
        top.copy_(new)
    return sums[:, :columns], squares, top


def in_runs(weights: Tensor, values: Tensor, length: int = RUN) -> Tensor:
    """Weighted sums ``(q, dv)`` of a tile; those of its runs are added in float64."""
    whole = len(values) - len(values) % length
    if whole <= length:
        return product(weights, values)
    if faster(weights, len(weights), length, values.shape[1]):
        runs = [product(weights[:, r], values[r]) for r in tiles(len(values), length)]
        return torch.stack(runs).sum(0, dtype=torch.float64)
    parts = weights[:, :whole].unflatten(1, (-1, length)).transpose(0, 1)
    sums = torch.bmm(parts, values[:whole].unflatten(0, (-1, length))).sum(0, dtype=torch.float64)
    return sums.add_(weights[:, whole:] @ values[whole:])


def pullback(
    block: Block, values: Values, top: Tensor, sums: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums over the keys of w (g.v) y and of w (y, 1), ``(q, d)`` and ``(q, d + 1)``.

    Args:
        block: Queries on any level.
        values: What is averaged, for which :func:`dense_sums` gave ``sums`` and ``top``.
        top: Largest logits.
        sums: Sums of (v, 1).
        grad: Gradient ``(q, dv)`` in the weighted means.
    """
    total = sums[:, -1:]
    mean = (sums[:, :-1] / total).to(block.dtype)
    level = (grad * mean).sum(1, keepdim=True)
    table, d = block.keys.table(block.dtype), block.x.shape[1]
    # over whole rows of tables: others have gaps between them, which oneDNN does not take
    across = pad(grad, (0, values.whole.shape[1] - grad.shape[1]))
    tilted = torch.zeros_like(block.x)
    plain = torch.zeros(len(block.x), d + 1, dtype=torch.float64, device=grad.device)
    for run, logits in block.logits(top):
        logits = logits.sub_(top[:, None].to(logits.dtype)).clamp_min_(-VANISHING)
        weights = (logits.exp_() / total).to(block.dtype)
        plain += product(weights, table[run])[:, : d + 1]
        weights *= product(across, values.whole[run].T) - level
        tilted += product(weights, table[run])[:, :d]
    return tilted, plain


def pushforward(block: Block, values: Values, tangent: Tensor) -> tuple[Tensor, Tensor]:
    r"""Sums over the keys of w (v - mean) (y.u) ``(q, dv)`` and of w (y - x).u ``(q,)``.

    Args:
        block: Queries on any level.
        values: What is averaged.
        tangent: Direction ``(q, d)`` in which the queries move.
    """
    keys = block.keys.table(block.dtype)
    d, dv = block.x.shape[1], values.table.shape[1] - 1
    wide = keys if values.are_keys else torch.cat([values.table[:, :-1], keys[:, :-2]], 1)
    sums, _, top = dense_sums(block, wide, d + 1 if values.are_keys else dv + d + 1)
    total = sums[:, -1:]
    mean = sums[:, :dv] / total
    middle = sums[:, -1 - d : -1] / total
    # about the mean, so that only differences of keys that matter are multiplied
    level = (tangent * middle).sum(1, keepdim=True).to(block.dtype)
    tilted = total.new_zeros(len(block.x), dv + 1)
    along = pad(tangent, (0, 3))
    for run, logits in block.logits(top):
        logits = logits.sub_(top[:, None].to(logits.dtype)).clamp_min_(-VANISHING)
        weights = (logits.exp_() / total).to(block.dtype)
        weights *= product(along, keys[run].T) - level
        tilted += product(weights, values.whole[run])[:, : dv + 1]
    slope = ((middle - block.x) * tangent).sum(1)
    return tilted[:, :-1] - mean * tilted[:, -1:], slope
