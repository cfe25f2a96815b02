r"""The paper's precision network: it sees a centre and says how the data spread around it.

.. math:: \Gamma(z) = L(z) L(z)^T + \epsilon I, \qquad \Sigma(z) = \Gamma(z)^{-1} + f S

L comes from one network for all centres; S is the diagonal kernel covariance that leave-one-out
likelihood suggests, all of it in units of S; f is the floor. The floor is not optional: through
one fit point, a pancake makes every objective unbounded below, whether or not fit points and
centres are disjoint; epsilon only keeps components from being wider than the data.

Source: :cite:p:`zhang2024` section 4.2, eq. (25).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Cloud, Matrix, PerPoint, Vector
from wasserscore.network.triangular import Triangular
from wasserscore.proximal.quadratics import Quadratics
from wasserscore.proximal.sample_rows import Rows
from wasserscore.score.spiked import Queries, Spiked


@dataclass(frozen=True, eq=False)
class PrecisionNetwork:
    """A network and the units it works in.

    Args:
        network: From a standardised centre to L.
        middle: Where the rows lie, ``(d,)``.
        spread: Their standard deviation per column, ``(d,)``.
        kernel: Standard deviation of the kernel per column, the root of S, ``(d,)``.
        floor: f.
    """

    network: Triangular
    middle: Vector
    spread: Vector
    kernel: Vector
    floor: float

    def precisions(self, centres: Cloud) -> Float[Tensor, "n d d"]:
        r""":math:`\Gamma`, before the floor, in units of the kernel."""
        lower = self.network(((centres - self.middle) / self.spread).float()).to(centres)
        least = (self.kernel / self.spread).square().min()
        precisions: Tensor = lower @ lower.mT + least * self._eye
        return precisions

    def law(self, centres: Rows) -> Quadratics:
        r"""The mixture in units of the kernel, differentiable in the network's weights.

        .. math:: \Sigma^{-1} = (\Gamma^{-1} + f I)^{-1} = \bigl(I - (I + f \Gamma)^{-1}\bigr) / f
        """
        inverse = torch.linalg.inv(self._eye + self.floor * self.precisions(centres.points))
        return Quadratics(
            self.reduced(centres.points),
            (self._eye - inverse) / self.floor,
            (centres.counts / centres.counts.sum()).log(),
        )

    def log_density(self, points: Queries, centres: Rows) -> PerPoint:
        """Log density at ``points`` of the mixture with these centres, in units of the data."""
        return self.law(centres).log_density(self.reduced(points)) - self.kernel.log().sum()

    def covariance(self, centres: Cloud) -> Spiked:
        r"""The covariances in units of the data: :math:`\Gamma^{-1} = M^{-T} M^{-1}`."""
        root = torch.linalg.cholesky(self.precisions(centres))
        factors = torch.linalg.solve_triangular(root.mT, self._eye.expand_as(root), upper=True)
        return Spiked(factors * self.kernel[:, None], self.floor * self.kernel.square())

    def reduced(self, x: Queries) -> Queries:
        """Points in units of the kernel."""
        return (x - self.middle) / self.kernel

    @property
    def _eye(self) -> Matrix:
        return torch.eye(len(self.kernel), dtype=self.kernel.dtype)
