r"""The flows that a score difference is compared with, as drifts of the same form.

=================  ================================================================================
MMD                gradient of the squared maximum mean discrepancy: the score difference without
                   its normalisers, :math:`p_k \nabla \log p_k - q_k \nabla \log q_k`
SVGD               :math:`E_q[k(z, x)\,s_p(x) + \nabla_x k(z, x)]`: the score difference smoothed
                   by k and q; needs the target's score
Langevin           :math:`s_p` and noise: the stochastic family at one
SlicedTransport    quantiles matched along random directions
=================  ================================================================================

The Sinkhorn divergence has a file of its own.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.flow.difference import Drift, ScoreDifference
from wasserscore.flow.kernels import GAUSSIAN, Kernel
from wasserscore.flow.sides import CloudSide, Side
from wasserscore.kernel import softmax_mean


@dataclass(frozen=True)
class MMD:
    r"""Descent of the squared MMD.

    .. math:: V(z) = \sigma^2\,\nabla_z \Bigl( \frac1m \sum_j k(z - y_j)
              - \frac1n \sum_i k(z - x_i) \Bigr)

    The gradient of :math:`\frac12 MMD^2` in particle i is :math:`-V(x_i) / (n \sigma^2)`.
    Source: :cite:p:`arbel2019`, section 2.

    Args:
        kernel: Of the discrepancy.
    """

    kernel: Kernel = GAUSSIAN

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """Pulls times mean kernel values.

        Raises:
            InputError: For a target that is not a cloud.
        """
        y = points_of(target, "MMD")
        towards = self.kernel.sums(x, y.keys, sigma)
        away = self.kernel.sums(x, CloudSide(x).keys, sigma)
        move = (towards.log_mean.exp()[:, None] * towards.pull
                - away.log_mean.exp()[:, None] * away.pull)  # fmt: skip
        return Drift(move)


@dataclass(frozen=True)
class SVGD:
    r"""Stein variational gradient descent, times sigma squared.

    .. math:: V(z) = \frac{\sigma^2}n \sum_i k_h(z - x_i)\,\bigl(s_p(x_i) + (z - x_i) / h^2\bigr)

    Source: :cite:p:`liu2016`, eq. (8).

    Args:
        width: h, data units; None takes :math:`median |x - x'| / \sqrt{2 \log(n + 1)}`.
    """

    width: float | None = None

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """The target's pull averaged by the kernel, and the kernel's repulsion."""
        h = median_width(x) if self.width is None else self.width
        keys = CloudSide(x).keys
        values = torch.cat([target(x, sigma).pull, x], 1)
        means, log_sum = softmax_mean(x, keys, h, values=values)
        pull, centre = means.tensor_split(2, dim=1)
        mass = (log_sum - math.log(len(x))).exp()[:, None]
        return Drift(mass * (pull + (sigma / h) ** 2 * (x - centre)))


def langevin() -> ScoreDifference:
    """The target's score and noise; no score of the particles: the stochastic family at one."""
    return ScoreDifference(stochasticity=1.0)


@dataclass(frozen=True)
class SlicedTransport:
    r"""Along random directions, every particle goes to its own quantile of the target.

    .. math:: V(x) = d\,E_\theta \bigl[
              \theta\,(F_p^{-1}(F_q(\theta \cdot x)) - \theta \cdot x) \bigr]

    The factor d makes a translation one step. Source: :cite:p:`bonneel2015`.

    Args:
        projections: Directions per step.
    """

    projections: int = 50

    def __post_init__(self) -> None:
        require(self.projections >= 1, "projections must be positive", got=self.projections)

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """Sort both clouds along every direction; sigma is not used.

        Raises:
            InputError: For a target that is not a cloud.
        """
        y = points_of(target, "sliced transport").points
        n, d = x.shape
        directions = streams.normal("direction", 0, self.projections, (d,), x)
        directions = directions / directions.norm(dim=1, keepdim=True)
        here, rank = (x @ directions.mT).sort(dim=0)
        there = (y @ directions.mT).sort(dim=0).values
        level = (torch.arange(n, dtype=torch.float64, device=x.device) + 0.5) / n
        quantile = there[(level * len(y)).long().clamp_max(len(y) - 1)]
        gaps = torch.zeros_like(here).scatter_(0, rank, quantile - here)
        return Drift(d * (gaps @ directions) / self.projections)


def points_of(target: Side, name: str) -> CloudSide:
    """The target as a cloud.

    Raises:
        InputError: If it is a score.
    """
    require(isinstance(target, CloudSide), f"{name} needs points of the target",
            got=type(target).__name__, do="draw some and pass them")  # fmt: skip
    assert isinstance(target, CloudSide)
    return target


def median_width(x: Tensor) -> float:
    r"""SVGD's width: :math:`h^2 = median |x - x'|^2 / (2 \log(n + 1))`.

    Over at most 1000 particles, taken at even distances.
    """
    some = x[:: -(-len(x) // 1000)].double()
    squares = torch.pdist(some).square()
    middle = float(squares.median()) if len(squares) else 0.0
    require(middle > 0, "a width needs particles that differ", got="all in one place",
            do="pass width")  # fmt: skip
    return math.sqrt(middle / (2 * math.log(len(x) + 1)))
