"""The probability flow solved with step sizes of each point's own, to a tolerance per point."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wasserscore.certificate.flow import ROUNDING, FlowPath, remaining
from wasserscore.certificate.path import PathEnd, clock
from wasserscore.certificate.span import Span
from wasserscore.core.typing import Noise, PerPoint
from wasserscore.dynamics import DORMAND_PRINCE, Adaptive, TimeGrid

FIRST, FINER = 1e-3, 16.0
"""Local tolerance of the first solution, in units of :class:`FlowPath`'s variable w; each further
one has a tolerance this many times smaller."""
PIECES = 8
"""Steps of the first solution at least, and twice as many in each further one: a step that is too
long may miss where modes are chosen, and solutions on the same steps would differ by nothing."""
LEVELS = 5
"""How often the solutions of a point that is not settled are made finer."""


@dataclass(frozen=True)
class AdaptiveFlowPath:
    r"""The probability flow of a closed-form law, each point as finely as it needs.

    Most points are resolved by a few steps; one that passes near the boundary between two modes
    needs hundreds, in a short stretch of the way. So variable and clock are those of
    :class:`FlowPath`, but steps are those of the Dormand-Prince pair, row by row. Of three
    solutions, each with at least twice the steps and a sixteenth of the tolerance of the one
    before, the finer two and a yet finer one follow for every row whose error, estimated as there
    from its own differences, is not below the tolerance. Rows that are never settled have the
    error that :func:`remaining` gives for them together. No row looks at another before that.

    Args:
        flow: Law, variable, clock, and the error to reach at every point; its law must have no
            point without variance on the way.
    """

    flow: FlowPath

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise, rough: Tensor | None = None) -> PathEnd:
        """See :class:`~wasserscore.certificate.path.ReferencePath`; the noise is not used."""
        coarse = x if rough is None else rough
        first, second = (self.solve(coarse, grid, level) for level in (0, 1))
        third, rounding = self.solve(x, grid, 2), ROUNDING * self._size
        for level in range(3, LEVELS + 3):
            error = row_error(first, second, third, rounding)
            rows = (error > self.flow.tolerance).nonzero()[:, 0]
            if len(rows) == 0:
                break
            same = rough is None
            between = third[rows] if same else self.solve(coarse[rows], grid, level - 1)
            first[rows], second[rows] = second[rows], between
            third[rows] = self.solve(x[rows], grid, level)
        error = row_error(first, second, third, rounding)
        rows = (error > self.flow.tolerance).nonzero()[:, 0]
        if len(rows):
            error[rows] = remaining(first[rows], second[rows], third[rows])
        return PathEnd(third, error)

    def solve(self, x: Tensor, grid: TimeGrid, level: int) -> Tensor:
        """The end of the flow from ``x``, the ``level``-th time finer."""
        flow, process = self.flow, self.flow.reference.process
        (mean, variance), (start, stop) = flow.match, (grid.start, grid.stop)
        (alpha, tau), (end_alpha, end_tau) = clock(process, start), clock(process, stop)
        tolerance, pieces = FIRST / FINER**level, PIECES << level
        p, q = flow.clock_at(start), flow.clock_at(stop)
        times = [p + (q - p) * j / pieces for j in range(pieces + 1)]
        w = (x / alpha - mean.to(x)) / math.sqrt(variance + tau)
        if self._span is None:
            w = self._through(flow, w, times, tolerance)
        else:
            inside, beside = self._span.enter(w.flatten(1))
            inside = self._through(self._span.flow, inside, times, tolerance * self._span.finer)
            w = self._span.leave(inside, beside).reshape(w.shape)
        return end_alpha * (mean.to(x) + math.sqrt(variance + end_tau) * w)

    def _through(self, flow: FlowPath, w: Tensor, times: list[float], tolerance: float) -> Tensor:
        return Adaptive(flow.velocity_at, 0.0, tolerance, tableau=DORMAND_PRINCE).through(w, times)

    @cached_property
    def _span(self) -> Span | None:
        return Span.of(self.flow)

    @property
    def _size(self) -> float:
        """Root mean square of the law's points."""
        mean, variance = self.flow.match
        return math.sqrt(float(mean.square().sum()) + mean.numel() * variance)


def row_error(first: Tensor, second: Tensor, third: Tensor, rounding: float = 0.0) -> PerPoint:
    """The formula of :func:`remaining` with every row's own ratio; infinite where it is over 1.

    Differences of at most ``rounding`` need not shrink.
    """
    ends = [end.flatten(1) for end in (first, second, third)]
    one, two = (ends[1] - ends[0]).norm(dim=1), (ends[2] - ends[1]).norm(dim=1)
    ratio = torch.where(two < one, two / one, torch.ones_like(two))
    error = torch.maximum(two, one / 4)
    return torch.where(two <= rounding, error, error * (ratio / (1 - ratio)).clamp_min(1))
