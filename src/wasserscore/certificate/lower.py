r"""Lower estimates beside the upper bounds.

For a convex h with conjugate :math:`h^*`, :math:`h(x) + h^*(y) \ge x \cdot y`, so for any two laws

.. math:: E|X - Y|^2 - 2 E\bigl[h(X) + h^*(Y) - X \cdot Y\bigr] \le W_2^2(p, q),

whatever h is and however X and Y are coupled, and pair by pair what is left of :math:`|X - Y|^2`
is at most that. The best h is fitted on other pairs than it is asked for, so the *mean* of what is
left never exceeds the squared distance: clouds that are apart because they are finite (two modes
that a pair chooses apart) do not count, and the common noise of coupled pairs cancels. Two kinds:

* a quadratic h, the optimal one of two Gaussians: with the moments of all pairs it would give the
  Gelbrich distance;
* one-dimensional ones along the axes :math:`a_j` of orthonormal bases,
  :math:`\sum_{j=1}^d W_2^2(a_j \cdot p,\, a_j \cdot q) \le W_2^2(p, q)`: d times the sliced
  distance squared, in the mean over bases.

What is printed is a mean over pairs, so it is an estimate with a standard error and not a bound.

Source: :cite:p:`villani2009`, theorem 5.10 (duality).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.core.typing import Cloud, PerPoint

DIRECTIONS = 200
"""As many whole bases are drawn as have so many axes."""
RIDGE = 1e-6
"""Share of the mean variance added to all: directions without points are left as they are."""
Fit = Callable[[Cloud, Cloud], Callable[[Cloud, Cloud], PerPoint]]
"""From pairs to what their best potentials waste on others: 2 (h(x) + h*(y) - x y) of each."""


def lower_estimates(x: Tensor, y: Tensor, *, batches: int, seed: int) -> dict[str, Estimate]:
    """Gelbrich and sqrt(d) * sliced, from potentials of all batches but the one that is asked.

    Args:
        x: Points of the reference, shape (n, *d), data units.
        y: Coupled points of the model.
        batches: How many batches are asked in turn.
        seed: Seed of the bases.
    """
    x, y = x.flatten(1), y.flatten(1)
    if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return {"none": Estimate(0.0, n=len(x), status="points are not finite")}
    x, y = _in_span(x, y)
    return {
        "Gelbrich": _left(quadratic, x, y, batches),
        "sqrt(d) sliced": _left(monotone, *_on_bases(x, y, seed), batches),
    }


def quadratic(x: Cloud, y: Cloud) -> Callable[[Cloud, Cloud], PerPoint]:
    r"""The quadratic h of the optimal map A between the moments of two clouds.

    With R the root of the first covariance and M = R S R of the second,
    :math:`h(x) + h^*(y) - x \cdot y = \tfrac12 |P x - Q y|^2` of centred points for
    :math:`P = M^{1/4} R^{-1}` and :math:`Q = M^{-1/4} R`, as :math:`P^T Q = I`.

    Args:
        x: Points (n, d).
        y: Points (n, d).
    """
    middle_x, middle_y = x.mean(0), y.mean(0)
    one, two = x - middle_x, y - middle_y
    ridge = float(one.square().mean() + two.square().mean()) * RIDGE / 2 or 1.0
    first, second = (c.mT @ c / len(c) + ridge * torch.eye(c.shape[1]).to(c) for c in (one, two))
    variance, axes = torch.linalg.eigh(first)
    root = variance.clamp_min(ridge).sqrt()
    inner, turn = torch.linalg.eigh(root[:, None] * (axes.mT @ second @ axes) * root)
    fourth = inner.clamp_min(ridge**2).sqrt().sqrt()
    to_x, to_y = axes / root @ turn * fourth, axes * root @ turn / fourth
    return lambda a, b: ((a - middle_x) @ to_x - (b - middle_y) @ to_y).square().sum(1)


def monotone(x: Cloud, y: Cloud) -> Callable[[Cloud, Cloud], PerPoint]:
    """In every column h' is the monotone map through matching quantiles, linear between them.

    Beyond the last of them it is a shift.

    Args:
        x: Points (n, k); every column is a problem of its own, and their parts add up.
        y: Points (n, k).
    """
    far = float(x.abs().max() + y.abs().max()) or 1.0
    knots_x, knots_y = (_sorted_between(c, far) for c in (x, y))
    width, height = knots_x.diff(), knots_y.diff()
    area = (width * (knots_y[:, 1:] + knots_y[:, :-1]) / 2).cumsum(1)
    area = torch.cat([torch.zeros_like(area[:, :1]), area], 1)

    def wasted(a: Cloud, b: Cloud) -> PerPoint:
        a, b = (c.mT.contiguous() for c in (a, b))
        i, j = _segment(knots_x, a), _segment(knots_y, b)
        step, up = a - knots_x.gather(1, i), b - knots_y.gather(1, j)
        slope = height.gather(1, i) / width.gather(1, i)
        back = up / height.gather(1, j) * width.gather(1, j)  # where the map takes the value b
        here = area.gather(1, i) + step * (knots_y.gather(1, i) + slope * step / 2)
        there = area.gather(1, j) + back * (knots_y.gather(1, j) + up / 2)
        return 2 * (here - there - b * (a - knots_x.gather(1, j) - back)).clamp_min(0).sum(0)

    return wasted


def _sorted_between(columns: Cloud, far: float) -> Tensor:
    """Every column in ascending order, and one value beyond either end, ``(k, n + 2)``."""
    rows = columns.mT.sort(1).values
    return torch.cat([rows[:, :1] - far, rows, rows[:, -1:] + far], 1)


def _segment(knots: Tensor, values: Tensor) -> Tensor:
    """Between which two knots, not equal ones, each value lies; the first or last two beyond."""
    return (torch.searchsorted(knots, values, right=True) - 1).clamp(0, knots.shape[1] - 2)


def _in_span(x: Tensor, y: Tensor) -> tuple[Cloud, Cloud]:
    """Both clouds around zero; beyond the span of fewer points than columns nothing is seen."""
    both = torch.cat([x, y]).double() - x.double().mean(0)
    if both.shape[1] > len(both):
        both = both @ torch.linalg.qr(both.mT).Q
    return both[: len(x)], both[len(x) :]


def _on_bases(x: Cloud, y: Cloud, seed: int) -> tuple[Tensor, Tensor]:
    """Coordinates on the axes of random bases, (n, k); each basis' part of a squared distance."""
    d = x.shape[1]
    bases = -(-DIRECTIONS // d)
    drawn = Streams(seed).normal("bases", 0, bases, (d, d), x)
    turn = torch.cat(list(torch.linalg.qr(drawn).Q), 1) / math.sqrt(bases)
    return x @ turn, y @ turn


def _left(fit: Fit, x: Cloud, y: Cloud, batches: int) -> Estimate:
    """The root of the mean of what is left, each batch asked of potentials of the others.

    Two standard errors below the root is the root of two standard errors below the mean.
    """
    n, left = len(x), (x - y).square().sum(1)
    batch = torch.arange(n) * batches // n
    for b in range(batches):
        here = batch == b
        left[here] -= fit(x[~here], y[~here])(x[here], y[here])
    square, error = max(float(left.mean()), 0.0), float(left.std()) / math.sqrt(n)
    value, below = math.sqrt(square), math.sqrt(max(square - 2 * error, 0.0))
    stderr = min(error / (value + below), math.sqrt(error)) if value else math.sqrt(error)
    return Estimate(value, stderr=stderr, n=n)
