r"""Network simplex by POT whose answer is checked, and asked again where one row hides the rest.

The solver knows costs to about 1e-15 of the largest one times the number of points. Where a row is
far from all others (an outlier in both clouds, a code such as 999999999) that is more than all
other costs together. But a plan of cost :math:`c` with masses of at least :math:`w` puts nothing
on a pair that costs more than :math:`c / w`. Such a pair may as well cost :math:`c / w`: the plan
that is best then, and leaves it alone, is the best one, and the potentials stay below all costs.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np

from wasserscore.core.typing import Array

with warnings.catch_warnings():  # some of POT's docstrings warn when they are first compiled
    warnings.simplefilter("ignore")
    from ot.lp import emd

ITERATIONS = 10**8
TOLERANCE = 1e-9
"""Largest accepted relative duality gap and marginal error."""
ROUNDING = 1e-13
"""Duality gap, in largest costs that a plan may use, that rounding may leave."""
LEFT = 1e-15
"""Mass that finds no near partner because weights do not add up to the last digit."""
OPTIMAL = 1


class Solved(NamedTuple):
    """A plan by its rows, columns and masses, its potentials, and how sure both are.

    ``gap`` is the cost less the dual, infinite for what is no plan; ``status`` is "ok", or says
    what is wrong.
    """

    rows: Array
    columns: Array
    mass: Array
    u: Array
    v: Array
    cost: float
    gap: float
    status: str


def simplex(cost: Array, a: Array, b: Array) -> Solved:
    """Optimal transport between positive weights.

    Args:
        cost: Non-negative costs ``(n, m)``; overwritten.
        a: Weights ``(n,)`` with sum one.
        b: Weights ``(m,)`` with the same sum.
    """
    unit, least = float(cost.max()) or 1.0, float(min(a.min(), b.min()))
    cost /= unit
    found = _solved(cost, a, b, unit)
    while found.status != "ok" and found.cost < least * unit / 2:
        most = found.cost / (least * unit)
        np.minimum(cost, most, out=cost)
        cost /= most
        unit *= most
        finer = _solved(cost, a, b, unit, capped=True)
        if not finer.gap < found.gap:
            break
        found = finer
    return found


def _solved(cost: Array, a: Array, b: Array, unit: float, *, capped: bool = False) -> Solved:
    """The solver's answer for costs in [0, 1] of this unit, of which the largest may be caps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is checked below
        plan, log = emd(a, b, cost, numItermax=ITERATIONS, log=True)
    if capped:
        plan[(cost == 1) & (plan < LEFT)] = 0.0
    u, v = log["u"], log["v"]
    primal = float(np.einsum("ij,ij->", plan, cost))
    slack = min((row - u_i - v).min() for row, u_i in zip(cost, u, strict=True))
    gap = float(primal - (a @ u + b @ v) + max(0.0, -slack)) if primal else 0.0
    marginal = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
    small = TOLERANCE * primal + ROUNDING * min(1.0, primal / min(a.min(), b.min()))
    status = "ok"
    if not (marginal <= TOLERANCE and plan.min() >= 0) or (capped and plan[cost == 1].any()):
        gap, status = math.inf, f"not a plan: marginal error {marginal:.1e}"
    elif log["result_code"] != OPTIMAL or not gap <= small:
        relative = gap / max(primal, 1e-300)
        status = f"not optimal: solver code {log['result_code']}, relative gap {relative:.1e}"
    rows, columns = np.nonzero(plan)
    return Solved(rows, columns, plan[rows, columns], u * unit, v * unit, primal * unit,
                  gap * unit, status)  # fmt: skip
