r"""Entropic transport: the plan of the form "kernel times potentials" whose marginals balance.

With cost :math:`|x - y|^2` and :math:`\epsilon = 2 \sigma^2` the plan is

.. math:: P_{ij} = a_i b_j e^{f_i + g_j - |x_i - y_j|^2 / 2 \sigma^2}

(potentials in units of :math:`\epsilon`): a Gaussian kernel of width sigma with log weights
:math:`g_j + \log b_j`. So half of Sinkhorn's iteration is one log-sum of the kernel engine, in
memory that does not grow with the product of the sizes. Each half raises the dual

.. math:: D(f, g) = a \cdot f + b \cdot g + 1 - \sum_{ij} P_{ij} \le OT_\epsilon / \epsilon ,

and an extrapolation is kept only where it raises the dual, too: iterations may be few or many,
but never lead astray.

Source: :cite:p:`feydy2019`, eq. (8)-(10) and (25); Anderson, Iterative procedures for nonlinear
integral equations, 1965 (the extrapolation).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.distance.clouds import distances
from wasserscore.kernel import Keys, softmax_mean
from wasserscore.kernel.dense import VANISHING

TABLE = 2**20
"""Up to so many pairs are kept between iterations; computing them anew took most of the time."""
MEMORY = 8
"""Iterates an extrapolation looks back on."""
SINGULAR = 1e-14
"""Relative size below which a direction of the extrapolation is noise."""


class Step(NamedTuple):
    """One iteration from a potential.

    Args:
        better: The next potential.
        other: The potential of the other cloud that belongs to the one before.
        dual: The dual of those two, in units of epsilon.
        error: How far the marginals of their plan are from the weights, in total (L1).
    """

    better: Tensor
    other: Tensor
    dual: float
    error: float


class Balanced(NamedTuple):
    """The last potential, what belongs to it, and the iterations it took."""

    potential: Tensor
    step: Step
    iterations: int


Iterate = Callable[[Tensor], Step]
"""One iteration: a potential in, a better one out."""


def between(x: Tensor, y: Tensor, sigma: float, a: Tensor, b: Tensor) -> Iterate:
    """Sinkhorn's iteration for the potential of ``y``: rows first, which are exact, then columns.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``.
        sigma: Width.
        a: Positive weights ``(n,)``.
        b: Positive weights ``(m,)``.
    """
    (over_y, over_x), log_a, log_b = log_sums(x, y, sigma), a.log(), b.log()

    def step(g: Tensor) -> Step:
        f = -over_y(g + log_b)
        better = -over_x(f + log_a)
        return Step(better, f, float(a @ f + b @ g), float(b @ (g - better).expm1().abs()))

    return step


def within(x: Tensor, sigma: float, a: Tensor) -> Iterate:
    """The iteration of a cloud with itself, averaged: errors halve at least, at any width.

    Args:
        x: ``(n, d)``.
        sigma: Width.
        a: Positive weights ``(n,)``.
    """
    (over_x, _), log_a = log_sums(x, x, sigma), a.log()

    def step(f: Tensor) -> Step:
        found = -over_x(f + log_a)
        excess = a * (f - found).expm1()  # of each row of the plan
        return Step((f + found) / 2, f, float(2 * a @ f - excess.sum()), float(excess.abs().sum()))

    return step


def ascend(
    iterate: Iterate, start: Tensor, weights: Tensor, *, iterations: int, tolerance: float
) -> Balanced:
    """Iterate, extrapolating, until the marginals are right to ``tolerance``.

    Args:
        iterate: Of :func:`between` or :func:`within`.
        start: Potential to begin with.
        weights: Of the points of the potential.
        iterations: Most iterations.
        tolerance: Largest total error of the marginals.
    """
    best = Balanced(start, iterate(start), 1)
    past = [(start, best.step.better)]
    for k in range(2, iterations + 1):
        if best.step.error <= tolerance:
            break
        trial = _extrapolate(past, weights) if len(past) > 1 else best.step.better
        found = iterate(trial)
        if len(past) > 1 and not found.dual >= best.step.dual:  # led astray: on without a memory
            past, best = past[-1:], best._replace(iterations=k)
            continue
        best = Balanced(trial, found, k)
        past = [*past[-MEMORY:], (trial, found.better)]
    return best


def _extrapolate(past: list[tuple[Tensor, Tensor]], weights: Tensor) -> Tensor:
    """Where the affine combination of past moves that is shortest, in mean square, leads."""
    before, after = (torch.stack(part) for part in zip(*past, strict=True))
    moves, ends = after - before, after.diff(dim=0)
    changes = moves.diff(dim=0)
    weighted = (changes * weights).double()
    gram, right = weighted @ changes.mT.double(), weighted @ moves[-1].double()
    back = torch.linalg.pinv(gram, rtol=SINGULAR, hermitian=True) @ right
    beyond: Tensor = back.to(ends) @ ends
    return after[-1] - beyond


Sums = Callable[[Tensor], Tensor]
"""Log weights of one cloud in, log-sums at the points of the other out."""


def log_sums(x: Tensor, y: Tensor, sigma: float) -> tuple[Sums, Sums]:
    r"""For log weights ``w (m,)``: :math:`\log \sum_j e^{w_j - |x_i - y_j|^2 / 2\sigma^2}`.

    And the same over the points of ``x``, for each of ``y``.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``.
        sigma: Width.
    """
    if len(x) * len(y) > TABLE:
        return _streamed(x, y, sigma), _streamed(y, x, sigma)
    logits = distances(x.double(), y.double()).div_(sigma).square_().div_(-2).to(x.dtype)
    return _tabled(logits), _tabled(logits.mT.contiguous())


def _streamed(x: Tensor, y: Tensor, sigma: float) -> Sums:
    nothing = torch.zeros_like(y[:, :1])  # to average; the keys themselves would cost as much
    return lambda weights: softmax_mean(x, Keys(y, weights), sigma, values=nothing).log_sum


def _tabled(logits: Tensor) -> Sums:
    def sums(weights: Tensor) -> Tensor:
        terms = logits + weights
        top = terms.amax(1, keepdim=True)
        return terms.sub_(top).clamp_min_(-VANISHING).exp_().sum(1).log() + top[:, 0]

    return sums
