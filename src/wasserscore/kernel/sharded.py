r"""Kernel sums over keys that are spread over ranks: none of them holds all.

Each rank sums over its own keys; the sums are merged as those of two tiles are. With
:math:`\ell_r` the log-sum of rank r, :math:`\bar v_r` its mean and :math:`e_r` its effective size,

.. math:: p_r = e^{\ell_r} \Big/ \sum_q e^{\ell_q}, \qquad \bar v = \sum_r p_r \bar v_r, \qquad
          \ell = \log \sum_r e^{\ell_r}, \qquad \frac1e = \sum_r \frac{p_r^2}{e_r},

so two messages are enough, a maximum and a sum. The gradient in the queries is a sum over ranks,
one more message, of the local ones at the gradients

.. math:: \frac{\partial}{\partial \bar v_r} = p_r\,g, \qquad
          \frac{\partial}{\partial \ell_r} = p_r\,\bigl(g \cdot (\bar v_r - \bar v) + h\bigr)

where g and h are those in :math:`\bar v` and :math:`\ell`.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.distributed import largest, rank, total, world
from wasserscore.core.errors import require
from wasserscore.kernel.keys import Keys, LogWeights, Queries, Rows
from wasserscore.kernel.softmax import Sigma, as_widths, prepare, softmax_mean
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Sums, Values
from wasserscore.kernel.ways import sums_of


class ShardedMean(NamedTuple):
    """What a kernel sum over the keys of all ranks gives for each query, the same on every rank.

    Args:
        mean: Weighted mean of the values, ``(b, dv)``.
        log_sum: Log of the sum of unnormalised weights, ``(b,)``.
        ess: Effective sample size (sum w)^2 / sum w^2, ``(b,)``; not differentiable.
    """

    mean: Tensor
    log_sum: Tensor
    ess: Tensor


def sharded_mean(
    x: Queries,
    y: Rows | Keys,
    sigma: Sigma,
    *,
    values: Float[Tensor, "m dv"] | None = None,
    log_weights: LogWeights | None = None,
    leave_one_out: bool = False,
) -> ShardedMean:
    """Kernel-weighted mean around each query, over the keys of all ranks.

    What :func:`softmax_mean` gives for the keys of rank 0, then those of rank 1, and so on, to the
    same accuracy. Differentiable once in ``x``, where every rank goes back from the same loss.

    Args:
        x: Queries ``(b, d)``, the same on every rank.
        y: The keys of this rank ``(n, d)``, or :class:`Keys` prepared once for many calls.
        sigma: Kernel width, a number or one per query, the same on every rank.
        values: What is averaged, ``(n, dv)``, of this rank's keys; the keys by default.
        log_weights: Additive logit of each of this rank's keys, ``(n,)``; ``-inf`` hides a key.
        leave_one_out: Query i does not see key i, counted over all ranks.

    Raises:
        InputError: For shapes that do not fit, a width that is not positive, or a rank with no
            key to see; two are needed with ``leave_one_out``.
    """
    keys, widths = prepare(x, y, log_weights), as_widths(sigma, x)
    start = None
    if leave_one_out:
        counts = torch.zeros(world(), dtype=torch.int64)
        counts[rank()] = len(keys)
        ends = total(counts).cumsum(0).tolist()
        require(len(x) == ends[-1], "leave_one_out needs as many queries as all ranks have keys",
                got=f"{len(x)} queries and {ends[-1]} keys")  # fmt: skip
        fewest = -int(largest(torch.tensor(-keys.visible)))
        require(fewest > 1, "leave_one_out needs two visible keys on every rank", got=fewest)
        start = ends[rank()] - len(keys)
    return ShardedMean(*_ShardedMean.apply(x, keys, widths, values, start))


class _Part(NamedTuple):
    """Some queries, and the key of this rank that each of them leaves out, if any."""

    rows: slice
    own: Tensor | None


def _parts(n: int, keys: Keys, start: int | None) -> list[_Part]:
    """The queries before, at and after this rank's own keys."""
    if start is None:
        return [_Part(slice(0, n), None)]
    stop, own = start + len(keys), torch.arange(len(keys), device=keys.points.device)
    parts = [_Part(slice(0, start), None), _Part(slice(start, stop), own),
             _Part(slice(stop, n), None)]  # fmt: skip
    return [part for part in parts if part.rows.start < part.rows.stop]


class _ShardedMean(torch.autograd.Function):
    """The merged sums, with their vector-Jacobian product in the queries."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, keys: Keys, sigma: Tensor, values: Tensor | None, start: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        parts, table = _parts(len(x), keys, start), Values.of(keys, values, x.dtype)
        found = [
            sums_of(Block.of(keys, x[part.rows], sigma[part.rows], part.own), table, sized=True)
            for part in parts
        ]
        own = Sums(*map(torch.cat, zip(*found, strict=True)))
        own = own._replace(mean=own.mean + table.centre)
        top = largest(own.log_sum)
        weight = (own.log_sum - top).exp()[:, None]
        sums = total(torch.cat([weight * own.mean, weight, weight**2 / own.size[:, None]], 1))
        mean, whole = sums[:, :-2] / sums[:, -2:-1], sums[:, -2]
        ctx.save_for_backward(x, sigma, weight / whole[:, None], own.mean - mean)
        ctx.constants = keys, values, parts
        results = mean, top + whole.log(), whole**2 / sums[:, -1]
        mean, log_sum, ess = (result.to(x.dtype) for result in results)
        ctx.mark_non_differentiable(ess)
        return mean, log_sum, ess

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_log: Tensor, _: Any) -> tuple[Any, ...]:
        x, sigma, share, beyond = ctx.saved_tensors
        keys, values, parts = ctx.constants
        to_mean = share * grad
        to_log = share[:, 0] * ((grad * beyond).sum(1) + grad_log)
        out = torch.empty_like(x)
        for rows, own in parts:
            with torch.enable_grad():
                here = x[rows].detach().requires_grad_()
                local = softmax_mean(
                    here, keys, sigma[rows], values=values, leave_one_out=own is not None
                )
            given = [g[rows].to(x.dtype) for g in (to_mean, to_log)]
            (out[rows],) = torch.autograd.grad([local.mean, local.log_sum], here, given)
        return total(out), None, None, None, None
