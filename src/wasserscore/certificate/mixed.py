"""A mixture's path at a noise level between the flow and the reverse process."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from wasserscore.certificate.flow import FlowPath, remaining
from wasserscore.certificate.path import PathEnd, ReversePath, clock, inner_noises, substeps
from wasserscore.core.typing import Noise
from wasserscore.dynamics import TimeGrid

FLOW_STEPS = (1, 2, 4)
"""Runge-Kutta steps of a flow piece in the three solutions whose differences give the error."""


@dataclass(frozen=True)
class MixedPath:
    r"""A closed-form law at noise level ``eta`` in (0, 1), by alternating two exact movements.

    The generator of the reverse equation at noise level :math:`\eta` is

    .. math:: L_\eta = (1 - \eta^2) L_{\text{flow}} + \eta^2 L_{\text{reverse}},

    so every part of a step first follows the probability flow over the share
    :math:`1 - \eta^2` of its interval of the natural clock, then the true reverse process over
    the rest. Each carries the law of its time to that of the next, so the path has the
    reference's law at every size of the parts, up to how well the flow is solved; and the part's
    noise has the variance :math:`\eta^2 \Delta\tau` of a sampler at this level. Three paths with
    the flow solved ever more finely, on the same noise and the same component choices, give an
    upper estimate of what that leaves.

    Args:
        reverse: The reverse process, with the law, the number of parts and the streams.
        eta: Noise level, above 0 and below 1.
    """

    reverse: ReversePath
    eta: float

    def run(self, x: Tensor, grid: TimeGrid, noise: Noise, rough: Tensor | None = None) -> PathEnd:
        """See :class:`~wasserscore.certificate.path.ReferencePath`."""
        coarse, counts = x if rough is None else rough, self.reverse.schedule(grid)
        ends = [coarse, coarse, x]
        for k, _, _ in grid.pairs():
            ends = self.step(ends, grid, k, noise(k), counts[k])
        return PathEnd(ends[2], remaining(*ends))

    def step(
        self, ends: list[Tensor], grid: TimeGrid, k: int, z: Tensor, count: int
    ) -> list[Tensor]:
        """Step ``k`` of the three solutions, with its noise, in ``count`` parts."""
        reference, streams = self.reverse.reference, self.reverse.streams
        process, n = reference.process, z.shape[0]
        times = substeps(process, float(grid.times[k]), float(grid.times[k + 1]), count)
        noises = inner_noises(process, streams, z, times, k)
        flow = FlowPath(reference, 0.0)
        for j, ((t, s), inner) in enumerate(zip(pairwise(times), noises, strict=True)):
            tau, lower = clock(process, t)[1], clock(process, s)[1]
            middle = float(process.time_at(lower + self.eta**2 * (tau - lower)))
            piece = TimeGrid(torch.tensor([t, middle], dtype=torch.float64))
            uniform = streams.uniform(f"component/{k}/{j}", 0, n, z)
            ends = [
                reference.reverse_transition(
                    flow.solve(x, piece, m), middle, s, noise=inner, uniform=uniform
                )
                for x, m in zip(ends, FLOW_STEPS, strict=True)
            ]
        return ends
