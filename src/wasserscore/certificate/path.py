r"""Reference paths: points whose law is the reference's at every time of a grid.

The upper bound of a coupling is valid only if its reference side *has* the reference law, on the
grid at hand and not in the limit of many steps. Three ways to have it:

* a Gaussian law moves by an affine map of the point and the noise, at every noise level;
* any closed-form law steps by drawing a component from its posterior and then that component's
  Gaussian bridge, which is the true reverse process at any step size;
* the probability flow has no exact step for a mixture: it is solved on a finer grid, and what that
  leaves is measured and added to the bound.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from wasserscore.core.linalg import symmetric
from wasserscore.core.random import Streams
from wasserscore.core.typing import Noise
from wasserscore.dynamics import TimeGrid
from wasserscore.process.base import Process
from wasserscore.score.base import ClosedFormScore

WARP = 7.0
"""Substeps are uniform in the root of this order of sigma / alpha (Karras' rho)."""


class PathEnd(NamedTuple):
    """Where a reference path ends, and how far each point may be from an exact one."""

    x: Tensor
    error: Tensor | None
    """Distances, one per point, between this path and one solved half as finely; None if exact."""


@runtime_checkable
class ReferencePath(Protocol):
    """A way down a grid that keeps the reference's law."""

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise) -> PathEnd:
        """The end of the paths that start in ``x`` (distributed as the reference at the start)."""
        ...


@dataclass(frozen=True)
class GaussianPath:
    r"""A Gaussian law at noise level ``eta``: exact, affine, synchronous in the noise.

    In the natural clock, :math:`y = x/\alpha`, :math:`\tau = \sigma^2/\alpha^2`, with
    :math:`A = (C + \tau_s I)(C + \tau_t I)^{-1}`:

    .. math:: y_s = m + A^{(1 + \eta^2)/2} (y_t - m)
                    + \bigl((C + \tau_s I)(I - A^{\eta^2})\bigr)^{1/2} z

    ``eta = 1`` is the reverse process, ``eta = 0`` the probability flow; the law is the same.

    Args:
        reference: A score whose law is Gaussian.
        eta: Noise level, non-negative.
    """

    reference: ClosedFormScore
    eta: float

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise) -> PathEnd:
        """See :class:`ReferencePath`."""
        mean, covariance = self.reference.moments()
        values, vectors = torch.linalg.eigh(symmetric(covariance).to(x))
        values = values.clamp_min(0)
        process, flat = self.reference.process, x.flatten(1)
        alpha, tau = _clock(process, grid.start)
        y = (flat / alpha - mean.to(x)) @ vectors
        for k, _, s in grid.pairs():
            alpha, lower = _clock(process, s)
            ratio = (values + lower) / (values + tau)
            spread = ((values + lower) * (1 - ratio ** (self.eta**2))).clamp_min(0).sqrt()
            y = ratio ** ((1 + self.eta**2) / 2) * y + spread * (noise(k).flatten(1) @ vectors)
            tau = lower
        return PathEnd((alpha * (y @ vectors.mT + mean.to(x))).reshape(x.shape), None)


@dataclass(frozen=True)
class ReversePath:
    r"""The true reverse process of any closed-form law, observed on the grid.

    Every step is cut into ``parts``; their noises are drawn *given* that, weighted by the variance
    each adds in the natural clock, they sum to the step's noise. So the model's sampler keeps its
    one Gaussian per step and the reference shares it, as a coarse Brownian increment is the sum of
    fine ones. More parts change nothing in either law; they only make component choices smaller.

    Args:
        reference: The law.
        parts: Substeps per step, at least 1.
        streams: Where component choices and inner noises come from.
    """

    reference: ClosedFormScore
    parts: int
    streams: Streams

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise) -> PathEnd:
        """See :class:`ReferencePath`."""
        n = x.shape[0]
        for k, t, s in grid.pairs():
            times = substeps(self.reference.process, t, s, self.parts)
            for j, (part, z) in enumerate(
                zip(pairwise(times), self._noises(noise(k), times, k), strict=True)
            ):
                uniform = self.streams.uniform(f"component/{k}/{j}", 0, n, x)
                x = self.reference.reverse_transition(x, *part, noise=z, uniform=uniform)
        return PathEnd(x, None)

    def _noises(self, z: Tensor, times: list[float], k: int) -> list[Tensor]:
        """Independent standard normals whose weighted sum is ``z``."""
        if self.parts == 1:
            return [z]
        taus = [_clock(self.reference.process, t)[1] for t in times]
        weights = [math.sqrt((a - b) / (taus[0] - taus[-1])) for a, b in pairwise(taus)]
        shape, n = tuple(z.shape[1:]), z.shape[0]
        free = [self.streams.normal(f"bridge/{k}/{j}", 0, n, shape, z) for j in range(self.parts)]
        total = sum((w * f for w, f in zip(weights, free, strict=True)), torch.zeros_like(z))
        return [f + w * (z - total) for w, f in zip(weights, free, strict=True)]


@dataclass(frozen=True)
class FlowPath:
    r"""The probability flow of any closed-form law, solved to a tolerance.

    .. math:: \frac{dy}{dr} = -r\,\nabla\log p_\tau(y), \qquad r = \sigma/\alpha,\ \tau = r^2,

    in the variable :math:`w = (y - m) / (v + r^2)^{1/2}`, which the flow of the Gaussian
    :math:`N(m, v I)` of the same mean and mean variance leaves unchanged, and the clock
    :math:`1 / (v^{1/2} + r)`, in which w is smooth from infinite noise down to none,
    by the classical Runge-Kutta method in equal steps of that clock (the sampler's own grid plays
    no part), their number doubled until two solutions differ by less than ``tolerance`` in root
    mean square. The difference, not divided by 2^4 - 1, is returned as the error of the finer one.

    Args:
        reference: The law.
        tolerance: Root-mean-square difference to reach, in the law's own (scaled) units.
        parts: Steps of the first solution.
        doublings: How often the number may double.
    """

    reference: ClosedFormScore
    tolerance: float
    parts: int = 16
    doublings: int = 5

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise) -> PathEnd:
        """See :class:`ReferencePath`; the noise is not used."""
        parts, coarse = self.parts, self._solve(x, grid, self.parts)
        for _ in range(self.doublings):
            parts *= 2
            fine = self._solve(x, grid, parts)
            error = (fine - coarse).flatten(1).norm(dim=1)
            if float(error.square().mean().sqrt()) <= self.tolerance:
                break
            coarse = fine
        return PathEnd(fine, error)

    def _solve(self, x: Tensor, grid: TimeGrid, parts: int) -> Tensor:
        process = self.reference.process
        y = x / _clock(process, grid.start)[0]
        for t, s in pairwise(self._times(grid.start, grid.stop, parts)):
            y = self._runge_kutta(y, t, s)
        return _clock(process, grid.stop)[0] * y

    def _clock_at(self, t: float) -> float:
        """The integration variable: grows from 0 at infinite noise to its value at the data."""
        return 1 / (math.sqrt(self._match[1]) + math.sqrt(_clock(self.reference.process, t)[1]))

    def _times(self, t: float, s: float, parts: int) -> list[float]:
        """``parts + 1`` times, uniform in the clock, so that doubling halves every step."""
        process, scale = self.reference.process, math.sqrt(self._match[1])
        p, q = self._clock_at(t), self._clock_at(s)
        inner = [p + (q - p) * j / parts for j in range(1, parts)]
        return [t, *(float(process.time_at((1 / v - scale) ** 2)) for v in inner), s]

    def _runge_kutta(self, y: Tensor, t: float, s: float) -> Tensor:
        process = self.reference.process
        r, end = (math.sqrt(_clock(process, u)[1]) for u in (t, s))
        if end == 0 and self.reference.least_variance == 0:
            return self.reference.denoise(y * _clock(process, t)[0], t)
        mean, variance = self._match
        scale = math.sqrt(variance)
        p, q = self._clock_at(t), self._clock_at(s)
        middle = float(process.time_at((2 / (p + q) - scale) ** 2))
        w, h = (y - mean.to(y)) / math.hypot(scale, r), q - p
        k1 = self._velocity(w, t)
        k2 = self._velocity(w + h / 2 * k1, middle)
        k3 = self._velocity(w + h / 2 * k2, middle)
        k4 = self._velocity(w + h * k3, s)
        w = w + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return mean.to(y) + math.hypot(scale, end) * w

    def _velocity(self, w: Tensor, t: float) -> Tensor:
        """dw/dp: how the flow differs from that of the matched Gaussian."""
        alpha, tau = _clock(self.reference.process, t)
        if tau == 0:
            return torch.zeros_like(w)
        mean, variance = self._match
        width, r = math.sqrt(variance + tau), math.sqrt(tau)
        y = mean.to(w) + width * w
        gap = alpha * self.reference(alpha * y, t) / width + w / width**2
        return r * (math.sqrt(variance) + r) ** 2 * gap

    @cached_property
    def _match(self) -> tuple[Tensor, float]:
        """Mean and mean variance of the law."""
        mean, covariance = self.reference.moments()
        mean = mean.double().reshape(self.reference.shape)
        return mean, max(float(torch.diagonal(covariance).mean()), 1e-12)


def substeps(process: Process, t: float, s: float, parts: int) -> list[float]:
    """``parts + 1`` times from ``t`` to ``s``, uniform in a root of sigma / alpha."""
    if parts == 1:
        return [t, s]
    top, bottom = (math.sqrt(_clock(process, u)[1]) ** (1 / WARP) for u in (t, s))
    inner = [
        float(process.time_at((top + (bottom - top) * j / parts) ** (2 * WARP)))
        for j in range(1, parts)
    ]
    return [t, *inner, s]


def _clock(process: Process, t: float) -> tuple[float, float]:
    """``alpha`` and the variance ratio ``tau`` at ``t``."""
    return float(process.alpha(t)), float(process.noise_to_signal(t))
