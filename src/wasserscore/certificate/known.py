"""A cloud of a closed-form law whose points know their components."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wasserscore.certificate.pairing import Side
from wasserscore.certificate.path import clock
from wasserscore.core.random import Streams, normal_like
from wasserscore.process import VE
from wasserscore.score.base import ClosedFormScore

FAR = 1e3
"""Components are stratified from noise of this many spreads, where their posterior is flat."""


@dataclass(frozen=True)
class Known:
    """A cloud of a law whose points know their components.

    Args:
        law: The law.
        x: The points, at whatever time they have come to.
        component: The component of each.
    """

    law: ClosedFormScore
    x: Tensor
    component: Tensor

    def move(self, t: float, s: float, noise: Tensor, eta: float) -> "Known":
        """The cloud at ``s``, each point by the process of its component."""
        x = self.law.bridge(self.x, self.component, t, s, noise=noise, eta=eta)
        return replace(self, x=x)

    def side(self, t: float) -> Side:
        """Where the points are going from ``t``: the mean of what each will be without noise."""
        still = self.law.bridge(self.x, self.component, t, 0.0, noise=torch.zeros_like(self.x))
        return Side(still.flatten(1), self.component)

    def rows(self, index: Tensor) -> "Known":
        """The points in another order."""
        return replace(self, x=self.x[index], component=self.component[index])


def stratified(reference: ClosedFormScore, n: int, t: float, streams: Streams) -> Known:
    """``n`` points of the law at time ``t``, each component as often as its weight says.

    From noise so large that it says nothing about the component: components from their posterior
    by the inverse CDF at evenly spaced numbers with a common random shift, then the exact
    transition to ``t``. The mean of the points' laws is the law; no point has it on its own.
    """
    spread = math.sqrt(float(reference.column_moments()[1].sum()))
    alpha, tau = clock(reference.process, t)
    horizon = (FAR * spread) ** 2 + tau
    lifted = reference.under(VE.constant(a=1.0, horizon=horizon))
    generator = streams.generator("restart")
    far = lifted.sample_marginal(n, horizon, generator=generator).double()
    shift = torch.rand((), generator=generator, dtype=torch.float64)
    even = (torch.arange(n, dtype=torch.float64) + shift) / n
    z = normal_like(far, generator)
    component = lifted.component(far, horizon, even.to(far))
    return Known(
        reference, alpha * lifted.bridge(far, component, horizon, tau, noise=z), component
    )
