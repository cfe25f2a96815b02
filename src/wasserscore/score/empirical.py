r"""The score of the noised data set, smoothed by a stated bandwidth."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import torch
from jaxtyping import Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_shape
from wasserscore.core.linalg import spectrum
from wasserscore.core.numbers import is_number
from wasserscore.core.tensors import as_points, as_tensor, expand_like, tiles
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Points, Times, Vector
from wasserscore.data import Scaling
from wasserscore.kernel import Keys, softmax_mean, softmax_pick
from wasserscore.process.base import Process
from wasserscore.score.base import ClosedFormScore, Tau
from wasserscore.score.components import gain_and_spread

TILE = 2**20
"""Distances held at a time."""


@dataclass(frozen=True, eq=False, repr=False)
class EmpiricalScore(ClosedFormScore):
    r"""The law of the data points with Gaussian noise of standard deviation ``bandwidth``.

    .. math:: p_0 = \frac1n \sum_i N(x_i, h^2 I), \qquad
              \nabla \log p_\tau(y) = \frac{\sum_i w_i x_i - y}{h^2 + \tau}, \qquad
              w = \text{softmax}_i \frac{-|y - x_i|^2}{2 (h^2 + \tau)}

    With ``bandwidth = 0`` it is the score that perfect training on the data set would find: its
    reverse process ends exactly on data points (memorization), and it has no density at ``t = 0``.

    Source: :cite:p:`zhang2024`, eq. (23); :cite:p:`karras2022`, appendix B.3 (ideal denoiser).

    Args:
        points: The data, ``(n, *shape)``.
        process: The forward process.
        bandwidth: The smoothing h, in the units of the points, non-negative.
        shape: The shape of one point; taken from ``points`` by default.
        scaling: How the points came from data units.
    """

    points: Points
    process: Process
    bandwidth: float = 0.0
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        points = as_points(self.points)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "shape", as_shape(self.shape or points.shape[1:]))
        width = self.bandwidth
        good = is_number(width) and width >= 0 and float(width) * float(width) < float("inf")
        require(good, "bandwidth must be non-negative, and its square finite", got=repr(width))
        object.__setattr__(self, "bandwidth", float(width))
        require(points[0].numel() == self.dim, "shape must fit the points", got=self.shape)

    @cached_property
    def keys(self) -> Keys:
        """The points as rows, prepared for the kernel engine."""
        return Keys(self.points.reshape(len(self.points), self.dim))

    def __repr__(self) -> str:
        known = f"{self.components:,} points {self.shape}, bandwidth {self.bandwidth:.4g}"
        return f"EmpiricalScore({known}, {self.process.call(4)})"

    @property
    def components(self) -> int:
        """Number of data points."""
        return len(self.points)

    @property
    def least_variance(self) -> float:
        """Bandwidth squared."""
        return self.bandwidth**2

    def local_dimension(self, x: Points, t: Times) -> PerPoint:
        r"""Local intrinsic dimension of the noised data seen from ``x``, ``(b,)``.

        .. math:: LID = d + \tau \frac{\Delta p_\tau}{p_\tau}
                      = d - \frac{\tau d}{v} + \frac{\tau}{v^2} \sum_i w_i |y - x_i|^2,
                  \qquad v = h^2 + \tau

        It goes to zero at a lone data point as the noise goes, which is what memorizing looks
        like from within. Source: as :meth:`ProximalScore.local_dimension`.
        """
        x = as_tensor(x)
        alpha, tau = self._clock(t, x)
        flat = self._flat(x).double() / expand_like(alpha, self._flat(x).double())
        level = tau.expand(len(flat))
        found = []
        for part, squared in self._squared(flat):
            noise, variance = level[part], level[part] + self.least_variance
            mean = (torch.softmax(-squared / (2 * variance[:, None]), 1) * squared).sum(1)
            found.append(self.dim * (1 - noise / variance) + noise / variance.square() * mean)
        return torch.cat(found).to(x.dtype)

    def log_prob_of_others(self, x: Points) -> PerPoint:
        """Log density without the data point nearest to each ``x`` (and its copies), ``(b,)``.

        At the data themselves: the leave-one-out density. Needs a bandwidth.
        """
        x = as_tensor(x)
        require(self.least_variance > 0, "a density needs a bandwidth", got=self.bandwidth)
        variance, n, found = self.least_variance, len(self.points), []
        for _, squared in self._squared(self._flat(x).double()):
            own = squared == squared.amin(1, keepdim=True)
            left = (-squared / (2 * variance)).masked_fill(own, -torch.inf).logsumexp(1)
            found.append(left - (n - own.sum(1)).clamp_min(1).double().log())  # nobody: -inf
        return (torch.cat(found) - self.dim / 2 * log(2 * pi * variance)).to(x.dtype)

    def _squared(self, y: Cloud) -> Iterator[tuple[slice, Tensor]]:
        """Squared distances to the data from differences, in tiles of rows."""
        known = self.points.reshape(len(self.points), -1).double()
        for part in tiles(len(y), max(1, TILE // len(known))):
            yield (
                part,
                torch.cdist(y[part], known, compute_mode="donot_use_mm_for_euclid_dist").square(),
            )

    def _width(self, tau: Tau) -> Tensor:
        return (tau + self.least_variance).sqrt()

    def _posterior_mean(self, y: Cloud, tau: Tau) -> Cloud:
        mean = softmax_mean(y, self.keys, self._width(tau)).mean
        if not self.least_variance:
            return mean
        kept = self.least_variance / (self.least_variance + tau)
        return mean + expand_like(kept, y) * (y - mean)

    def _score(self, y: Cloud, tau: Tau) -> Cloud:
        mean = softmax_mean(y, self.keys, self._width(tau)).mean
        return (mean - y) / expand_like(tau + self.least_variance, y)

    def _log_density(self, y: Cloud, tau: Tau) -> PerPoint:
        log_sum = softmax_mean(y, self.keys, self._width(tau)).log_sum
        scale = self.dim / 2 * torch.log(2 * pi * (tau + self.least_variance))
        return log_sum - (scale + log(len(self.points))).to(y.dtype)

    def _component(self, y: Cloud, tau: Tau, uniform: PerPoint) -> Int[Tensor, " b"]:
        return softmax_pick(y, self.keys, self._width(tau), uniform)

    def _bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tau,
        lower: Tau,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        centre = self.keys.points[index].to(y.dtype)
        gain, spread = gain_and_spread(self.least_variance, tau, lower, eta)
        return centre + expand_like(gain, y) * (y - centre) + expand_like(spread, y) * noise

    def _draw(self, n: int, generator: torch.Generator) -> Cloud:
        device = generator.device
        index = torch.randint(len(self.points), (n,), generator=generator, device=device)
        centre = self.keys.points[index.to(self.points.device)]
        z = torch.randn(centre.shape, generator=generator, dtype=centre.dtype, device=device)
        return centre + self.bandwidth * z.to(centre.device)

    def column_moments(self) -> tuple[Vector, Vector]:
        """Mean and variance of every coordinate, without the covariance; float64."""
        centred = self.keys.points.to(torch.float64) - self.keys.centre
        return self.keys.centre, centred.square().mean(0) + self.least_variance

    def spectrum(self) -> tuple[Vector, Matrix]:
        """Variances along the principal axes, rising, and these as columns; float64."""
        centred = self.keys.points.to(torch.float64) - self.keys.centre
        values, axes = spectrum(centred / len(centred) ** 0.5)
        return values + self.least_variance, axes

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance of the smoothed data set (the covariance divides by n), float64."""
        rows = self.keys.points.to(torch.float64)
        centred = rows - self.keys.centre
        identity = torch.eye(self.dim, dtype=rows.dtype, device=rows.device)
        return self.keys.centre, centred.T @ centred / len(rows) + self.least_variance * identity
