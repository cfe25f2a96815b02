r"""Exact W2 between point clouds, by network simplex, with its optimality checked.

.. math:: W_2^2(p, q) = \min_{P \ge 0,\ P 1 = a,\ P^T 1 = b} \sum_{ij} P_{ij} |x_i - y_j|^2
                      = \max_{u_i + v_j \le |x_i - y_j|^2} a \cdot u + b \cdot v .

The solver's answer is not trusted: the marginals of the plan and the gap between the two sides
are recomputed, and a plan that fails is never returned as an optimum.

Between *samples* of two laws, E[W2^2(p_n, q_n)] >= W2^2(p, q), and in high dimension the excess
dominates: two samples of the same law are far apart. Print the floor beside it (``with_floor``).
"""

import math
from typing import Any, NamedTuple

import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.memory import require_memory
from wasserscore.core.results import Estimate
from wasserscore.distance.clouds import as_clouds, as_weights, in_unit, variance_of_mean
from wasserscore.distance.one_dim import Coupling, monotone_coupling, potentials
from wasserscore.distance.simplex import simplex

MAX_PAIRS = 10**8
"""Largest n * m: 10,000 points a side, which takes minutes."""
BYTES_PER_PAIR = 41
"""Costs, plan and the solver's graph: 4.1 GB for 10,000 points a side."""


class Transport(NamedTuple):
    """A solved problem, in squares of its unit: the cost, its plan, and how sure both are."""

    w2_squared: float
    plan: Coupling
    stderr: float
    status: str
    unit: float


def w2(x: Any, y: Any, *, weights_x: Any = None, weights_y: Any = None) -> Estimate:
    """The W2 distance of two weighted point clouds, exact up to rounding.

    The standard error is that of the two empirical measures around their own mean at this n (the
    central limit theorem for the transport cost: variances of the dual potentials); it says
    nothing about the bias between E[W2(p_n, q_n)] and the distance of the laws. Where it would
    exceed the root of that of the square (clouds that nearly coincide), it is that root.

    Source: :cite:p:`villani2009`, theorem 5.10 (duality); del Barrio and Loubes, Central limit
    theorems for empirical transportation cost in general dimension, 2019, theorem 4.1.

    Args:
        x: Points ``(n, *shape)``: tensor, array or DataFrame, in data units.
        y: Points ``(m, *shape)``.
        weights_x: Non-negative weights (n,), normalised to one; equal when None.
        weights_y: Weights (m,).

    Returns:
        The distance in data units; ``status`` is "ok" or says how far from optimal it may be.

    Raises:
        InputError: On bad clouds or weights, or when n * m exceeds ``MAX_PAIRS`` or the memory.
    """
    clouds = as_clouds(x, y)
    solved = solve(*clouds, weights_x, weights_y)
    value = math.sqrt(solved.w2_squared)
    return Estimate(
        solved.unit * value,
        stderr=solved.unit * min(solved.stderr / (2 * value), math.sqrt(solved.stderr))
        if value
        else 0.0,
        n=min(len(c) for c in clouds),
        status=solved.status,
    )


def w2_squared_and_plan(
    x: Any, y: Any, *, weights_x: Any = None, weights_y: Any = None
) -> tuple[float, Tensor]:
    """The squared W2 distance and an optimal plan.

    For confidence limits average these *squares* over independent batches: only the mean of
    squares is one-sided, E[W2^2(p_n, q_n)] >= W2^2(p, q).

    Returns:
        The cost in squared data units, and the plan (n, m), float64, with row sums the weights
        of x and column sums the weights of y. Squares beyond 1e308 are infinite.

    Raises:
        InputError: As :func:`w2`.
        ArithmeticError: When the solver's plan fails the check of marginals or duality gap.
    """
    first, second = as_clouds(x, y)
    solved = solve(first, second, weights_x, weights_y)
    if solved.status != "ok":
        raise ArithmeticError(f"no optimal plan was found: {solved.status}")
    plan = torch.zeros(len(first), len(second), dtype=torch.float64)
    plan.index_put_((solved.plan.rows, solved.plan.columns), solved.plan.mass, accumulate=True)
    return solved.w2_squared * solved.unit * solved.unit, plan


def solve(x: Tensor, y: Tensor, weights_x: Any = None, weights_y: Any = None) -> Transport:
    """Optimal transport between two clouds (n, d), (m, d) of the same dtype."""
    a, b = as_weights(weights_x, len(x), "weights_x"), as_weights(weights_y, len(y), "weights_y")
    rows, columns = a.nonzero()[:, 0], b.nonzero()[:, 0]
    x, y = x.to("cpu", torch.float64)[rows], y.to("cpu", torch.float64)[columns]
    unit, (x, y) = in_unit(x, y)
    a, b = a[rows], b[columns]
    found, u, v, status = (_line if x.shape[1] == 1 else _simplex)(x, y, a, b)
    squares = (x[found.rows] - y[found.columns]).square().sum(1)
    return Transport(
        w2_squared=float((found.mass * squares).sum()),
        plan=Coupling(rows[found.rows], columns[found.columns], found.mass),
        stderr=math.sqrt(variance_of_mean(u, a) + variance_of_mean(v, b)),
        status=status,
        unit=unit,
    )


def _line(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Coupling, Tensor, Tensor, str]:
    """One dimension: sort and match quantiles."""
    (xs, i), (ys, j) = x[:, 0].sort(stable=True), y[:, 0].sort(stable=True)
    plan = monotone_coupling(a[i], b[j])
    u, v = torch.empty_like(xs), torch.empty_like(ys)
    u[i], v[j] = potentials(xs, ys, plan)
    return Coupling(i[plan.rows], j[plan.columns], plan.mass), u, v, "ok"


def _simplex(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Coupling, Tensor, Tensor, str]:
    """Any dimension: the network simplex on centred points.

    Moving a cloud adds a function of i or of j to the cost, which changes no plan; so both are
    centred and no digits are lost to a far-away origin.
    """
    require(
        len(x) * len(y) <= MAX_PAIRS,
        f"exact W2 takes at most {MAX_PAIRS:.0e} pairs of points",
        got=f"{len(x)} x {len(y)}",
        do="use sinkhorn_divergence, sliced_w2, or at most 10000 rows on both sides",
    )
    require_memory(
        BYTES_PER_PAIR * len(x) * len(y),
        f"exact W2 of {len(x)} x {len(y)} points",
        do="use sinkhorn_divergence, sliced_w2, or fewer rows",
    )
    centre_x, centre_y = a @ x, b @ y
    x, y, shift = x - centre_x, y - centre_y, centre_x - centre_y
    found = simplex(cdist(x, y, "sqeuclidean"), a.numpy(), b.numpy() * (a.sum() / b.sum()).item())
    plan = Coupling(*(torch.from_numpy(part) for part in (found.rows, found.columns, found.mass)))
    u = torch.from_numpy(found.u) + 2 * x @ shift + shift.square().sum()
    v = torch.from_numpy(found.v) - 2 * y @ shift
    return plan, u, v, found.status
