r"""Drift down the Sinkhorn divergence, by the iterations of :mod:`wasserscore.distance.balance`.

At cost :math:`|x - y|^2` and :math:`\epsilon = 2 \sigma^2` the entropic plan is a Gaussian kernel
of width sigma with a potential as log weights. The drift

.. math:: V(x_i) = \sum_j P^{xy}_{ij} y_j - \sum_j P^{xx}_{ij} x_j
          = -\frac n2 \frac{\partial S_\epsilon}{\partial x_i}

with P the plan's rows normalised, is the difference of two barycentres: a mean shift whose weights
also balance the columns. :math:`S_\epsilon` is zero for equal laws only, yet particles rest at any
stationary point: :math:`V = 0` proves nothing.

Source: :cite:p:`feydy2019`, eq. (3) and proposition 2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import Streams
from wasserscore.distance.balance import Iterate, ascend, between, within
from wasserscore.flow.baselines import points_of
from wasserscore.flow.difference import Drift
from wasserscore.flow.sides import Side
from wasserscore.kernel import Keys, softmax_mean


@dataclass(frozen=True)
class SinkhornDivergence:
    """The drift of the debiased divergence.

    Args:
        iterations: Most iterations per step.
        tolerance: Stop when the marginals of a plan are off by no more than this in total (L1).
    """

    iterations: int = 50
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "iterations", as_integer(self.iterations, "iterations"))
        require(self.tolerance > 0, "tolerance must be positive", got=self.tolerance)

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """Difference of the two barycentres at epsilon = 2 sigma^2.

        Raises:
            InputError: For a target that is not a cloud.
        """
        y = points_of(target, "the Sinkhorn divergence").points
        a, b = (torch.full_like(cloud[:, 0], 1 / len(cloud)) for cloud in (x, y))
        towards = self._barycentres(x, y, sigma, between(x, y, sigma, a, b), b)
        away = self._barycentres(x, x, sigma, within(x, sigma, a), a)
        return Drift(towards - away)

    def _barycentres(
        self, x: Tensor, y: Tensor, sigma: float, iterate: Iterate, b: Tensor
    ) -> Tensor:
        """Where the balanced plan sends each ``x``."""
        found = ascend(iterate, torch.zeros_like(b), b,
                       iterations=self.iterations, tolerance=self.tolerance)  # fmt: skip
        return softmax_mean(x, Keys(y, found.step.better + b.log()), sigma).mean
