r"""Coupled transport: exact optimal transport within independent batches of coupled pairs.

For empirical measures :math:`p_n, q_n` of any two samples, dependent or not,

.. math:: E\,W_2^2(p_n, q_n) \ge W_2^2(p, q),

by convexity of :math:`W_2^2`; on the two sides of a coupling it is at most the mean of
:math:`|x_i - y_i|^2`. Only the mean of *squares* over independent batches is one-sided: a single
:math:`W_2(p_n, q_n)` may well lie below the distance of the laws.

Source: :cite:p:`villani2009`, theorem 4.8 (convexity of the optimal cost).
"""

import math

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.distance import w2


def coupled_transport(x: Tensor, y: Tensor, batches: int) -> Tensor:
    """Squared W2 between the two sides of each batch, float64 of shape (batches,).

    A batch whose transport the solver could not prove optimal keeps the cost of its pairs as they
    are coupled, which is never smaller.

    Args:
        x: One side of the coupling, shape (n, *d), data units.
        y: The other side; row i belongs to row i of ``x``.
        batches: Number of equal batches; rows that do not fill one are left out.

    Raises:
        InputError: If a batch would have fewer than two pairs.
    """
    rows = x.shape[0] // batches
    require(rows >= 2, "coupled transport needs at least two pairs per batch", got=rows,
            do=f"use n >= {2 * batches}")  # fmt: skip
    costs = []
    for first, second in zip(x[: rows * batches].split(rows), y[: rows * batches].split(rows),
                             strict=True):  # fmt: skip
        paired = float(
            (first - second).flatten(1).square().sum(1).mean().nan_to_num(math.inf, math.inf)
        )
        if not math.isfinite(paired):
            costs.append(math.inf)
            continue
        found = w2(first.flatten(1), second.flatten(1))
        costs.append(min(found.value**2, paired) if found.status == "ok" else paired)
    return torch.tensor(costs, dtype=torch.float64)
