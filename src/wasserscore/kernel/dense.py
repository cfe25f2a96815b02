"""Kernel sums over all keys, tile by tile with a running maximum (online softmax)."""

import torch
from torch import Tensor

from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Values

VANISHING = 60.0
"""No weight is more nats below the largest than this (e**-60 = 9e-27): denormals are slow.

Not on a GPU, which computes with them at full speed.
"""
RUN = 1024
"""Keys of one sum. Equal terms are rounded alike: 4096 of them lose 3e-5 in float32."""


def dense_sums(block: Block, values: Tensor, beside: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of (v, 1) ``(q, dv + 1)``, sum of squared weights ``(q,)``, largest logit ``(q,)``.

    Weights are relative to the one of the largest logit.

    Args:
        block: Queries on any level.
        values: Centred values with a column of ones behind, ``(n, dv + 1)``.
        beside: So many last columns have a product of their own: with one column more than a
            round number, a large product takes a quarter longer.
    """
    q, device = len(block.x), block.x.device
    top = torch.full((q,), -torch.inf, dtype=torch.float64, device=device)
    sums = torch.zeros(q, values.shape[1], dtype=torch.float64, device=device)
    squares = torch.zeros(q, dtype=torch.float64, device=device)
    space = torch.empty(0, dtype=block.dtype, device=device)
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
        for part in (slice(-beside), slice(-beside, None)):
            sums[:, part] += in_runs(weights, values[run, part])
        squares.mul_(shrink.square()).add_(torch.linalg.vector_norm(weights, dim=1).square())
        top.copy_(new)
    return sums, squares, top


def in_runs(weights: Tensor, values: Tensor, length: int = RUN) -> Tensor:
    """Weighted sums ``(q, dv)`` of a tile; those of its runs are added in float64."""
    whole = len(values) - len(values) % length
    if whole <= length:
        return weights @ values
    parts = weights[:, :whole].unflatten(1, (-1, length)).transpose(0, 1)
    sums = torch.bmm(parts, values[:whole].unflatten(0, (-1, length))).sum(0, dtype=torch.float64)
    return sums.add_(weights[:, whole:] @ values[whole:])


def pullback(
    block: Block, values: Tensor, top: Tensor, sums: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums over the keys of w (g.v) y and of w (y, 1), ``(q, d)`` and ``(q, d + 1)``.

    Args:
        block: Queries on any level.
        values: As in :func:`dense_sums`, whose results are ``sums`` and ``top``.
        top: Largest logits.
        sums: Sums of (v, 1).
        grad: Gradient ``(q, dv)`` in the weighted means.
    """
    total = sums[:, -1:]
    mean = (sums[:, :-1] / total).to(block.dtype)
    level = (grad * mean).sum(1, keepdim=True)
    points = block.keys.table(block.dtype)[:, :-2]
    tilted = torch.zeros_like(block.x)
    plain = torch.zeros(len(block.x), points.shape[1], dtype=torch.float64, device=grad.device)
    for run, logits in block.logits(top):
        logits = logits.sub_(top[:, None].to(logits.dtype)).clamp_min_(-VANISHING)
        weights = (logits.exp_() / total).to(block.dtype)
        plain += weights @ points[run]
        weights *= grad @ values[run, :-1].T - level
        tilted += (weights @ points[run])[:, :-1]
    return tilted, plain


def pushforward(block: Block, values: Values, tangent: Tensor) -> tuple[Tensor, Tensor]:
    r"""Sums over the keys of w (v - mean) (y.u) ``(q, dv)`` and of w (y - x).u ``(q,)``.

    Args:
        block: Queries on any level.
        values: What is averaged.
        tangent: Direction ``(q, d)`` in which the queries move.
    """
    points = block.keys.table(block.dtype)[:, :-2]
    wide = points if values.are_keys else torch.cat([values.table[:, :-1], points], 1)
    sums, _, top = dense_sums(block, wide)
    total, d = sums[:, -1:], block.x.shape[1]
    mean = sums[:, : values.table.shape[1] - 1] / total
    middle = sums[:, -1 - d : -1] / total
    # about the mean, so that only differences of keys that matter are multiplied
    level = (tangent * middle).sum(1, keepdim=True).to(block.dtype)
    tilted = total.new_zeros(len(block.x), values.table.shape[1])
    for run, logits in block.logits(top):
        logits = logits.sub_(top[:, None].to(logits.dtype)).clamp_min_(-VANISHING)
        weights = (logits.exp_() / total).to(block.dtype)
        weights *= tangent @ points[run, :-1].T - level
        tilted += weights @ values.table[run]
    slope = ((middle - block.x) * tangent).sum(1)
    return tilted[:, :-1] - mean * tilted[:, -1:], slope
