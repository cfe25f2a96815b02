r"""The flow of few points in many coordinates, in few coordinates.

At :math:`y = m + Q a + q`, where the orthonormal columns of Q span the centred points and q is
orthogonal to them, the score of a smoothed set of points lies in the span of Q and q. So its flow
moves a and stretches q: n points need n + 1 coordinates, the last one q's length, in which the
points themselves have none. Lengths are what they were, so every step and every error is the same.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.certificate.flow import FlowPath
from wasserscore.certificate.path import clock
from wasserscore.core.typing import Cloud
from wasserscore.dynamics import TimeGrid
from wasserscore.score import EmpiricalScore

WORTH = 0.8
"""Share of the coordinates that may be left; turning costs as much as a few evaluations."""


@dataclass(frozen=True, eq=False)
class TurnedFlow(FlowPath):
    """The flow of a law in other coordinates, with the variable of the first ones.

    Args:
        matched: Mean and mean variance that the variable w is made with.
    """

    matched: tuple[Tensor, float] = (torch.zeros(1), 1.0)

    @cached_property
    def match(self) -> tuple[Tensor, float]:
        """As given."""
        return self.matched


@dataclass(frozen=True, eq=False)
class Span:
    """Coordinates of a law's points.

    Args:
        basis: Q, ``(d, n)``.
        flow: The flow there.
        mean: m, from where it is seen.
    """

    basis: Float[Tensor, "d n"]
    flow: FlowPath
    mean: Tensor

    @classmethod
    def of(cls, flow: FlowPath) -> "Span | None":
        """None where coordinates would not be fewer, or the law is another one."""
        law, (mean, variance) = flow.reference, flow.match
        if not isinstance(law, EmpiricalScore) or law.components + 1 > WORTH * law.dim:
            return None
        centred = law.points.double().flatten(1) - mean.flatten().to(law.points.device)
        basis = torch.linalg.qr(centred.mT).Q
        points = torch.cat([centred @ basis, centred.new_zeros(len(centred), 1)], 1)
        known = points.new_zeros(points.shape[1]), variance
        turned = EmpiricalScore(points, law.process, law.bandwidth)
        return cls(basis, TurnedFlow(turned, flow.tolerance, matched=known), mean)

    @property
    def finer(self) -> float:
        """What root mean squares over all coordinates are multiplied by in these few."""
        return math.sqrt(len(self.basis) / (self.basis.shape[1] + 1))

    def solve(self, x: Tensor, grid: TimeGrid, parts: int) -> Tensor:
        """What :meth:`FlowPath.solve` of the law itself gives."""
        process, mean = self.flow.reference.process, self.mean.to(x)
        start, stop = (clock(process, t)[0] for t in (grid.start, grid.stop))
        inside, beside = self.enter((x - start * mean).flatten(1))
        moved = self.leave(self.flow.solve(inside, grid, parts), beside)
        return moved.reshape(x.shape) + stop * mean

    def enter(self, w: Cloud) -> tuple[Tensor, Tensor]:
        """Coordinates ``(b, n + 1)``, and directions of length one beside it ``(b, d)``."""
        basis = self.basis.to(w)
        inside = w @ basis
        rest = w - inside @ basis.mT
        size = rest.norm(dim=1, keepdim=True)
        return torch.cat([inside, size], 1), rest / size.clamp_min(torch.finfo(w.dtype).tiny)

    def leave(self, inside: Tensor, beside: Tensor) -> Tensor:
        """The inverse of :meth:`enter`."""
        return inside[:, :-1] @ self.basis.to(beside).mT + inside[:, -1:] * beside
