r"""The drift of drifting models: two mean shifts whose weights are balanced over both clouds.

Distances are in units of their mean, so a temperature means the same for every data set. At each
temperature :math:`\tau`, with :math:`\ell_{ij} = -|x_i - t_j| / \tau` over particles and target
points together, a particle not seeing itself,

.. math:: \log A_{ij} = \ell_{ij} - \tfrac12 \bigl(\log \textstyle\sum_k e^{\ell_{ik}}
          + \log \sum_k e^{\ell_{kj}}\bigr)

.. math:: V(x_i) = S^-_i \sum_{j \in y} A_{ij}\,y_j - S^+_i \sum_{j \in x} A_{ij}\,x_j

with :math:`S^+_i, S^-_i` the sums of :math:`A_{ij}` over the target and over the particles: the
coefficients of a row add up to zero. Every temperature's V is scaled to root mean square one and
all are added, so *the size of the drift says nothing about the distance that is left*.

The square root of row and column softmax has a floor in the published code (1e-3 per pair, so
``floor=1e-6`` here). It is a weak pull of everything on everything; with many particles or low
temperatures it wins over the true affinities, so it is zero by default.

**Guidance.** Points of all classes are further negatives of the particles of one: weighted by
:math:`w = (g - 1)(n - 1) / k` for k of them and a scale g, they count as g - 1 times the other
particles, so the class is overdrawn away from the rest. Weights multiply A after both softmaxes:
at g = 1 they push nothing, yet take part in the sums of rows and columns.

Source: :cite:p:`deng2026` and its published code; the log-domain form is ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.flow.baselines import points_of
from wasserscore.flow.difference import Drift
from wasserscore.flow.sides import Side

TEMPERATURES = (0.02, 0.05, 0.2)
"""In units of the mean distance."""
LEAST_SQUARE = 1e-8
"""A drift of less than the root of this, in units of the mean distance, is not scaled up."""


@dataclass(frozen=True)
class Drifting:
    r"""The drift of :cite:t:`deng2026` at several temperatures.

    Args:
        temperatures: Widths of the Laplace kernel, in units of the mean distance.
        floor: Least product of row and column softmax of a pair; 1e-6 in the published code.

    Raises:
        InputError: For temperatures that are not positive, or a floor outside [0, 1).
    """

    temperatures: tuple[float, ...] = TEMPERATURES
    floor: float = 0.0

    def __post_init__(self) -> None:
        require(bool(self.temperatures) and min(self.temperatures) > 0,
                "temperatures must be positive", got=self.temperatures)  # fmt: skip
        require(0 <= self.floor < 1, "floor must lie in [0, 1)", got=self.floor)

    def __call__(self, x: Tensor, target: Side, sigma: float, streams: Streams, /) -> Drift:
        """The sum over temperatures; ``sigma`` is not used.

        Raises:
            InputError: For a target that is not a cloud, or a single particle.
        """
        return self._drift(x, points_of(target, "drifting").points, x[:0], 1.0)

    def guided(self, x: Cloud, y: Tensor, others: Tensor, scale: float) -> Drift:
        """The drift of particles of one class under guidance.

        Args:
            x: Particles ``(n, d)``.
            y: Points of the class ``(m, d)``.
            others: Points of all classes ``(k, d)``.
            scale: How far the class is overdrawn, at least 1; see :func:`guidance_scale`.

        Raises:
            InputError: For a single particle, no other points, or a scale below 1.
        """
        return self._drift(x, y, others, negative_weight(scale, len(x), len(others)))

    def _drift(self, x: Cloud, y: Tensor, others: Tensor, weight: float) -> Drift:
        n, d = x.shape
        require(n >= 2, "drifting needs two particles", got=n)
        points = torch.cat([x, others.to(x), y.to(x)])
        points = points - points.mean(0)
        distance = torch.cdist(points[:n], points)
        weights = torch.ones_like(distance[0])
        weights[n : n + len(others)] = weight
        mean = (distance @ weights).mean() / weights.sum()
        mean = mean.clamp_min(torch.finfo(x.dtype).tiny)
        unit = mean / d**0.5
        points = points / unit
        logits = -distance / mean
        logits[:, :n].fill_diagonal_(-torch.inf)
        move = torch.zeros_like(x)
        for temperature in self.temperatures:
            field = balanced_shift(logits / temperature, points, self.floor, weights, len(y))
            square = field.square().mean().clamp_min(LEAST_SQUARE)
            move += field / square.sqrt()
        return Drift(unit * move)


def balanced_shift(
    logits: Tensor, points: Tensor, floor: float, weights: Tensor, positives: int
) -> Tensor:
    """The field at one temperature.

    Args:
        logits: Log kernel ``(n, n + k + m)``, minus infinity where a particle would see itself.
        points: The n particles, k other negatives, then the m points of the target.
        floor: See :class:`Drifting`.
        weights: Of every point, after the softmaxes.
        positives: m.
    """
    middle = (logits.logsumexp(1, keepdim=True) + logits.logsumexp(0, keepdim=True)) / 2
    affinity = (logits - middle).exp().clamp_min(floor**0.5) * weights
    away, towards = affinity[:, :-positives], affinity[:, -positives:]
    coefficients = torch.cat(
        [-away * towards.sum(1, keepdim=True), towards * away.sum(1, keepdim=True)], 1
    )
    return coefficients @ points


def negative_weight(scale: float, n: int, others: int) -> float:
    """The weight of each of the other negatives under guidance: ``(scale - 1)(n - 1) / others``.

    Args:
        scale: The guidance scale.
        n: Particles.
        others: Other negatives.
    """
    require(scale >= 1, "a guidance scale must be at least 1", got=scale)
    require(others >= 1, "guidance needs points of all classes", got=others)
    return (scale - 1) * (n - 1) / others


def guidance_scale(uniform: PerPoint, *, most: float = 4.0, power: float = 3.0) -> PerPoint:
    r"""Guidance scales in [1, most] with density proportional to :math:`g^{-power}`.

    The inverse of their distribution function,
    :math:`g = (1 + u\,(most^{1 - power} - 1))^{1 / (1 - power)}`.

    Args:
        uniform: Numbers in [0, 1].
        most: The largest scale.
        power: Above 1; 3 for latents and 5 for pixels in the published training.

    Raises:
        InputError: For a largest scale or a power of at most 1.
    """
    for name, value in (("most", most), ("power", power)):
        require(value > 1, f"{name} must be above 1", got=value)
    tail: float = most ** (1 - power)
    return (1 + uniform * (tail - 1)) ** (1 / (1 - power))
