r"""Softmax-weighted means and log-sum-exps over big point sets.

.. math:: w_j \propto e^{b_j - |x - y_j|^2 / 2 \sigma^2}, \qquad
          \text{mean} = \sum_j w_j v_j, \qquad
          \text{log\_sum} = \log \sum_j e^{b_j - |x - y_j|^2 / 2 \sigma^2}

The empirical denoiser, the log-density of a kernel mixture and the drift of a particle flow are
all this one operation. It streams over the keys with a running maximum (online softmax), so memory
does not grow with their number.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.kernel.device import has_kernel
from wasserscore.kernel.keys import Keys, LogWeights, Queries, Rows
from wasserscore.kernel.stream import Block, blocks

Sigma = float | Float[Tensor, ""] | Float[Tensor, " b"]
"""Kernel width: a number, or one per query."""
VANISHING = 60.0
"""No weight is more nats below the largest than this (e**-60 = 9e-27): denormals are slow.

Not on a GPU, which computes with them at full speed.
"""


class KernelMean(NamedTuple):
    """What a kernel sum gives for each query.

    Args:
        mean: Weighted mean of the values, ``(b, dv)``.
        log_sum: Log of the sum of unnormalised weights, ``(b,)``.
        ess: Effective sample size (sum w)^2 / sum w^2, between 1 and the number of keys, ``(b,)``.
    """

    mean: Tensor
    log_sum: Tensor
    ess: Tensor


def softmax_mean(
    x: Queries,
    y: Rows | Keys,
    sigma: Sigma,
    *,
    values: Float[Tensor, "m dv"] | None = None,
    log_weights: LogWeights | None = None,
    leave_one_out: bool = False,
) -> KernelMean:
    r"""Kernel-weighted mean of ``values`` around each query.

    Differentiable once in ``x``; everything else is a constant. Relative to the size of the data,
    the result is right to about 1e-5 in float32 and 1e-10 in float64, at every ``sigma``: see
    :mod:`wasserscore.kernel.keys` for how.

    Args:
        x: Queries ``(b, d)``.
        y: Keys ``(n, d)``, or :class:`Keys` prepared once for many calls.
        sigma: Kernel width, in the units of the points.
        values: What is averaged, ``(n, dv)``; the keys themselves by default.
        log_weights: Additive logit per key ``(n,)``, ``-inf`` hides a key.
        leave_one_out: Query i does not see key i (the queries are the keys).

    Raises:
        InputError: For shapes that do not fit, a width that is not positive, or no key to see.
    """
    keys = prepare(x, y, log_weights)
    widths = as_widths(sigma, x)
    if leave_one_out:
        require(len(x) == len(keys), "leave_one_out needs as many queries as keys",
                got=f"{len(x)} queries and {len(keys)} keys")  # fmt: skip
        require(keys.visible > 1, "leave_one_out needs two visible keys", got=keys.visible)
    if values is not None:
        require(values.ndim == 2 and len(values) == len(keys), "values needs one row per key",
                got=tuple(values.shape))  # fmt: skip
    mean, log_sum, ess = _SoftmaxMean.apply(x, keys, widths, values, leave_one_out)
    return KernelMean(mean, log_sum, ess)


def as_widths(sigma: Sigma, x: Tensor) -> Tensor:
    """``sigma`` as a positive float64 number per query, ``(b,)``."""
    widths = torch.as_tensor(sigma, dtype=torch.float64, device=x.device)
    good = (widths > 1e-100) & (widths < 1e100)
    require(bool(good.all()), "sigma must be positive and finite", got=sigma)
    return widths.detach().expand(len(x))


def prepare(x: Tensor, y: Tensor | Keys, log_weights: Tensor | None) -> Keys:
    """The keys, prepared if they are not; refuses another dimension than the queries'."""
    if isinstance(y, Keys):
        require(log_weights is None, "prepared keys carry their own log_weights", got="both")
        keys = y
    else:
        keys = Keys(y.detach(), log_weights)
    require(x.shape[1] == keys.points.shape[1], "queries and keys must have the same dimension",
            got=f"{x.shape[1]} and {keys.points.shape[1]}")  # fmt: skip
    return keys


class _Values(NamedTuple):
    """Values centred and with a column of ones behind, ``(n, dv + 1)``, and their centre."""

    table: Tensor
    centre: Tensor
    are_keys: bool


def _centred_values(keys: Keys, values: Tensor | None, dtype: torch.dtype) -> _Values:
    if values is None:
        return _Values(keys.table(dtype)[:, 2:], keys.centre, True)
    centre = values.detach().mean(0, dtype=torch.float64)
    ones = torch.ones_like(values[:, :1])
    table = torch.cat([(values - centre).to(dtype), ones.to(dtype)], 1)
    return _Values(table, centre, False)


def _forward(block: Block, values: _Values) -> tuple[Tensor, Tensor, Tensor]:
    """Online softmax: (sums of (v, 1) ``(q, dv + 1)``, sum of squares, largest logit)."""
    if has_kernel(block, values.table):
        from wasserscore.kernel.fused import fused_sums

        return fused_sums(block, values.table, values.are_keys)
    q, device = len(block.x), block.x.device
    top = torch.full((q,), -torch.inf, dtype=torch.float64, device=device)
    sums = torch.zeros(q, values.table.shape[1], dtype=torch.float64, device=device)
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
        sums.mul_(shrink[:, None]).add_(weights @ values.table[run])
        squares.mul_(shrink.square()).add_(torch.linalg.vector_norm(weights, dim=1).square())
        top.copy_(new)
    return sums, squares, top


def _pullback(
    block: Block, values: _Values, top: Tensor, sums: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums over the keys of w (g.v) y and of w (y, 1), ``(q, d)`` and ``(q, d + 1)``."""
    total = sums[:, -1:]
    mean = (sums[:, :-1] / total).to(block.dtype)
    level = (grad * mean).sum(1, keepdim=True)
    points = block.keys.table(block.dtype)[:, 2:]
    tilted = torch.zeros_like(block.x)
    plain = torch.zeros(len(block.x), points.shape[1], dtype=torch.float64, device=grad.device)
    for run, logits in block.logits(top):
        logits = logits.sub_(top[:, None].to(logits.dtype)).clamp_min_(-VANISHING)
        weights = (logits.exp_() / total).to(block.dtype)
        plain += weights @ points[run]
        weights *= grad @ values.table[run, :-1].T - level
        tilted += (weights @ points[run])[:, :-1]
    return tilted, plain


class _SoftmaxMean(torch.autograd.Function):
    """The streamed sum, with its vector-Jacobian product in the queries."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, keys: Keys, sigma: Tensor, values: Tensor | None, one_out: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        table = _centred_values(keys, values, x.dtype)
        means, log_sums, sizes = [], [], []
        for _, level, levels in blocks(keys, x, sigma, leave_one_out=one_out):
            out = x.new_empty(len(level), table.table.shape[1] + 1, dtype=torch.float64)
            for block in levels:
                sums, squares, top = _forward(block, table)
                total = sums[:, -1:]
                result = torch.cat([
                    sums[:, :-1] / total + table.centre,
                    top[:, None] + total.log() + block.offset()[:, None],
                    total.square() / squares[:, None],
                ], 1)  # fmt: skip
                alone = len(levels) == 1
                out = (
                    result if alone else torch.where((level == block.level)[:, None], result, out)
                )
            means.append(out[:, :-2].to(x.dtype))
            log_sums.append(out[:, -2].to(x.dtype))
            sizes.append(out[:, -1].to(x.dtype))
        ctx.save_for_backward(x, sigma)
        ctx.constants = keys, values, one_out
        results = torch.cat(means), torch.cat(log_sums), torch.cat(sizes)
        ctx.mark_non_differentiable(results[2])
        return results

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_log: Tensor, _: Any) -> tuple[Any, ...]:
        x, sigma = ctx.saved_tensors
        keys, values, one_out = ctx.constants
        table = _centred_values(keys, values, x.dtype)
        out = torch.zeros_like(x, dtype=torch.float64)
        for rows, level, levels in blocks(keys, x, sigma, leave_one_out=one_out):
            for block in levels:
                sums, _squares, top = _forward(block, table)
                tilted, plain = _pullback(block, table, top, sums, grad[rows])
                pull = tilted + grad_log[rows, None] * (plain[:, :-1] - block.x)
                here = (level == block.level)[:, None]
                out[rows] = torch.where(here, pull * block.inverse[:, None], out[rows])
        return out.to(x.dtype), None, None, None, None
