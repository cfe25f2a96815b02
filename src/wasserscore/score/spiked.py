r"""Covariances that are low rank plus a shared diagonal, and their evolution in noise level.

.. math:: \Sigma_i = V_i V_i^T + U\, \mathrm{diag}(D)\, U^T

The factors :math:`V_i` (d x r) hold the few directions in which the data spread around centre
``i``; the floor :math:`D`, the same for all centres, is the variance everywhere else. The basis
:math:`U` is orthogonal and usually the identity; because noise is isotropic, rotating into it
makes the floor diagonal at every noise level.

Low rank belongs on the covariance, not on the precision: data on a manifold of dimension m have m
wide directions and d - m thin ones.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import symmetric
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Matrix, Vector

TILE = 2**22
"""Numbers of factors that are worked on at once; all of them may be most of the memory."""
Factors = Float[Tensor, "n d r"]
"""One d x r factor per centre."""
Queries = Float[Tensor, "b d"]
"""Flat points at which a law is asked, beside its n centres."""


@dataclass(frozen=True, eq=False)
class Spiked:
    r"""Covariances :math:`\Sigma_i = V_i V_i^T + U\,\mathrm{diag}(D)\,U^T` of n centres.

    Args:
        factors: :math:`V`, shape ``(n, d, r)``; r = 0 gives every centre the same covariance.
        floor: :math:`D`, shape ``(d,)``, non-negative, squared units of the points.
        basis: :math:`U`, orthogonal ``(d, d)``, or None for the coordinate axes.
    """

    factors: Factors
    floor: Vector
    basis: Matrix | None = None

    def __post_init__(self) -> None:
        require(bool(torch.isfinite(self.factors).all()), "factors must be finite",
                got="NaN or infinity")  # fmt: skip
        require(bool((self.floor >= 0).all() and torch.isfinite(self.floor).all()),
                "floor must be non-negative and finite", got=self.floor.tolist())  # fmt: skip

    @classmethod
    def pooled(cls, n: int, covariance: Float[Tensor, ""] | Vector | Matrix, d: int) -> "Spiked":
        """One covariance for all n centres: a number, a diagonal ``(d,)`` or ``(d, d)``."""
        factors = covariance.new_zeros(n, d, 0)
        if covariance.ndim < 2:
            return cls(factors, covariance.expand(d).clone())
        values, vectors = torch.linalg.eigh(symmetric(covariance))
        return cls(factors, values.clamp_min(0), vectors)

    @classmethod
    def dense(cls, covariances: Float[Tensor, "n d d"]) -> "Spiked":
        """Any covariances, exactly: rank d factors above their common smallest eigenvalue."""
        values, vectors = torch.linalg.eigh(symmetric(covariances))
        floor = values.clamp_min(0).min()
        factors = vectors * (values - floor).clamp_min(0).sqrt().unsqueeze(-2)
        return cls(factors, floor.expand(values.shape[-1]).clone())

    @property
    def rank(self) -> int:
        """Number r of directions per centre."""
        return self.factors.shape[2]

    def covariance(self, index: int) -> Matrix:
        r"""The matrix :math:`\Sigma_i`, ``(d, d)``."""
        v = self.factors[index]
        return v @ v.mT + self._floor_matrix()

    def mean_covariance(self, weights: Float[Tensor, " n"]) -> Matrix:
        r"""The weighted mean :math:`\sum_i w_i \Sigma_i`, ``(d, d)``."""
        total, (_, d, rank) = self._floor_matrix(), self.factors.shape
        for part in tiles(len(self.factors), max(1, TILE // (d * max(rank, 1)))):
            weighted = self.factors[part] * weights[part].sqrt()[:, None, None]
            stacked = weighted.permute(1, 0, 2).flatten(1)
            total = total + stacked @ stacked.mT
        return total

    def on_axes(self) -> "Spiked":
        """The same covariances without a basis: what it turned becomes part of the factors."""
        if self.basis is None:
            return self
        least = self.floor.min()
        above = self.floor > least
        shared = self.basis[:, above] * (self.floor[above] - least).sqrt()
        factors = torch.cat([self.factors, shared.expand(len(self.factors), -1, -1)], dim=2)
        return Spiked(factors, least.expand_as(self.floor).clone())

    def columns(self, index: Tensor) -> "Spiked":
        """The marginal covariances of some coordinates (sub-blocks of the covariance)."""
        flat = self.on_axes()
        return Spiked(flat.factors[:, index], flat.floor[index])

    def stretched(self, scale: Vector) -> "Spiked":
        """The covariances after every coordinate is multiplied by its entry of ``scale``."""
        factors = self.factors * scale[:, None]
        if self.basis is None:
            return Spiked(factors, self.floor * scale.square())
        shared = scale[:, None] * self._floor_matrix() * scale
        values, vectors = torch.linalg.eigh(symmetric(shared))
        return Spiked(factors, values.clamp_min(0), vectors)

    def times(self, factor: float) -> "Spiked":
        """All covariances times a positive number."""
        return replace(self, factors=self.factors * factor**0.5, floor=self.floor * factor)

    def turned(self, x: Tensor) -> Tensor:
        """Row vectors ``(..., d)`` in the basis of the floor."""
        return x if self.basis is None else x @ self.basis

    def back(self, x: Tensor) -> Tensor:
        """Row vectors from the basis of the floor to the coordinate axes."""
        return x if self.basis is None else x @ self.basis.mT

    def rows(self, index: Tensor | slice) -> "Spiked":
        """The covariances of some of the centres."""
        return replace(self, factors=self.factors[index])

    def turned_factors(self) -> Factors:
        """The factors in the basis of the floor."""
        return self.factors if self.basis is None else self.basis.mT @ self.factors

    def _floor_matrix(self) -> Matrix:
        if self.basis is None:
            return torch.diag(self.floor)
        return (self.basis * self.floor) @ self.basis.mT
