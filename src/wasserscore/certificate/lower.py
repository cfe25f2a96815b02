r"""Lower estimates beside the upper bounds.

From the means and covariances (Gelbrich) and from one-dimensional projections,

.. math:: W_2(N(m_0, S_0), N(m_1, S_1)) \le W_2(p, q), \qquad \sqrt d\, SW_2(p, q) \le W_2(p, q).

Both hold for the laws; what is printed comes from samples, so it is an estimate with a standard
error and not a bound. Both sides of the *coupled* clouds are used: their common noise cancels, and
neither number can exceed the clouds' own coupled distance.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wasserscore.core.results import Estimate
from wasserscore.distance import gelbrich, sliced_w2


def lower_estimates(x: Tensor, y: Tensor, *, batches: int, seed: int) -> dict[str, Estimate]:
    """Gelbrich and sqrt(d) * sliced, with jackknife errors over batches of pairs.

    Args:
        x: Points of the reference, shape (n, *d), data units.
        y: Coupled points of the model.
        batches: How many batches the jackknife leaves out in turn.
        seed: Seed of the directions.
    """
    x, y = x.flatten(1), y.flatten(1)
    if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return {"none": Estimate(0.0, n=len(x), status="points are not finite")}
    root = math.sqrt(x.shape[1])
    return {
        "Gelbrich": _jackknife(lambda a, b: gelbrich(a, b).value, x, y, batches),
        "sqrt(d) sliced": _jackknife(
            lambda a, b: root * sliced_w2(a, b, projections=200, seed=seed).value, x, y, batches
        ),
    }


def _jackknife(
    statistic: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, batches: int
) -> Estimate:
    """The statistic of all pairs, and its standard error from leaving batches out in turn."""
    group = torch.arange(x.shape[0]) * batches // x.shape[0]
    left = torch.tensor([statistic(x[group != b], y[group != b]) for b in range(batches)],
                        dtype=torch.float64)  # fmt: skip
    error = math.sqrt((batches - 1) / batches * float((left - left.mean()).square().sum()))
    return Estimate(statistic(x, y), stderr=error, n=x.shape[0], status="ok")
