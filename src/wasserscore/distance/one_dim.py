r"""Optimal transport on the line: sort, and match equal quantiles.

For a convex cost the monotone coupling is optimal, so W2 costs two sorts:

.. math:: W_2^2(p, q) = \int_0^1 |F_p^{-1}(u) - F_q^{-1}(u)|^2 du .

Source: :cite:p:`villani2009`, chapter 2; the north-west corner rule gives the dual potentials.
"""

from typing import NamedTuple

import torch
from torch import Tensor

ROUNDING = 1e-14
"""Levels of the two quantile functions closer than this are the same level."""


class Coupling(NamedTuple):
    """A sparse plan: ``mass[k]`` goes from row ``rows[k]`` of x to row ``columns[k]`` of y."""

    rows: Tensor
    columns: Tensor
    mass: Tensor


def monotone_coupling(a: Tensor, b: Tensor) -> Coupling:
    """The coupling of *sorted* points with weights ``a (n,)`` and ``b (m,)``.

    At most n + m - 1 pieces, in increasing order; equal weights with n = m give the identity.
    """
    levels_a, levels_b = a.cumsum(0), b.cumsum(0)
    levels_a[-1] = levels_b[-1] = 1.0
    levels = torch.cat([levels_a, levels_b]).sort().values
    start = torch.cat([levels.new_zeros(1), levels[:-1]])
    mass = levels - start
    keep = mass > ROUNDING
    middle, mass = ((start + levels) / 2)[keep], mass[keep]
    rows = torch.searchsorted(levels_a, middle).clamp_max(len(a) - 1)
    columns = torch.searchsorted(levels_b, middle).clamp_max(len(b) - 1)
    return Coupling(rows, columns, mass / mass.sum())


def potentials(x: Tensor, y: Tensor, plan: Coupling) -> tuple[Tensor, Tensor]:
    """Dual potentials of sorted ``x (n,)``, ``y (m,)``: u_i + v_j <= |x_i - y_j|^2, = on the plan.

    They are differences of the cost along the staircase of the plan (the cost is Monge). Where it
    goes on in x and y at once, over either corner, they are the mean of both: one alone adds the
    square of a gap each time, which beside clouds that nearly coincide is more than all else.
    """
    i, j = plan.rows, plan.columns
    on, zero = (x[i] - y[j]).square(), x.new_zeros(1)
    over_x, over_y = (x[i[1:]] - y[j[:-1]]).square(), (x[i[:-1]] - y[j[1:]]).square()
    gain = (over_x - on[:-1] + on[1:] - over_y) / 2
    u_steps = torch.cat([zero, gain]).cumsum(0)
    v_steps = on[:1] + torch.cat([zero, on[1:] - on[:-1] - gain]).cumsum(0)
    u, v = x.new_zeros(len(x)), y.new_zeros(len(y))
    u[i], v[j] = u_steps, v_steps
    return u, v
