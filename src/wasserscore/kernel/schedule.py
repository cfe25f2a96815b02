r"""Kernel sums of the same queries at several widths, as a whole noise schedule.

A logit is :math:`(x \cdot y_j - |y_j|^2 / 2) / \sigma^2 + b_j`, so where products are right as
they are (the FAST level of :mod:`wasserscore.kernel.keys`) that with the keys is made once for all
widths, and those with the values together. Other widths, and few coordinates, where exponentials
are most of the work, go one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from wasserscore.core.errors import require
from wasserscore.core.products import product
from wasserscore.core.tensors import tiles
from wasserscore.kernel.dense import dense_sums
from wasserscore.kernel.digits import all_digits
from wasserscore.kernel.keys import FAST, LARGEST_FAST, Keys, LogWeights, Queries, Rows
from wasserscore.kernel.softmax import KernelMean, as_widths, prepare, softmax_mean
from wasserscore.kernel.stream import Block
from wasserscore.kernel.sums import Sums, Values

ROWS = 1024
"""Queries times widths of one tile."""
COLUMNS = 128
"""Coordinates, less columns of values, from which on a product for all widths pays."""


@all_digits
def softmax_means(
    x: Queries,
    y: Rows | Keys,
    sigmas: Float[Tensor, " s"],
    *,
    values: Float[Tensor, "m dv"] | None = None,
    log_weights: LogWeights | None = None,
) -> KernelMean:
    """What :func:`softmax_mean` gives at each of several widths: ``(s, b, dv)`` and ``(s, b)``.

    As accurate, and differentiable as it is; faster where there are many coordinates. The last
    bits of a row depend on the set of queries and widths, not on that query alone as there.

    Args:
        x: Queries ``(b, d)``.
        y: Keys ``(n, d)``, or :class:`Keys` prepared once for many calls.
        sigmas: Kernel widths ``(s,)``, in the units of the points.
        values: What is averaged, ``(n, dv)``; the keys themselves by default.
        log_weights: Additive logit per key ``(n,)``.

    Raises:
        InputError: As :func:`softmax_mean`, and without a width.
    """
    require(sigmas.ndim == 1 and len(sigmas) > 0, "sigmas must be a vector of widths",
            got=f"shape {tuple(sigmas.shape)}")  # fmt: skip
    keys = prepare(x, y, log_weights)
    shared = _shared(x, keys, sigmas, values)
    if not bool(shared.any()):
        single = [softmax_mean(x, keys, sigma, values=values) for sigma in sigmas.tolist()]
        return KernelMean(*(torch.stack(part) for part in zip(*single, strict=True)))
    table = Values.of(keys, values, x.dtype)
    mean = x.new_empty(len(sigmas), len(x), table.table.shape[1] - 1)
    log_sum = x.new_empty(len(sigmas), len(x))
    alone = ~shared
    for rows, means, log_sums, right in _together(x, keys, sigmas[shared], table):
        mean[shared, rows] = means.to(x.dtype)
        log_sum[shared, rows] = log_sums.to(x.dtype)
        alone[shared] |= ~right
    for i in alone.nonzero()[:, 0]:
        mean[i], log_sum[i] = softmax_mean(x, keys, float(sigmas[i]), values=values)
    return KernelMean(mean, log_sum)


def _shared(x: Tensor, keys: Keys, sigmas: Tensor, values: Tensor | None) -> Tensor:
    """Which widths are made together, ``(s,)``: two or more, or none."""
    d = x.shape[1]
    pays = 2 * d - (d if values is None else values.shape[1]) >= COLUMNS
    none = torch.zeros(len(sigmas), dtype=torch.bool)
    differentiated = x.requires_grad and torch.is_grad_enabled()
    if not pays or x.is_cuda or differentiated or keys.unit != 1.0 or not len(x):
        return none
    farthest = x[(x - keys.centre).square().sum(1).argmax()].expand(len(sigmas), -1)
    fast = Block.of(keys, farthest, as_widths(sigmas, farthest)).size <= LARGEST_FAST
    return fast if int(fast.sum()) > 1 else none


def _together(
    x: Tensor, keys: Keys, sigmas: Tensor, values: Values
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Queries, means ``(s, q, dv)``, logs of sums ``(s, q)``, which widths hold; in tiles."""
    times = len(sigmas)
    for rows in tiles(len(x), max(1, ROWS // times)):
        here = x[rows]
        q = len(here)
        widths = sigmas.double().repeat_interleave(q)
        plain = Block.of(keys, here.repeat(times, 1), widths)
        block = _Repeated(keys, plain.x, plain.inverse, FAST, x.dtype, None, times)
        columns = values.table.shape[1]
        found = Sums.of(*dense_sums(block, values.whole, columns), block.offset())
        mean = found.mean + values.centre
        log_sum, right = (
            each.unflatten(0, (times, q)) for each in (found.log_sum, block.hold(found.log_sum))
        )
        yield rows, mean.unflatten(0, (times, q)), log_sum, right.all(1)


@dataclass(frozen=True, eq=False)
class _Repeated(Block):
    """A block in which the same queries come ``times`` times, with a width each time."""

    times: int = 1

    def logits(self, reference: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """As those of any block on the FAST level, from one product."""
        assert self.level == FAST
        once = pad(self.x[: len(self.x) // self.times], (0, 2)).to(self.dtype)
        once = pad(once, (0, 1), value=1.0)
        inverse = self.inverse.to(self.dtype)[:, None]
        table = self.keys.table(self.dtype)
        for run in self.runs():
            logits = product(once, table[run].T).repeat(self.times, 1)
            yield run, torch.addcmul(table[run, -2], logits, inverse)
