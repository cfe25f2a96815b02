r"""Gaussian mixtures with full precisions, as quadratic forms in few coordinates, to be trained.

With features :math:`\phi(x) = (x x^T, x, 1)` every exponent is a linear function of them,

.. math:: -\tfrac12 (x - z_i)^T \Gamma_i (x - z_i) + \tfrac12 \log\det \Gamma_i
          = \langle \phi(x), \theta_i \rangle ,

and so is the curvature :math:`|\Gamma_i (x - z_i)|^2 - tr \Gamma_i` with the squares of the
precisions. A whole batch against all centres is then two matrix products, forwards and backwards.
That suits training in few dimensions; in many, spiked covariances are the form to use.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.score.spiked import Queries

Logits = Float[Tensor, "b n"]


@dataclass(frozen=True, eq=False)
class Quadratics:
    """A mixture of Gaussians, differentiable in all its tensors.

    Args:
        centres: ``(n, d)``, best near the origin: their squares are taken.
        precisions: ``(n, d, d)``, symmetric positive definite.
        log_weights: ``(n,)``.
    """

    centres: Cloud
    precisions: Float[Tensor, "n d d"]
    log_weights: Float[Tensor, " n"]

    def logits(self, x: Queries) -> Logits:
        """Log weight plus log density of every component."""
        d = x.shape[1]
        constant = self.log_weights + self.precisions.logdet() / 2 - d / 2 * math.log(2 * math.pi)
        return constant - self._forms(x, self.precisions) / 2

    def log_density(self, x: Queries) -> PerPoint:
        """Log density of the mixture."""
        return self.logits(x).logsumexp(1)

    def matching(self, x: Queries) -> PerPoint:
        r"""The implicit score-matching loss :math:`2 \Delta p / p - |\nabla \log p|^2` of each."""
        share = self.logits(x).softmax(1)
        traces = torch.diagonal(self.precisions, dim1=1, dim2=2).sum(1)
        curvature = self._forms(x, self.precisions @ self.precisions) - traces
        mean = (share @ self.precisions.flatten(1)).reshape(len(x), *self.precisions.shape[1:])
        pulled = (self.precisions @ self.centres[:, :, None])[:, :, 0]
        score = share @ pulled - (mean @ x[:, :, None])[:, :, 0]
        return 2 * (share * curvature).sum(1) - score.square().sum(1)

    def _forms(self, x: Queries, matrices: Float[Tensor, "n d d"]) -> Logits:
        """The quadratic forms of all differences ``x - z``."""
        moved = (matrices @ self.centres[:, :, None])[:, :, 0]
        squares = (x[:, :, None] * x[:, None]).flatten(1) @ matrices.flatten(1).mT
        return squares - 2 * x @ moved.mT + (moved * self.centres).sum(1)
