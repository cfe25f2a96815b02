r"""How errors grow along a process, as sums that are never below the integrals they stand for.

In the clock :math:`u = (\sigma/\alpha)^{1/7}` the forcing :math:`k\,dt` has no singularity,

.. math:: \kappa(u) = k\,\frac{dt}{du} = \tfrac{1 + \eta^2}{2}\,\alpha^2\,14 u^{13},

and over a cell its integral is known: :math:`\tfrac{1 + \eta^2}{2} \int g^2`. Taking the larger
end value of the one-sided constant in every cell gives an upper sum for

.. math:: \log I(t) = \int_0^t (f + k L)\,dr .

Assumes: the constant is monotone between neighbouring nodes, of which there are thousands.
Source: :cite:p:`kwon2022`, Theorem 1; k for a general noise level in docs/theory.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.theorem import WARP
from wasserscore.core.typing import Vector
from wasserscore.process import Process

CELLS = 2**14
LEAST = 1e-4
"""Noise-to-signal ratio below which scores are not asked when there is no early stop."""


@dataclass(frozen=True)
class Expansion:
    """Upper sums of the growth between an early stop and the sampler's start.

    Args:
        process: The forward process.
        share: (1 + eta^2) / 2.
        edges: The clock u at the nodes, increasing, shape (m + 1,).
        times: The same in forward time.
        one_sided: The constant at the nodes.
        push: The integral of k over every cell, shape (m,).
        log_growth: Upper bound of log I at the nodes.
        log_top: Upper bound of log I within every cell.
        head: Whether the first cell reaches down to no noise at all.
    """

    process: Process
    share: float
    edges: Vector
    times: Vector
    one_sided: Vector
    push: Tensor
    log_growth: Vector
    log_top: Tensor
    head: bool

    @staticmethod
    def along(
        process: Process,
        constant: OneSided,
        *,
        eta: float,
        start: float,
        stop: float = 0.0,
        cells: int = CELLS,
    ) -> "Expansion":
        """The growth from ``stop`` to ``start`` under a one-sided constant.

        Args:
            process: The forward process.
            constant: The one-sided constant of the score.
            eta: Noise level; 1 is the reverse SDE, 0 the probability flow.
            start: Where the sampler starts, at most the horizon.
            stop: Where the integrals begin.
            cells: How many cells.
        """
        share = (1 + eta**2) / 2
        top, bottom = (float(process.noise_to_signal(t)) ** 0.5 for t in (start, stop))
        low = bottom if stop > 0 else min(LEAST, LEAST * top)
        edges = torch.linspace(low ** (1 / WARP), top ** (1 / WARP), cells, dtype=torch.float64)
        times = process.time_at(edges ** (2 * WARP))
        times[-1] = start
        if stop > 0:
            times[0] = stop
        else:
            edges, times = (torch.cat([v.new_zeros(1), v]) for v in (edges, times))
        rates = constant.value(times).nan_to_num(
            nan=torch.inf, posinf=torch.inf, neginf=-torch.inf
        )
        push = share * process.integrated_g2(times).diff().clamp_min(0)
        stretch = process.integrated_f(times).diff()
        larger = torch.maximum(rates[:-1], rates[1:])
        change = torch.where(push > 0, larger * push, 0.0)
        log_growth = torch.cat([change.new_zeros(1), torch.cumsum(stretch + change, 0)])
        log_top = log_growth[:-1] + stretch.clamp_min(0) + change.clamp_min(0)
        return Expansion(process, share, edges, times, rates, push, log_growth, log_top, stop == 0)

    @property
    def cells(self) -> slice:
        """The cells in which scores are asked: all but the head."""
        return slice(1, None) if self.head else slice(None)

    @property
    def asked(self) -> Vector:
        """Edges of :attr:`cells`."""
        return self.edges[1:] if self.head else self.edges

    @property
    def log_area(self) -> Vector:
        """Logarithm of the upper sum of k I over each of :attr:`cells`."""
        return (self.push.log() + self.log_top)[self.cells]

    def log_forcing(self, u: Tensor) -> Tensor:
        r"""Logarithm of :math:`\kappa(u)`."""
        alpha = self.process.alpha(self.process.time_at(u ** (2 * WARP)))
        return (self.share * 2 * WARP * alpha**2).log() + (2 * WARP - 1) * u.log()

    def head_bound(self, error: float) -> float:
        r"""Logarithm of the integral of k I sqrt(b) over the head.

        For :math:`r \sqrt{b(r)}` at most its value at the head's end, r being sigma / alpha, it is
        at most :math:`(1 + \eta^2)\,I\,r^2 \sqrt b` there.
        """
        if not self.head or error == 0:
            return -math.inf
        end = float(self.edges[1]) ** WARP
        return math.log(2 * self.share * error) + 2 * math.log(end) + float(self.log_top[0])

    def head_likelihood(self, error: float) -> float:
        r"""Logarithm of :math:`\frac12 \int g^2 b` over the head, for b at most ``error`` squared.

        Only for errors that stay bounded: a network's own grow like 1 / sigma, and the integral is
        infinite without an early stop.
        """
        if not self.head or error == 0:
            return -math.inf
        return 2 * math.log(error) + 2 * WARP * math.log(float(self.edges[1])) - math.log(2)
