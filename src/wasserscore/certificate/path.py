r"""Reference paths: points whose law is the reference's at every time of a grid.

The upper bound of a coupling is valid only if its reference side *has* the reference law, on the
grid at hand and not in the limit of many steps. Three ways to have it:

* a Gaussian law moves by an affine map of the point and the noise, at every noise level;
* any closed-form law steps by drawing a component from its posterior and then that component's
  Gaussian bridge, which is the true reverse process at any step size;
* the probability flow has no exact step for a mixture: it is solved, and what that leaves is
  estimated from above and added to the bound (:mod:`wasserscore.certificate.flow`).
"""

import math
from dataclasses import dataclass
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

PILOT = 64
"""Points of a pilot that decides, before the run, where a step is cut into more parts."""
RHO = 7.0
"""Substeps are uniform in the root of this order of sigma / alpha, as Karras' grid."""


class PathEnd(NamedTuple):
    """Where a reference path ends, and how far each point may be from an exact one."""

    x: Tensor
    error: Tensor | None
    """Upper estimates, one per point, of the distance to an exact path; None if exact."""


@runtime_checkable
class ReferencePath(Protocol):
    """A way down a grid that keeps the reference's law."""

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise, rough: Tensor | None = None) -> PathEnd:
        """The end of the paths that start in ``x`` (distributed as the reference at the start).

        Args:
            x: The points.
            grid: The sampler's times.
            noise: One standard normal per step and point.
            rough: The same points, solved half as finely, where they had to be solved for; a path
                that measures its error starts its coarse solution there.
        """
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

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise, rough: Tensor | None = None) -> PathEnd:
        """See :class:`ReferencePath`."""
        mean, covariance = self.reference.moments()
        values, vectors = torch.linalg.eigh(symmetric(covariance).to(x))
        values = values.clamp_min(0)
        process, flat = self.reference.process, x.flatten(1)
        alpha, tau = clock(process, grid.start)
        y = (flat / alpha - mean.to(x)) @ vectors
        for k, _, s in grid.pairs():
            alpha, lower = clock(process, s)
            ratio = (values + lower) / (values + tau)
            spread = ((values + lower) * (1 - ratio ** (self.eta**2))).clamp_min(0).sqrt()
            y = ratio ** ((1 + self.eta**2) / 2) * y + spread * (noise(k).flatten(1) @ vectors)
            tau = lower
        return PathEnd((alpha * (y @ vectors.mT + mean.to(x))).reshape(x.shape), None)


@dataclass(frozen=True)
class ReversePath:
    r"""The true reverse process of any closed-form law, observed on the grid.

    Every step is cut into parts; their noises are drawn *given* that, weighted by the variance
    each adds in the natural clock, they sum to the step's noise. So the model's sampler keeps its
    one Gaussian per step and the reference shares it, as a coarse Brownian increment is the sum of
    fine ones. More parts change nothing in either law; they only make component choices smaller,
    so they go where these are large. A part of relative length :math:`\delta` moves a point by
    :math:`\delta\,(m_i - E[m_i | x])`; over a step cut into k that adds
    :math:`a^2 / k,\ a = \delta\,(E\,\mathrm{tr\,Cov}(m_i | x))^{1/2}`, and

    .. math:: k_j = \mathrm{parts}\; a_j \sum_i a_i \Big/ \sum_i a_i^2

    has the sum that ``parts`` everywhere would have, with the fewest parts. The expectations come
    from a pilot of their own, so rows stay independent.

    Args:
        reference: The law.
        parts: Substeps per step where component choices are as large as on average, at least 1.
        streams: Where component choices and inner noises come from.
    """

    reference: ClosedFormScore
    parts: int
    streams: Streams

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise, rough: Tensor | None = None) -> PathEnd:
        """See :class:`ReferencePath`."""
        counts = self.schedule(grid)
        for k, _, _ in grid.pairs():
            x = self.step(x, grid, k, noise(k), counts[k])
        return PathEnd(x, None)

    def step(self, x: Tensor, grid: TimeGrid, k: int, z: Tensor, count: int) -> Tensor:
        """Step ``k`` of the grid, with its noise, in ``count`` parts."""
        t, s = float(grid.times[k]), float(grid.times[k + 1])
        times = substeps(self.reference.process, t, s, count)
        noises = inner_noises(self.reference.process, self.streams, z, times, k)
        for j, (part, inner) in enumerate(zip(pairwise(times), noises, strict=True)):
            uniform = self.streams.uniform(f"component/{k}/{j}", 0, x.shape[0], x)
            x = self.reference.reverse_transition(x, *part, noise=inner, uniform=uniform)
        return x

    def schedule(self, grid: TimeGrid) -> list[int]:
        """How many parts each step is cut into."""
        if self.parts == 1:
            return [1] * grid.steps
        reference, streams = self.reference, self.streams
        x0 = reference.sample_marginal(PILOT, generator=streams.generator("pilot")).double()
        z = streams.normal("pilot noise", 0, PILOT, tuple(x0.shape[1:]), x0)
        least, sizes = reference.least_variance, []
        for _, t, s in grid.pairs():
            (alpha, tau), lower = clock(reference.process, t), clock(reference.process, s)[1]
            left = x0 - reference.denoise(alpha * (x0 + math.sqrt(tau) * z), t)
            within = reference.dim * least * tau / (least + tau)
            between = max(float(left.flatten(1).square().sum(1).mean()) - within, 0.0)
            sizes.append((tau - lower) / (tau + least) * math.sqrt(between))
        total, squares = sum(sizes), sum(a * a for a in sizes)
        if squares == 0:
            return [1] * grid.steps
        return [max(1, math.ceil(self.parts * a * total / squares)) for a in sizes]


def inner_noises(
    process: Process, streams: Streams, z: Tensor, times: list[float], k: int
) -> list[Tensor]:
    """Independent standard normals whose sum, weighted by the parts' variances, is ``z``."""
    if len(times) == 2:
        return [z]
    taus = [clock(process, t)[1] for t in times]
    weights = [math.sqrt((a - b) / (taus[0] - taus[-1])) for a, b in pairwise(taus)]
    shape, n = tuple(z.shape[1:]), z.shape[0]
    free = [streams.normal(f"bridge/{k}/{j}", 0, n, shape, z) for j in range(len(weights))]
    total = sum((w * f for w, f in zip(weights, free, strict=True)), torch.zeros_like(z))
    return [f + w * (z - total) for w, f in zip(weights, free, strict=True)]


def substeps(process: Process, t: float, s: float, parts: int) -> list[float]:
    """``parts + 1`` times from ``t`` to ``s``, uniform in a root of sigma / alpha."""
    if parts == 1:
        return [t, s]
    top, bottom = (math.sqrt(clock(process, u)[1]) ** (1 / RHO) for u in (t, s))
    inner = [
        float(process.time_at((top + (bottom - top) * j / parts) ** (2 * RHO)))
        for j in range(1, parts)
    ]
    return [t, *inner, s]


def clock(process: Process, t: float) -> tuple[float, float]:
    """``alpha`` and the variance ratio ``tau`` at ``t``."""
    return float(process.alpha(t)), float(process.noise_to_signal(t))
