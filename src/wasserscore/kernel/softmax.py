r"""Softmax-weighted means and log-sum-exps over big point sets.

.. math:: w_j \propto e^{b_j - |x - y_j|^2 / 2 \sigma^2}, \qquad
          \text{mean} = \sum_j w_j v_j, \qquad
          \text{log\_sum} = \log \sum_j e^{b_j - |x - y_j|^2 / 2 \sigma^2}

The empirical denoiser, the log-density of a kernel mixture and the drift of a particle flow are
all this one operation. Small problems, and those of few keys, take one tile after another
(:mod:`wasserscore.kernel.small`); of others each block of queries takes the cheapest of the ways
in :mod:`wasserscore.kernel.ways` whose accuracy holds.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from wasserscore.core.errors import require
from wasserscore.core.modes import require_digits
from wasserscore.core.typing import PerPoint
from wasserscore.kernel import small
from wasserscore.kernel.dense import dense_sums, pullback, pushforward
from wasserscore.kernel.digits import all_digits
from wasserscore.kernel.keys import DOUBLE, EXACT, FAST, Keys, LogWeights, Queries, Rows
from wasserscore.kernel.stream import Block, blocks, filled
from wasserscore.kernel.streamed import elsewhere, streamed_sums
from wasserscore.kernel.sums import Sums, Values
from wasserscore.kernel.ways import sums_of

Sigma = float | Float[Tensor, ""] | Float[Tensor, " b"]
"""Kernel width: a number, or one per query."""


class KernelMean(NamedTuple):
    """What a kernel sum gives for each query.

    Args:
        mean: Weighted mean of the values, ``(b, dv)``.
        log_sum: Log of the sum of unnormalised weights, ``(b,)``.
    """

    mean: Tensor
    log_sum: Tensor


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

    Differentiable once in ``x``, backwards and forwards (``torch.func.jvp``: no Jacobian is
    formed); everything else is a constant. Relative to the size of the data,
    the result is right to about 1e-5 in float32 and 1e-10 in float64, at every ``sigma``: see
    :mod:`wasserscore.kernel.keys` for how, and :func:`wasserscore.kernel.softmax_error` for the
    error on your own data.

    Keys (and values, and log weights) may stay in the CPU's memory while the queries are on a GPU:
    they are moved there a part at a time. Then nothing can be differentiated or left out.

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
    width = _positive(sigma, x)
    differentiated = x.requires_grad and torch.is_grad_enabled()
    if elsewhere(x, y):
        assert isinstance(y, Tensor)
        require(not (differentiated or leave_one_out), "keys must be where the queries are, for "
                "gradients and for leave_one_out", got=f"keys on {y.device}")  # fmt: skip
        return KernelMean(
            *(v.to(x.dtype) for v in streamed_sums(x, y, _each(width, x), values, log_weights))
        )
    keys = prepare(x, y, log_weights)
    if leave_one_out:
        require(len(x) == len(keys), "leave_one_out needs as many queries as keys",
                got=f"{len(x)} queries and {len(keys)} keys")  # fmt: skip
        require(keys.visible > 1, "leave_one_out needs two visible keys", got=keys.visible)
    if keys.unit != 1.0:
        scaled = softmax_mean(x / keys.unit, keys.in_units, width / keys.unit, values=values,
                              leave_one_out=leave_one_out)  # fmt: skip
        return scaled._replace(mean=scaled.mean * keys.unit) if values is None else scaled
    if differentiated or unpack_dual(x).tangent is not None:
        widths = _each(width, x)
        return KernelMean(*_SoftmaxMean.apply(x, keys, widths, values, leave_one_out))
    return _forward(x, keys, width, values, leave_one_out)


def effective_size(
    x: Queries, y: Rows | Keys, sigma: Sigma, *, own: Int[Tensor, " b"] | None = None
) -> PerPoint:
    r"""Effective number of keys in the mean around each query, :math:`(\sum w)^2 / \sum w^2`.

    Between 1 and the number of keys. Not differentiable.

    Args:
        x: Queries ``(b, d)``.
        y: Keys, as in :func:`softmax_mean`.
        sigma: Kernel width.
        own: The key that each query does not see; None where it sees all.
    """
    keys, width = prepare(x, y, None), _positive(sigma, x)
    if keys.unit != 1.0:
        return effective_size(x / keys.unit, keys.in_units, width / keys.unit, own=own)
    with torch.no_grad():
        values = Values.of(keys, None, x.dtype)
        return _sums(x, keys, width, values, own, sized=True).size.to(x.dtype)


def as_widths(sigma: Sigma, x: Tensor) -> Tensor:
    """``sigma`` as a positive float64 number per query, ``(b,)``."""
    return _each(_positive(sigma, x), x)


def _each(width: float | Tensor, x: Tensor) -> Tensor:
    """What :func:`_positive` gave, as a number per query."""
    if isinstance(width, Tensor):
        return width
    return torch.full((len(x),), width, dtype=torch.float64, device=x.device)


def _positive(sigma: Sigma, x: Tensor) -> float | Tensor:
    """``sigma`` as one number, or a float64 number per query, ``(b,)``."""
    if isinstance(sigma, Tensor) and sigma.ndim == 0 and not sigma.is_cuda:
        sigma = float(sigma)
    if isinstance(sigma, float):
        require(1e-100 < sigma < 1e100, "sigma must be positive and finite", got=sigma)
        return sigma
    widths = torch.as_tensor(sigma, dtype=torch.float64, device=x.device)
    good = (widths > 1e-100) & (widths < 1e100)
    require(bool(good.all()), "sigma must be positive and finite", got=sigma)
    return widths.detach().expand(len(x))


def prepare(x: Tensor, y: Tensor | Keys, log_weights: Tensor | None) -> Keys:
    """The keys, prepared if they are not; refuses another dimension than the queries'."""
    require_digits(x, "kernel sums")
    if isinstance(y, Keys):
        require(log_weights is None, "prepared keys carry their own log_weights", got="both")
        keys = y
    else:
        keys = Keys(y.detach(), log_weights)
    require(x.shape[1] == keys.points.shape[1], "queries and keys must have the same dimension",
            got=f"{x.shape[1]} and {keys.points.shape[1]}")  # fmt: skip
    return keys


def _forward(
    x: Tensor, keys: Keys, sigma: float | Tensor, values: Tensor | None, one_out: bool
) -> KernelMean:
    table = Values.of(keys, values, x.dtype)
    own = torch.arange(len(x), device=x.device) if one_out else None
    out = _sums(x, keys, sigma, table, own)
    # In the caller's precision from here on, whatever made them, so that rows are rounded alike.
    mean = out.mean.to(x.dtype)
    return KernelMean(mean + table.origin, out.log_sum.to(x.dtype))


def _sums(
    x: Tensor,
    keys: Keys,
    sigma: float | Tensor,
    values: Values,
    own: Tensor | None,
    *,
    sized: bool = False,
) -> Sums:
    """The sums of all queries: of a small problem in one tile, where that is right."""
    if not len(x):
        return Sums.empty(0, values)
    if not small.serves(x, keys):
        return sums_of(Block.of(keys, x, _each(sigma, x), own), values, sized)
    right, found = small.small_sums(x, keys, sigma, values, own, sized)
    if right is None or bool(right.all()):
        return found
    wrong, out = (~right).nonzero()[:, 0], Sums.empty(len(x), values)
    out.put(right.nonzero()[:, 0], found, right)
    # as many queries as ever: rounding must not depend on how many are wrong
    rest = Block.of(keys, x, _each(sigma, x), own).part(filled(wrong, len(x)), FAST)
    out.put(wrong, sums_of(rest, values, sized), torch.ones_like(wrong, dtype=torch.bool))
    return out


class _SoftmaxMean(torch.autograd.Function):
    """The streamed sum, with its products of the Jacobian in the queries and a vector."""

    @staticmethod
    def forward(
        x: Tensor, keys: Keys, sigma: Tensor, values: Tensor | None, one_out: bool
    ) -> tuple[Tensor, Tensor]:
        return _forward(x, keys, sigma, values, one_out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, keys, sigma, values, one_out = inputs
        ctx.save_for_backward(x, sigma)
        ctx.save_for_forward(x, sigma)
        ctx.constants = keys, values, one_out

    @staticmethod
    @torch.autograd.function.once_differentiable
    @all_digits
    def backward(ctx: Any, grad: Tensor, grad_log: Tensor) -> tuple[Any, ...]:
        x, sigma = ctx.saved_tensors
        out = torch.zeros_like(x, dtype=torch.float64)
        for rows, block, table in _levelled(x, sigma, *ctx.constants):
            all_rows = filled(rows, len(block.x))
            sums, _, top = dense_sums(block, table.whole, table.table.shape[1])
            tilted, plain = pullback(block, table, top, sums, grad[all_rows])
            pull = tilted + grad_log[all_rows, None] * (plain[:, :-1] - block.x)
            out[rows] = (pull * block.inverse[:, None])[: len(rows)]
        return out.to(x.dtype), None, None, None, None

    @staticmethod
    @all_digits
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        x, sigma = ctx.saved_tensors
        columns = x.shape[1] if ctx.constants[1] is None else ctx.constants[1].shape[1]
        mean, log_sum = x.new_empty(len(x), columns), x.new_empty(len(x))
        for rows, block, table in _levelled(x, sigma, *ctx.constants):
            along = tangent[filled(rows, len(block.x))]
            tilted, slope = pushforward(block, table, along)
            scale = block.inverse[: len(rows)].to(x.dtype)
            mean[rows] = tilted[: len(rows)].to(x.dtype) * scale[:, None]
            log_sum[rows] = slope[: len(rows)].to(x.dtype) * scale
        return mean, log_sum


def _levelled(
    x: Tensor, sigma: Tensor, keys: Keys, values: Tensor | None, one_out: bool
) -> Iterator[tuple[Tensor, Block, Values]]:
    """All queries in blocks of one level, with their indices."""
    own = torch.arange(len(x), device=x.device) if one_out else None
    table = Values.of(keys, values, x.dtype)
    whole = Block.of(keys, x, sigma, own)
    level = whole.levels()
    for v in (FAST, DOUBLE, EXACT):
        for rows, block in blocks(whole, level == v, v):
            yield rows, block, table
