r"""A few Gaussian components, each in its own eigenbasis: the algebra behind analytic laws.

With :math:`C_i = U_i \Lambda_i U_i^T` every :math:`(C_i + \tau I)^{-1}` is a division by
:math:`\Lambda_i + \tau`: one eigendecomposition serves every noise level, singular ones included.
"""

from dataclasses import dataclass, field
from math import log, pi

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.linalg import symmetric
from wasserscore.core.tensors import as_points, tiles
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Vector

Covariances = Float[Tensor, "k d d"] | Float[Tensor, "k d"] | Float[Tensor, " k"]
"""Covariance per component: matrices, diagonals, or one variance each."""
TILE_BYTES = 2**24
"""Size of one tile of points x components x coordinates."""


@dataclass(frozen=True, eq=False)
class Components:
    """Weighted Gaussian components, diagonalised.

    Args:
        weights: Non-negative, ``(k,)``; normalised here.
        means: ``(k, d)``.
        covariances: ``(k, d, d)``, ``(k, d)`` (diagonals) or ``(k,)`` (isotropic).
        axes: ``(k, d, d)``, orthonormal columns along which the covariances are diagonal; None for
            the coordinate axes, and where covariances are matrices.

    Raises:
        InputError: If the shapes do not fit, a weight is negative, a covariance is not symmetric
            positive semi-definite, or axes are not orthonormal.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Covariances
    axes: Float[Tensor, "k d d"] | None = None
    log_weights: Float[Tensor, " k"] = field(init=False)
    variances: Float[Tensor, "k d"] = field(init=False)
    bases: Float[Tensor, "k d d"] | None = field(init=False)

    def __post_init__(self) -> None:
        means = as_points(self.means, "means")
        k, d = means.shape
        covariances = as_points(self.covariances.reshape(len(self.covariances), -1), "covariances")
        require(self.covariances.shape in ((k, d, d), (k, d), (k,)),
                f"covariances must have shape ({k}, {d}, {d}), ({k}, {d}) or ({k},)",
                got=tuple(self.covariances.shape))  # fmt: skip
        require(self.weights.shape == (k,), f"weights must have shape ({k},)",
                got=tuple(self.weights.shape))  # fmt: skip
        good = bool((self.weights >= 0).all()) and 0 < float(self.weights.sum()) < float("inf")
        require(good, "weights must be non-negative, some positive", got=self.weights.tolist())
        weights = self.weights.to(torch.float64)
        object.__setattr__(self, "log_weights", (weights / weights.sum()).log())
        bases = None if self.axes is None else self.axes.to(torch.float64)
        if bases is not None:
            require(bases.shape == (k, d, d) and self.covariances.ndim == 2,
                    f"axes must have shape ({k}, {d}, {d}), beside covariances ({k}, {d})",
                    got=f"{tuple(bases.shape)} and {tuple(self.covariances.shape)}")  # fmt: skip
            _require_orthonormal(bases)
        if self.covariances.ndim == 3:
            dense = self.covariances.to(torch.float64)
            skew = float((dense - dense.mT).abs().max())
            require(skew <= 1e-6 * float(dense.abs().max()), "covariances must be symmetric",
                    got=f"entries that differ by {skew:.3g}")  # fmt: skip
            # on the CPU: eigenvectors are known up to signs, and draws must not change with them
            variances, bases = (a.to(dense) for a in torch.linalg.eigh(symmetric(dense).cpu()))
        else:
            variances = covariances.to(torch.float64).expand(k, d)
        least, most = float(variances.min()), float(variances.max())
        require(least >= -1e-6 * max(most, 0.0), "covariances must be positive semi-definite",
                got=f"smallest variance {least:.3g}")  # fmt: skip
        object.__setattr__(self, "variances", variances.clamp_min(0))
        object.__setattr__(self, "bases", bases)

    @property
    def least_variance(self) -> float:
        """Smallest variance of any component in any direction."""
        return float(self.variances.min())

    def log_terms(self, y: Cloud, tau: Tensor) -> tuple[Tensor, Tensor]:
        r"""Log weighted densities ``(b, k)`` and slopes ``-u / v`` ``(b, k, d)`` at noise ``tau``.

        .. math:: \log w_i - \tfrac12 \left( |u|^2_{1/v} + \sum \log v + d \log 2\pi \right), \quad
                  u = U_i^T (y - m_i), \quad v = \lambda_i + \tau
        """
        u = self._rotate(y[:, None] - self.means.to(y))
        v = self._noised(tau, y)
        slopes = u * (-1 / v)
        constant = v.log().sum(2) + y.shape[1] * log(2 * pi)
        return self.log_weights.to(y) + ((u * slopes).sum(2) - constant) / 2, slopes

    def log_density(self, y: Cloud, tau: Tensor) -> PerPoint:
        """Log density of the mixture at noise ``tau``."""
        parts = [self.log_terms(y[r], _rows(tau, r))[0].logsumexp(1) for r in self._tiles(y)]
        return torch.cat(parts)

    def score(self, y: Cloud, tau: Tensor) -> Cloud:
        r""":math:`-\sum_i r_i U_i (u_i / v_i)` with :math:`r` the posterior of the components."""
        parts = []
        for r in self._tiles(y):
            log_terms, slopes = self.log_terms(y[r], _rows(tau, r))
            parts.append(self._rotate_back(log_terms.softmax(1)[:, :, None] * slopes))
        return torch.cat(parts)

    def posterior_mean(self, y: Cloud, tau: Tensor) -> Cloud:
        r""":math:`\sum_i r_i (m_i + C_i (C_i + \tau I)^{-1} (y - m_i))`."""
        parts = []
        for r in self._tiles(y):
            log_terms, slopes = self.log_terms(y[r], _rows(tau, r))
            weights = log_terms.softmax(1)
            moved = self._rotate_back(weights[:, :, None] * -slopes * self.variances.to(y))
            parts.append(weights @ self.means.to(y) + moved)
        return torch.cat(parts)

    def pick(self, y: Cloud, tau: Tensor, uniform: PerPoint) -> Int[Tensor, " b"]:
        """A component from its posterior given ``y``, by the inverse CDF at ``uniform``."""
        terms = [self.log_terms(y[r], _rows(tau, r))[0] for r in self._tiles(y)]
        cumulative = torch.cat(terms).to(torch.float64).softmax(1).cumsum(1)
        level = (uniform.to(cumulative) * cumulative[:, -1])[:, None]
        return (cumulative <= level).sum(1).clamp_max(len(self.means) - 1)

    def bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tensor,
        lower: Tensor,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        """Component ``index`` at noise ``lower``, from ``y`` at noise ``tau``.

        See :meth:`~wasserscore.score.base.ClosedFormScore.bridge` for the formula.
        """
        moved = torch.empty_like(y)
        for i in index.unique().tolist():
            rows = (index == i).nonzero()[:, 0]
            top, low = _rows(tau, rows), _rows(lower, rows)
            variance = self.variances[i].to(torch.float64)
            gain, spread = gain_and_spread(variance, top[..., None], low[..., None], eta)
            mean, apart, z = self.means[i].to(y), y[rows] - self.means[i].to(y), noise[rows]
            if self.bases is None:
                moved[rows] = mean + gain.to(y) * apart + spread.to(y) * z
            else:
                u = self.bases[i].to(y)
                moved[rows] = mean + (gain.to(y) * (apart @ u) + spread.to(y) * (z @ u)) @ u.T
        return moved

    def draw(self, n: int, generator: torch.Generator) -> Cloud:
        """``n`` points of the mixture."""
        uniform = torch.rand(n, generator=generator, dtype=torch.float64, device=generator.device)
        z = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype,
                        device=generator.device).to(self.means.device)  # fmt: skip
        cumulative = self.log_weights.exp().cumsum(0)
        cut = torch.searchsorted(
            cumulative, uniform.to(cumulative.device) * cumulative[-1], right=True
        )
        index = cut.clamp_max(len(self.means) - 1)
        points = self.means[index]
        for i in index.unique().tolist():
            rows = (index == i).nonzero()[:, 0]
            spread = z[rows] * self.variances[i].sqrt().to(z)
            points[rows] += spread if self.bases is None else spread @ self.bases[i].T.to(z)
        return points

    def dense(self) -> Float[Tensor, "k d d"]:
        """The covariances as matrices, float64."""
        if self.bases is None:
            return torch.diag_embed(self.variances)
        return (self.bases * self.variances[:, None]) @ self.bases.mT

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance: within components plus between them, float64."""
        weights, means = self.log_weights.exp(), self.means.to(torch.float64)
        mean = weights @ means
        apart = means - mean
        within = torch.einsum("k,kde->de", weights, self.dense())
        return mean, within + (apart * weights[:, None]).T @ apart

    def conditioned(self, y: Vector) -> "Components":
        r"""The law of the coordinates that are NaN in ``y``, given the others.

        .. math:: w_i' \propto w_i N(y_o; m_o, C_{oo}), \quad m_i' = m_f + K (y_o - m_o), \quad
                  C_i' = C_{ff} - K C_{of}, \quad K = C_{fo} C_{oo}^{-1}

        Raises:
            InputError: If no coordinate or every coordinate is known, or the known part of a
                component has no density.
        """
        require(y.shape == self.means.shape[1:], "y needs one entry per coordinate",
                got=tuple(y.shape))  # fmt: skip
        known = ~torch.isnan(y)
        require(0 < int(known.sum()) < len(y), "conditioning needs known and NaN entries",
                got=f"{int(known.sum())} of {len(y)} known")  # fmt: skip
        dense, means = self.dense(), self.means.to(torch.float64)
        seen = dense[:, known][:, :, known]
        require(float(torch.linalg.eigvalsh(seen).min()) > 0, "the known entries need a density",
                got="a singular covariance")  # fmt: skip
        gain = torch.linalg.solve(seen, dense[:, known][:, :, ~known]).mT
        apart = (y.to(means) - means)[:, known]
        here = Components(self.weights, self.means[:, known], seen)
        zero = torch.zeros((), dtype=torch.float64, device=means.device)
        log_terms, _ = here.log_terms(y[known].to(means)[None], zero)
        return Components(
            log_terms[0].softmax(0).to(self.weights),
            (means[:, ~known] + (gain @ apart[:, :, None])[:, :, 0]).to(self.means),
            symmetric(dense[:, ~known][:, :, ~known] - gain @ dense[:, known][:, :, ~known]).to(
                self.means
            ),
        )

    def _noised(self, tau: Tensor, y: Tensor) -> Tensor:
        """Variances with noise, ``(1 or b, k, d)`` in the dtype of ``y``."""
        return (self.variances + tau.reshape(-1, 1, 1)).to(y)

    def _rotate(self, u: Tensor) -> Tensor:
        """Into the eigenbasis of every component, ``(b, k, d)``."""
        if self.bases is None:
            return u
        return torch.bmm(u.transpose(0, 1), self.bases.to(u)).transpose(0, 1)

    def _rotate_back(self, u: Tensor) -> Cloud:
        """The sum of all components' vectors, ``(b, d)``: one matrix product for all of them."""
        if self.bases is None:
            return u.sum(1)
        return u.flatten(1) @ self.bases.to(u).mT.flatten(0, 1)

    def _tiles(self, y: Tensor) -> list[slice]:
        return list(tiles(len(y), max(1, TILE_BYTES // (8 * self.means.numel())))) or [slice(0, 0)]


def _require_orthonormal(axes: Float[Tensor, "k d d"]) -> None:
    """Refuse axes not of length one, or that change a vector, there and back: no Gram of d^3."""
    probe = torch.linspace(1, 2, axes.shape[1]).to(axes)[:, None]
    turned = (axes.mT @ (axes @ probe) - probe).abs().max()
    off = float(torch.maximum(turned, (axes.norm(dim=1) - 1).abs().max()))
    require(off < 1e-4, "axes must be orthonormal", got=f"lengths or products off by {off:.3g}")


def gain_and_spread(
    variance: Tensor | float, tau: Tensor, lower: Tensor, eta: float
) -> tuple[Tensor, Tensor]:
    r"""What is kept of a direction of this variance, and the deviation of what is added.

    .. math:: a^{(1 + \eta^2)/2}, \quad \bigl((v + \tau_s)(1 - a^{\eta^2})\bigr)^{1/2}, \qquad
              a = \frac{v + \tau_s}{v + \tau}
    """
    kept = (variance + lower) / (variance + tau)
    if eta == 1:  # the same without a difference of near numbers
        return kept, ((tau - lower) * kept).sqrt()
    spread = ((variance + lower) * (1 - kept ** (eta**2))).clamp_min(0).sqrt()
    return kept ** ((1 + eta**2) / 2), spread


def _rows(tau: Tensor, rows: slice | Tensor) -> Tensor:
    """The part of a noise level that belongs to some rows."""
    return tau[rows] if tau.ndim else tau
