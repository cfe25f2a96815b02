r"""Drift down the Sinkhorn divergence, with the kernel engine as its log-domain solver.

Entropic transport at :math:`\epsilon = 2 \sigma^2` and cost :math:`|x - y|^2` has the plan
:math:`\pi_{ij} = a_i b_j e^{(f_i + g_j - |x_i - y_j|^2) / \epsilon}`: a Gaussian kernel of width
sigma with log weights :math:`g_j / \epsilon + \log b_j`, one softmax of the engine per half
iteration, in memory that does not grow with the product of the sizes; the few pairs of a training
batch are kept as a table instead. The drift

.. math:: V(x_i) = \sum_j P^{xy}_{ij} y_j - \sum_j P^{xx}_{ij} x_j
          = -\frac n2 \frac{\partial S_\epsilon}{\partial x_i}

with P the plan's rows normalised, is the difference of two barycentres: a mean shift whose weights
also balance the columns. :math:`S_\epsilon` is zero for equal laws only, yet particles rest at any
stationary point: :math:`V = 0` proves nothing.

Source: :cite:p:`feydy2019`, eq. (3) and proposition 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.flow.baselines import points_of
from wasserscore.flow.difference import Drift
from wasserscore.flow.sides import Side
from wasserscore.kernel import Keys, softmax_mean
from wasserscore.kernel.dense import VANISHING

TABLE = 2**20
"""Up to so many pairs are kept between iterations; computing them anew took most of the time."""


@dataclass(frozen=True)
class SinkhornDivergence:
    """The drift of the debiased divergence.

    Args:
        iterations: Most iterations per step.
        tolerance: Stop when no potential moves more than this, in units of epsilon.
    """

    iterations: int = 50
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        require(self.iterations >= 1, "iterations must be positive", got=self.iterations)
        require(self.tolerance > 0, "tolerance must be positive", got=self.tolerance)

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """Difference of the two barycentres at epsilon = 2 sigma^2.

        Raises:
            InputError: For a target that is not a cloud.
        """
        y = points_of(target, "the Sinkhorn divergence").points
        towards = softmax_mean(x, Keys(y, self._between(x, y, sigma)), sigma).mean
        away = softmax_mean(x, Keys(x, self._within(x, sigma)), sigma).mean
        return Drift(towards - away)

    def _between(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """Log weights of ``y``: its potential over epsilon, and log 1/m."""
        log_a, log_b = -math.log(len(x)), -math.log(len(y))
        over_y, over_x = log_sums(x, y, sigma), log_sums(y, x, sigma)
        g = torch.zeros_like(y[:, 0])
        for _ in range(self.iterations):
            f = -over_y(g + log_b)
            new = -over_x(f + log_a)
            change, g = float((new - g).abs().max()), new
            if change < self.tolerance:
                break
        return g + log_b

    def _within(self, x: Tensor, sigma: float) -> Tensor:
        """Log weights of ``x`` against itself: averaged iterations, which converge in a few."""
        log_a = -math.log(len(x))
        over_x = log_sums(x, x, sigma)
        f = torch.zeros_like(x[:, 0])
        for _ in range(self.iterations):
            new = (f - over_x(f + log_a)) / 2
            change, f = float((new - f).abs().max()), new
            if change < self.tolerance:
                break
        return f + log_a


def log_sums(x: Tensor, y: Tensor, sigma: float) -> Callable[[Tensor], Tensor]:
    r"""For log weights ``w (m,)``: :math:`\log \sum_j e^{w_j - |x_i - y_j|^2 / 2\sigma^2}`.

    Args:
        x: Where, ``(n, d)``.
        y: Keys ``(m, d)``.
        sigma: Width.
    """
    if len(x) * len(y) > TABLE:
        return lambda weights: softmax_mean(x, Keys(y, weights), sigma).log_sum
    logits = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    logits = logits.div_(sigma).square_().div_(-2)

    def sums(weights: Tensor) -> Tensor:
        terms = logits + weights
        top = terms.amax(1, keepdim=True)
        return terms.sub_(top).clamp_min_(-VANISHING).exp_().sum(1).log() + top[:, 0]

    return sums
