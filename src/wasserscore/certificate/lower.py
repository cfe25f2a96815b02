r"""Lower estimates beside the upper bounds.

From the means and covariances (Gelbrich) and from one-dimensional projections,

.. math:: W_2(N(m_0, S_0), N(m_1, S_1)) \le W_2(p, q), \qquad
          \sum_{j=1}^d W_2^2(a_j \cdot p,\, a_j \cdot q) \le W_2^2(p, q)

for the axes :math:`a_j` of any orthonormal basis; the mean over many bases is d times the sliced
distance squared. Both hold for the laws; what is printed comes from samples, so it is an estimate
with a standard error and not a bound. Both sides of the *coupled* clouds are used: their common
noise cancels, and neither number can exceed the clouds' own coupled distance. Directions that are
no whole bases could, by several percent.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.distance import gelbrich

DIRECTIONS = 200
"""As many whole bases are drawn as have so many axes."""


def lower_estimates(x: Tensor, y: Tensor, *, batches: int, seed: int) -> dict[str, Estimate]:
    """Gelbrich and sqrt(d) * sliced, with jackknife errors over batches of pairs.

    Args:
        x: Points of the reference, shape (n, *d), data units.
        y: Coupled points of the model.
        batches: How many batches the jackknife leaves out in turn.
        seed: Seed of the bases.
    """
    x, y = x.flatten(1), y.flatten(1)
    if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return {"none": Estimate(0.0, n=len(x), status="points are not finite")}
    return {
        "Gelbrich": _jackknife(lambda a, b: gelbrich(a, b).value, x, y, batches),
        "sqrt(d) sliced": _jackknife(_along, *_on_bases(x, y, seed), batches),
    }


def _on_bases(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Coordinates on the axes of random bases, (n, k); each basis' part of a squared distance.

    Beyond the span of fewer points than columns there is nothing to see.
    """
    n, both = len(x), torch.cat([x, y]).double() - x.double().mean(0)
    if both.shape[1] > len(both):
        both = both @ torch.linalg.qr(both.mT).Q
    d = both.shape[1]
    bases = -(-DIRECTIONS // d)
    drawn = Streams(seed).normal("bases", 0, bases, (d, d), both)
    turned = (both @ torch.cat(list(torch.linalg.qr(drawn).Q), 1) / math.sqrt(bases)).cpu()
    return turned[:n], turned[n:]


def _along(x: Tensor, y: Tensor) -> float:
    """The root of the sum over columns of squared one-dimensional W2."""
    gaps = np.sort(x.numpy(), axis=0) - np.sort(y.numpy(), axis=0)  # eight times as fast as torch
    return math.sqrt(float(np.square(gaps).sum()) / len(x))


def _jackknife(
    statistic: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, batches: int
) -> Estimate:
    """The statistic of all pairs, and its standard error from leaving batches out in turn."""
    group = torch.arange(x.shape[0]) * batches // x.shape[0]
    left = torch.tensor([statistic(x[group != b], y[group != b]) for b in range(batches)],
                        dtype=torch.float64)  # fmt: skip
    error = math.sqrt((batches - 1) / batches * float((left - left.mean()).square().sum()))
    return Estimate(statistic(x, y), stderr=error, n=x.shape[0], status="ok")
