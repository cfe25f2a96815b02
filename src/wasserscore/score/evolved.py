r"""A block of spiked Gaussians at one noise level, in matrix products only.

With W = diag(D + tau)^{-1/2}, everything in the basis of the floor,

.. math::
    L L^T = I_r + V_i^T W^2 V_i, \qquad G_i = W V_i L^{-T}, \qquad
    (\Sigma_i + \tau I)^{-1} = W (I - G_i G_i^T) W,

    \log\det(\Sigma_i + \tau I) = 2 \sum_k \log L_{kk} + \sum_j \log(D_j + \tau).

Source: :cite:p:`zhang2024` eqs. (26), (29) for the evolution; Woodbury's identity for its form.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Cloud, Vector
from wasserscore.score.spiked import Factors, Queries


@dataclass(frozen=True, eq=False)
class Evolved:
    r"""A block of components :math:`N(z_i, \Sigma_i + \tau I)` ready for many queries.

    Everything below is a matrix product; no array of size queries x centres x d is formed.
    Queries come whitened, ``x * whiten``, in the basis of the floor.

    Args:
        whiten: :math:`(D + \tau)^{-1/2}`, ``(d,)``.
        centres: Whitened centres, ``(n, d)``.
        directions: :math:`G_i` side by side, ``(d, n r)``.
        offsets: :math:`G_i^T` times the whitened centre, ``(n, r)``.
        log_scale: Log weight minus half the log determinant and d log(2 pi), ``(n,)``.
    """

    whiten: Vector
    centres: Cloud
    directions: Float[Tensor, "d m"]
    offsets: Float[Tensor, "n r"]
    log_scale: Float[Tensor, " n"]

    @classmethod
    def at(
        cls,
        tau: float,
        centres: Cloud,
        factors: Factors,
        floor: Vector,
        log_weights: Float[Tensor, " n"],
    ) -> "Evolved":
        """Set up one noise level: an r x r Cholesky factor per centre."""
        d, r = factors.shape[1:]
        whiten = (floor + tau).rsqrt()
        scaled = factors * whiten[:, None]
        inner = scaled.mT @ scaled
        lower = torch.linalg.cholesky(inner + torch.eye(r).to(inner))
        g = torch.linalg.solve_triangular(lower.mT, scaled, upper=True, left=False)
        log_det = 2 * torch.diagonal(lower, dim1=-2, dim2=-1).log().sum(-1)
        log_det = log_det + (floor + tau).log().sum()
        z = centres * whiten
        return cls(
            whiten=whiten,
            centres=z,
            directions=g.permute(1, 0, 2).flatten(1),
            offsets=(z[:, None] @ g).squeeze(1),
            log_scale=log_weights - 0.5 * log_det - 0.5 * d * math.log(2 * math.pi),
        )

    def logits(self, x: Queries) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n r"]]:
        r"""Log of weight times density, and the projections :math:`p = G_i^T W (x - z_i)`.

        .. math:: (x - z_i)^T (\Sigma_i + \tau I)^{-1} (x - z_i) = |W (x - z_i)|^2 - |p|^2
        """
        projections = (x @ self.directions).reshape(len(x), *self.offsets.shape) - self.offsets
        squared = self._squared(x) - projections.square().sum(-1)
        return self.log_scale - 0.5 * squared.clamp_min(0), projections

    def pull(self, weights: Float[Tensor, "b n"], projections: Float[Tensor, "b n r"]) -> Queries:
        r"""The weighted sum :math:`\sum_i w_i (W z_i + G_i p_i)`, ``(b, d)``."""
        spread = (weights.unsqueeze(-1) * projections).flatten(1)
        return weights @ self.centres + spread @ self.directions.mT

    def curvature(self, x: Queries, projections: Float[Tensor, "b n r"]) -> Float[Tensor, "b n"]:
        r""":math:`|(\Sigma_i + \tau I)^{-1} (x - z_i)|^2 - tr (\Sigma_i + \tau I)^{-1}`."""
        n, r = self.offsets.shape
        whiten2 = self.whiten.square()
        stretched = Evolved(self.whiten, self.centres * self.whiten, self.directions,
                            self.offsets, self.log_scale)  # fmt: skip
        plain = stretched._squared(x * self.whiten)
        bent = self.directions * whiten2[:, None]
        g = bent.reshape(len(bent), n, r).permute(1, 0, 2)
        cross = (x @ bent).reshape(len(x), n, r) - (self.centres[:, None] @ g).squeeze(1)
        gram = self.directions.reshape(len(bent), n, r).permute(1, 2, 0) @ g
        quadratic = torch.einsum("bnr,nrs,bns->bn", projections, gram, projections)
        trace = whiten2.sum() - torch.diagonal(gram, dim1=-2, dim2=-1).sum(-1)
        return plain - 2 * (projections * cross).sum(-1) + quadratic - trace

    def _squared(self, x: Queries) -> Float[Tensor, "b n"]:
        """Squared distances of rows to the whitened centres by one matrix product."""
        return (x.square().sum(1, keepdim=True) + self.centres.square().sum(1)
                - 2 * x @ self.centres.mT)  # fmt: skip
