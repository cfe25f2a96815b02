r"""Kernel sums by attention where float32 products may be off: the sums tell whether it matters.

If logit :math:`j` is off by :math:`\delta_j`, a few of
:math:`2^{-24} (|x||y_j| + |y_j|^2 / 2) / \sigma^2`, then, with means over the weights,

.. math:: |\Delta \log \Sigma| \le E|\delta|, \qquad
          |\Delta \bar y| \le \sqrt{E \delta^2\; E|y - \bar y|^2},

and :math:`E|y|^2` is one more column of the result. At moderate :math:`\sigma` most queries pass,
as the keys that matter to one lie close together; the others are left to float64.

In few coordinates runs of keys are made of neighbours and have each their own middle. Norms from
there are small for the keys that matter, and so are errors.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.kernel import attention
from wasserscore.kernel.boxes import COORDINATES, halved
from wasserscore.kernel.dense import RUN, dense_sums
from wasserscore.kernel.keys import FAST, MASKED, TOLERANCE
from wasserscore.kernel.stream import Block, tile_bytes
from wasserscore.kernel.sums import Sums, Values

F32, UNIT = torch.float32, 2.0**-24
"""The relative error of rounding to float32."""
TRUSTED = 4e5
"""Logits with larger parts may be so wrong that the sum does not tell."""
LIKELY = 2.5 * TOLERANCE[F32]
"""Nats of error above which a log of a sum is hardly ever right; it is then not tried."""
SHORT = 256
"""Keys of a run of neighbours."""


class Runs(NamedTuple):
    """The keys in runs.

    Args:
        table: Their table about the middles of the runs, ``(r, k, e)``, float32; zeros from column
            d + 3 on.
        middle: ``(r, d)``, float64.
        radius: The largest norm about the middle, ``(r,)``, float64.
    """

    table: Tensor
    middle: Cloud
    radius: PerPoint

    @classmethod
    def of(cls, table: Cloud) -> "Runs":
        """From a table in float64; runs in many coordinates are not moved."""
        n, d = len(table), table.shape[1] - 3
        count = -(-n // (SHORT if d <= COORDINATES else RUN))
        if d <= COORDINATES:
            count = 2 ** (count - 1).bit_length()
        fill = table[-1:].repeat(-n % count, 1)
        fill[:, -2] = MASKED
        full = torch.cat([table, fill])
        if d <= COORDINATES:
            full = full[halved(full[:, :d], count)]
        full = full.view(count, -1, d + 3)
        middle = (full.amax(1) + full.amin(1))[:, :d] / 2 * float(d <= COORDINATES)
        full[..., :d] -= middle[:, None]
        full[..., -1] = full[..., :d].square().sum(-1) / -2
        return cls(attention.widened(full.to(F32)), middle, (-2 * full[..., -1].amin(1)).sqrt())


class Found(NamedTuple):
    """Means over the weights of some queries, ``(q, ...)``, float64.

    Args:
        mean: Of the keys.
        log_sum: Log of the sum of weights.
        squared: Of the keys' squared norms.
        off: Of the error of a logit.
        worse: Of its square.
    """

    mean: Tensor
    log_sum: Tensor
    squared: Tensor
    off: Tensor
    worse: Tensor


def serves(whole: Block, values: Values) -> bool:
    """Whether sums can be checked."""
    return whole.dtype == F32 and values.are_keys and not whole.x.is_cuda


def promising(whole: Block) -> Tensor:
    """Rows that may turn out right, ``(q,)``."""
    if whole.x.shape[1] > COORDINATES:
        norm, far = whole.norm, whole.norm.clamp_max(whole.keys.radius)
    else:
        runs = _runs(whole)
        norm, nearest = torch.cdist(whole.x, runs.middle).min(1)
        far = runs.radius[nearest]
    return (whole.size <= TRUSTED) & (_off(whole, norm, far, far) <= LIKELY)


def checked_sums(block: Block, values: Values, sized: bool) -> tuple[Tensor, Sums]:
    """Which rows are right ``(q,)``, and the sums.

    Args:
        block: Queries that :func:`serves` takes.
        values: The keys.
        sized: Whether effective sizes are asked for; they cost another pass.
    """
    if not attention.serves(block, FAST):
        return _by_tiles(block, sized)
    found, doubled = _pass(block, 1), _pass(block, 2) if sized else None
    mean, log_sum = found.mean, found.log_sum
    # a key taken out of a sum afterwards, of at most half the weight, multiplies its error
    tolerance = TOLERANCE[F32] / (1 if block.own is None else 4)
    right = holds(found, block.keys.radius, tolerance, None if doubled is None else doubled.off)
    squares = log_sum if doubled is None else doubled.log_sum
    if block.own is not None:
        logit = block.differences(torch.arange(len(block.x)), block.own)
        own = block.keys.table(torch.float64)[block.own, :-3]
        seen, mean, log_sum, squares = attention.without(logit, own, mean, log_sum, squares)
        right &= seen
    return right, Sums(mean, log_sum, (2 * log_sum - squares).exp())


def _by_tiles(block: Block, sized: bool) -> tuple[Tensor, Sums]:
    """The same without attention: as one tile of logits after another, where none is hidden."""
    table = block.keys.prepared(("normed", F32), lambda t: t[:, [*range(len(block.x[0])), -1, -3]])
    sums, squares, top = dense_sums(block, table, table.shape[1], beside=2)
    made = Sums.of(sums, squares, top, block.offset())
    mean, squared = made.mean[:, :-1], (-2 * made.mean[:, -1]).clamp_min(0)
    off = 2 * _off(block, block.norm, squared.sqrt(), squared.sqrt())
    found = Found(mean, made.log_sum, squared, off, (UNIT * block.size).square())
    right = holds(found, block.keys.radius, TOLERANCE[F32], UNIT * block.size if sized else None)
    return right, made._replace(mean=mean)


def holds(found: Found, radius: float, tolerance: float, doubled: Tensor | None = None) -> Tensor:
    """Whether errors of logits do not matter, ``(q,)``.

    Args:
        found: The sums.
        radius: The largest norm of a key.
        tolerance: What means, in units of the radius, and logs may be off.
        doubled: Means of the error of a logit over squared weights, where effective sizes must be
            right, too.
    """
    spread = found.squared - found.mean.square().sum(1) + 8 * UNIT * radius**2
    right = found.worse * spread <= (tolerance * radius) ** 2
    piled = _times(found.mean.shape[1])
    right &= piled * found.off <= tolerance * (1 + found.log_sum.abs())
    if doubled is not None:
        right &= 2 * piled * (found.off + doubled) <= 10 * tolerance
    return right


def _pass(block: Block, power: int) -> Found:
    """Sums over weights to some power, of every query."""
    runs, (q, d) = _runs(block), block.x.shape
    near = d <= COORDINATES
    mean = torch.zeros(q, d, dtype=torch.float64)
    total, top = mean.new_zeros(q, 4), mean.new_full((q,), -torch.inf)
    rows = attention.widened(power * block.queries().to(F32))[None]
    norm = block.norm[None]
    each = 2 * rows.nbytes if near else rows.nbytes
    for here in tiles(len(runs.table), max(1, tile_bytes(rows) // each)):
        table, middle, radius = (part[here] for part in runs)
        if near:
            x = block.x - middle[:, None]
            norm = x.norm(dim=2)
            ends = rows[:, :, d:].expand(len(x), -1, -1)
            rows_here = torch.cat([(x * (power * block.inverse[:, None])).to(F32), ends], 2)
        else:
            rows_here = rows
        part, log_sum = attention.heads(rows_here, table, table)
        log_sum -= norm.square() * (power * block.inverse / 2)
        squared = (-2 * part[..., d + 2].double()).clamp_min(0)
        far = squared.sqrt()
        off, worse = (_off(block, norm, far, size) for size in (far, radius[:, None]))
        new = torch.maximum(top, log_sum.amax(0))
        fade, weight = (top - new).exp()[:, None], (log_sum - new).exp()
        if near:
            moved = part[..., :d].double() + middle[:, None]
            squared = squared - (moved - middle[:, None]).square().sum(2) + moved.square().sum(2)
            mean.mul_(fade).add_(attention.combined(weight, moved))
        else:
            mean.mul_(fade).add_(attention.combined(weight, part[..., :d]))
        columns = torch.stack([torch.ones_like(off), squared, off, worse.square()], 2)
        total = total * fade + attention.combined(weight, columns)
        top = new
    weight = total[:, :1]
    squared, off, worse = (total / weight)[:, 1:].unbind(1)
    return Found(mean / weight, top + weight[:, 0].log(), squared, off, worse)


def _off(block: Block, norm: Tensor, far: Tensor, size: Tensor) -> Tensor:
    """Nats that one rounding changes logits by, of keys ``far`` from the middle up to ``size``."""
    return UNIT * ((norm + size / 2) * far * block.inverse + block.keys.heaviest)


def _times(d: int) -> float:
    """How many roundings may show in a log of a sum.

    Terms of one product may pile up: measured on clouds whose axes fall off. (In a mean, errors
    of different keys have both signs, and no more than one was ever seen.)
    """
    return (1 + math.sqrt(d)) / 2


def _runs(block: Block) -> Runs:
    return block.keys.prepared(("neighbours", torch.float64), Runs.of)
