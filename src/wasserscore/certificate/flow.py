"""The probability flow of a law that has no exact step: solved, and its error estimated above."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from wasserscore.certificate.path import PathEnd, clock
from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.tensors import expand_like
from wasserscore.core.typing import Noise, Times
from wasserscore.dynamics import TimeGrid
from wasserscore.score.base import ClosedFormScore

PILOT = 32
"""Points of a pilot of its own that fixes the number of steps before the run."""
SILENT = Streams(0)
"""Where a pilot's points come from if nothing else is said."""
ROUNDING = 1e-12
"""Differences below this share of the points' size are rounding and need not shrink."""
NARROW = 1e-3
"""A law narrower than this share of its own width is resolved no finer by the clock."""


@dataclass(frozen=True)
class FlowPath:
    r"""The probability flow of any closed-form law, solved to a tolerance.

    .. math:: \frac{dy}{dr} = -r\,\nabla\log p_\tau(y), \qquad r = \sigma/\alpha,\ \tau = r^2,

    in the variable :math:`w = (y - m) / (v + r^2)^{1/2}`, which the flow of the Gaussian
    :math:`N(m, v I)` of the same mean and mean variance leaves unchanged, by the classical
    Runge-Kutta method in equal steps of the clock

    .. math:: p = \int_r^\infty \frac{\sqrt v\,dr'}{(\sqrt v + r')(h + r')}
                = \frac{\sqrt v}{\sqrt v - h} \log \frac{\sqrt v + r}{h + r},

    like 1/r far above the law's width, like log r between it and the smallest scale h of the law
    (the root of its least variance), and like r below (the sampler's own grid plays no part).
    Their number doubles until the error is below ``tolerance`` in root mean square on a pilot,
    so that the rows of the run itself stay independent.

    The error is an upper estimate from three solutions of n/4, n/2 and n steps: with d the
    differences of neighbours and :math:`\rho` the ratio of their root mean squares, each point
    has :math:`\max(d_2, d_1/4) \max(1, \rho/(1 - \rho))`, what remains of a geometric series, at
    least the whole last difference (a method of order four leaves a fifteenth of it), and
    infinity where the differences do not shrink.

    Args:
        reference: The law.
        tolerance: Root-mean-square error to reach, in the law's own (scaled) units.
        parts: Steps of the first solution, a multiple of four.
        doublings: How often the number may double.
        streams: Where the pilot comes from.
    """

    reference: ClosedFormScore
    tolerance: float
    parts: int = 32
    doublings: int = 6
    streams: Streams = SILENT

    def __post_init__(self) -> None:
        require(self.parts % 4 == 0 and self.parts > 0, "parts must be a multiple of four",
                got=self.parts)  # fmt: skip

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise, rough: Tensor | None = None) -> PathEnd:
        """See :class:`~wasserscore.certificate.path.ReferencePath`; the noise is not used."""
        parts, coarse = self.steps(grid), x if rough is None else rough
        ends = [self.solve(coarse, grid, parts // 4), self.solve(coarse, grid, parts // 2)]
        ends.append(self.solve(x, grid, parts))
        return PathEnd(ends[2], remaining(*ends))

    def steps(self, grid: TimeGrid) -> int:
        """How many steps the pilot needs to reach the tolerance."""
        if self.doublings == 0:
            return self.parts
        x = self.reference.sample_marginal(
            PILOT, grid.start, generator=self.streams.generator("pilot")
        ).double()
        parts = self.parts
        ends = [self.solve(x, grid, parts // m) for m in (4, 2, 1)]
        for _ in range(self.doublings):
            if float(remaining(*ends).square().mean().sqrt()) <= self.tolerance:
                break
            parts *= 2
            ends = [*ends[1:], self.solve(x, grid, parts)]
        return parts

    def solve(self, x: Tensor, grid: TimeGrid, parts: int) -> Tensor:
        """The end of the flow from ``x`` in ``parts`` steps."""
        process = self.reference.process
        y = x / clock(process, grid.start)[0]
        for t, s in pairwise(self._times(grid.start, grid.stop, parts)):
            y = self._runge_kutta(y, t, s)
        return clock(process, grid.stop)[0] * y

    def clock_at(self, t: float) -> float:
        """The integration variable p: grows from 0 at infinite noise to its value at the data."""
        r = math.sqrt(clock(self.reference.process, t)[1])
        wide, narrow = self._scales
        return wide / (wide - narrow) * math.log1p((wide - narrow) / (narrow + r))

    def _noise_at(self, p: float) -> float:
        """The noise-to-signal variance at a value of the clock."""
        wide, narrow = self._scales
        apart = math.expm1(p * (wide - narrow) / wide)
        return max((wide - narrow) / apart - narrow, 0.0) ** 2

    def _times(self, t: float, s: float, parts: int) -> list[float]:
        """``parts + 1`` times, uniform in the clock, so that doubling halves every step."""
        process = self.reference.process
        p, q = self.clock_at(t), self.clock_at(s)
        inner = [p + (q - p) * j / parts for j in range(1, parts)]
        return [t, *(float(process.time_at(self._noise_at(v))) for v in inner), s]

    def _runge_kutta(self, y: Tensor, t: float, s: float) -> Tensor:
        process = self.reference.process
        r, end = (math.sqrt(clock(process, u)[1]) for u in (t, s))
        if end == 0 and self.reference.least_variance == 0:
            return self.reference.denoise(y * clock(process, t)[0], t)
        mean, variance = self.match
        scale = math.sqrt(variance)
        p, q = self.clock_at(t), self.clock_at(s)
        middle = float(process.time_at(self._noise_at((p + q) / 2)))
        w, h = (y - mean.to(y)) / math.hypot(scale, r), q - p
        k1 = self._velocity(w, t)
        k2 = self._velocity(w + h / 2 * k1, middle)
        k3 = self._velocity(w + h / 2 * k2, middle)
        k4 = self._velocity(w + h * k3, s)
        w = w + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return mean.to(y) + math.hypot(scale, end) * w

    def _velocity(self, w: Tensor, t: float) -> Tensor:
        """dw/dp: how the flow differs from that of the matched Gaussian."""
        alpha, tau = clock(self.reference.process, t)
        if tau == 0:
            return torch.zeros_like(w)
        return self._slope(w, t, alpha, math.sqrt(tau), math.sqrt(self.match[1] + tau))

    def velocity_at(self, w: Tensor, p: Tensor) -> Tensor:
        """dw/dp at a value of the clock for every row; the law must have variance at its end."""
        process, (wide, narrow) = self.reference.process, self._scales
        apart = torch.expm1(p * ((wide - narrow) / wide))
        r = ((wide - narrow) / apart - narrow).clamp_min(0)
        times = process.time_at(r.square()).clamp_max(process.horizon)
        return self._slope(w, times, process.alpha(times), r, (self.match[1] + r**2).sqrt())

    def _slope(
        self, w: Tensor, t: Times, alpha: Tensor | float, r: Tensor | float, width: Tensor | float
    ) -> Tensor:
        """dw/dp at noise ``r``, where the matched Gaussian is ``width`` wide."""
        wide, narrow = self._scales
        speed = expand_like(r * (wide + r) * (narrow + r) / wide, w)
        alpha, width = expand_like(alpha, w), expand_like(width, w)
        score = self.reference(alpha * (self.match[0].to(w) + width * w), t)
        return speed * (alpha * score / width + w / width**2)

    @cached_property
    def match(self) -> tuple[Tensor, float]:
        """Mean and mean variance of the law; the latter no less than rounding of the noise."""
        process = self.reference.process
        mean, variances = self.reference.column_moments()
        mean = mean.double().reshape(self.reference.shape)
        least = ROUNDING**2 * float(process.noise_to_signal(process.horizon))
        return mean, max(float(variances.mean()), least)

    @cached_property
    def _scales(self) -> tuple[float, float]:
        """The law's width and its smallest scale, kept apart for the clock's sake."""
        wide = math.sqrt(self.match[1])
        narrow = math.sqrt(self.reference.least_variance)
        return wide, min(max(narrow, NARROW * wide), 0.9 * wide)


def remaining(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Upper estimate of the error of the third of three solutions, each twice as fine; per row.

    See :class:`FlowPath` for the formula.
    """
    one, two = (second - first).flatten(1).norm(dim=1), (third - second).flatten(1).norm(dim=1)
    before, last = (float(d.square().mean().sqrt()) for d in (one, two))
    size = float(third.flatten(1).norm(dim=1).square().mean().sqrt())
    error = torch.maximum(two, one / 4)
    if last <= ROUNDING * size:
        return error
    ratio = last / before if before > 0 else math.inf
    return error * max(1.0, ratio / (1 - ratio)) if ratio < 1 else torch.full_like(error, math.inf)
