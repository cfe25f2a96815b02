r"""The Wasserstein-proximal kernel score: a mixture with one learned precision per centre.

.. math:: p_0 = \sum_i w_i N(z_i, \Sigma_i), \qquad p_\tau = \sum_i w_i N(z_i, \Sigma_i + \tau I)

It solves the Hamilton-Jacobi-Bellman equation of the regularised Wasserstein proximal of the
cross-entropy exactly, with terminal value :math:`-\beta^2 \log p_0`: the score is known at every
noise level, and sampling needs no stopping time. With :math:`\Sigma_i = h^2 I` it is the score of
the data set smoothed by a bandwidth; what keeps it from copying is that each :math:`\Sigma_i`
spreads along the data's own directions and nowhere falls below a floor.

.. math:: \nabla \log p_\tau(y) = -\sum_i r_i(y)\, (\Sigma_i + \tau I)^{-1} (y - z_i)

Source: :cite:p:`zhang2024` Prop. 4.1, eqs. (25), (26), (29), with det to the power one half.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer, as_shape
from wasserscore.core.tensors import as_tensor, expand_like, tiles
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Points, Times, Vector
from wasserscore.data import Scaling
from wasserscore.kernel import nearest
from wasserscore.process.base import Process
from wasserscore.score.base import ClosedFormScore, Tau
from wasserscore.score.conditioning import conditioned_scaling, partly_known
from wasserscore.score.fit_report import FitReport
from wasserscore.score.spiked import Spiked
from wasserscore.score.spiked_mixture import SpikedMixture
from wasserscore.score.truncated import TruncatedMixture, cells_of

TILE = 2**20
"""Log densities of components held at a time."""


@dataclass(frozen=True, eq=False, repr=False)
class ProximalScore(ClosedFormScore):
    r"""The score of a mixture of Gaussians with spiked covariances, at every noise level.

    Arithmetic is done in the dtype of ``centres``; results take the dtype of the points. Many
    different times in one call cost one set-up each.

    Args:
        centres: :math:`z`, shape ``(n, d)``.
        covariance: :math:`\Sigma_i`, one per centre.
        process: The forward process.
        weights: Positive, shape ``(n,)``, normalised here; None for equal weights.
        shape: The shape of one point; empty for ``(d,)``.
        scaling: How the points came from data units.
        fit_report: How the model was chosen, where it was fitted.
        near: See :meth:`truncate`; 0 for exact sums over all centres.
        cells: See :meth:`truncate`; 0 for none.

    Raises:
        InputError: If the numbers of centres, factors and weights differ.
    """

    centres: Cloud
    covariance: Spiked
    process: Process
    weights: Float[Tensor, " n"] | None = None
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None
    fit_report: FitReport | None = None
    near: int = 0
    cells: int = 0
    law: SpikedMixture = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        n, d = self.centres.shape
        require(tuple(self.covariance.factors.shape[:2]) == (n, d),
                f"covariance needs factors of shape ({n}, {d}, r), one per centre",
                got=tuple(self.covariance.factors.shape))  # fmt: skip
        weights = self.centres.new_ones(n) if self.weights is None else self.weights
        require(len(weights) == n and bool((weights > 0).all()),
                "weights must be positive, one per centre", got=weights.tolist())  # fmt: skip
        object.__setattr__(self, "shape", as_shape(self.shape) or (d,))
        for name in ("near", "cells"):
            object.__setattr__(self, name, as_integer(getattr(self, name), name, least=0))
        require(self.dim == d, f"shape must hold {d} numbers", got=self.shape)
        law = SpikedMixture(
            self.centres, self.covariance, (weights / weights.sum()).to(self.centres)
        )
        if self.near or self.cells:
            coarse = cells_of(law, self.cells) if self.cells else None
            law = TruncatedMixture(law.centres, law.covariance, law.weights, self.near, coarse)
        object.__setattr__(self, "law", law)

    @property
    def components(self) -> int:
        """Number of centres."""
        return len(self.centres)

    @property
    def least_variance(self) -> float:
        """The floor: no component is thinner in any direction."""
        return float(self.covariance.floor.min())

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance of the mixture: within components plus between centres."""
        law = self.law
        apart = (self.centres - law.middle) * law.weights.sqrt()[:, None]
        return law.middle, self.covariance.mean_covariance(law.weights) + apart.mT @ apart

    def truncate(self, k: int = 0, cells: int = 0) -> "ProximalScore":
        """The same law, asked through few of its components; the error is controlled.

        Score and log density come from the ``k`` components of largest bound where the bounds of
        all others add up to less than 1e-4 of these, from more where not, from all where
        needed; and from ``cells`` with the same moments at noise levels where that score agrees
        to 1e-3. Everything else stays exact. It pays where centres are many and floors thin, see
        docs/theory/proximal.md.

        Args:
            k: How many components a query starts with; 0 for all of them.
            cells: How many cells replace all under much noise; 0 for none.

        Raises:
            InputError: If both are zero or one is negative.
        """
        require(min(k, cells) >= 0 and max(k, cells) > 0,
                "truncate needs a number of components or of cells", got=f"k={k}, cells={cells}",
                do="try k=50, cells=20")  # fmt: skip
        return replace(self, near=k, cells=cells)

    def tempered(self, temperature: float) -> "ProximalScore":
        r"""The mixture with covariances :math:`T \Sigma_i`: calmer below one, wilder above.

        For components of one weight and shape that do not overlap it is
        :math:`p^{1/T} / \int p^{1/T}`. It nears the centres, which are training rows, as T falls:
        audit what you draw.

        Raises:
            InputError: If the temperature is not positive and finite.
        """
        require(0 < temperature < float("inf"), "temperature must be positive and finite",
                got=temperature)  # fmt: skip
        return replace(self, covariance=self.covariance.times(temperature), fit_report=None)

    def divergence(self, x: Points, t: Times) -> PerPoint:
        r"""The divergence of the score, ``(b,)``.

        .. math:: \nabla \cdot \nabla \log p = \frac{\Delta p}{p} - |\nabla \log p|^2
        """
        x = as_tensor(x)
        alpha, tau, y = self._natural(x, t)
        squared = self._score(y, tau).square().sum(1)
        value = self._each_tau(self.law.laplacian, y, tau) - squared
        return (value / alpha.square()).to(x.dtype)

    def local_dimension(self, x: Points, t: Times) -> PerPoint:
        r"""Local intrinsic dimension of the noised data seen from ``x``, ``(b,)``.

        .. math:: LID = d + \tau \frac{\Delta p_\tau}{p_\tau}

        the derivative of log p in the log of the noise's standard deviation, plus d. It speaks
        of the data at noise levels between the floor and the data's size, and goes to d below.
        """
        x = as_tensor(x)
        _, tau, y = self._natural(x, t)
        return (self.dim + tau * self._each_tau(self.law.laplacian, y, tau)).to(x.dtype)

    def log_prob_of_others(self, x: Points) -> PerPoint:
        r"""Log density without the component centred nearest to each ``x``, ``(b,)``.

        .. math:: \log \frac{1}{1 - w_i} \sum_{j \ne i} w_j N(x; z_j, \Sigma_j)

        At points that became centres: the leave-one-out density, the covariances kept.
        """
        x = as_tensor(x)
        y = self._flat(x).to(self.centres)
        own = nearest(y, self.centres)[1]
        found = []
        for part in tiles(len(y), max(1, TILE // len(self.centres))):
            joint = self.law.log_joint(y[part]).scatter(1, own[part], -torch.inf)
            found.append(joint.logsumexp(1))
        rest = torch.log1p(-self.law.weights[own[:, 0]]).nan_to_num(neginf=0.0)  # nobody: -inf
        return (torch.cat(found) - rest).to(x.dtype)

    def conditioned(self, y: Vector) -> "ProximalScore":
        r"""The law of the unknown coordinates given the known ones, again a spiked mixture.

        With o the known and f the free coordinates, and :math:`M_i = I + V_o^T D_o^{-1} V_o`,

        .. math:: w_i' \propto w_i N(y; z_o, \Sigma_{oo}), \quad
                  z_i' = z_f + V_f M_i^{-1} V_o^T D_o^{-1} (y - z_o), \quad
                  \Sigma_i' = V_f M_i^{-1} V_f^T + D_f.

        Args:
            y: ``(d,)``, NaN where a coordinate is unknown; scaled units.

        Raises:
            InputError: If every coordinate is known, or none, or the law has no density.
        """
        y = partly_known(y, self.dim)
        known = ~torch.isnan(y)
        require(bool(known.any()) and not bool(known.all()),
                "conditioning needs some known and some unknown (NaN) coordinates",
                got=f"{int(known.sum())} of {self.dim} known")  # fmt: skip
        require(self.least_variance > 0, "conditioning needs a density", got="a floor of zero",
                do="give the covariances a positive floor")  # fmt: skip
        some, free = known.nonzero().squeeze(1), (~known).nonzero().squeeze(1)
        flat, seen = self.covariance.on_axes(), self.marginal(some)
        whiten = flat.floor[some].rsqrt()
        scaled = flat.factors[:, some] * whiten[:, None]
        inner = scaled.mT @ scaled
        root = torch.linalg.cholesky(inner + torch.eye(flat.rank).to(inner))
        gap = ((y[some].to(self.centres) - self.centres[:, some]) * whiten).unsqueeze(-1)
        move = flat.factors[:, free] @ torch.cholesky_solve(scaled.mT @ gap, root)
        factors = torch.linalg.solve_triangular(
            root.mT, flat.factors[:, free], upper=True, left=False
        )
        shares = seen.law.log_joint(y[some][None])[0].softmax(0)
        kept = shares > torch.finfo(shares.dtype).tiny
        return ProximalScore(
            (self.centres[:, free] + move.squeeze(-1))[kept],
            Spiked(factors[kept], flat.floor[free]), self.process, weights=shares[kept],
            scaling=conditioned_scaling(self.scaling, y),
        )  # fmt: skip

    def marginal(self, columns: Int[Tensor, " m"]) -> "ProximalScore":
        """The law of some coordinates: sub-blocks of the covariances, not of the precisions."""
        scaling = self.scaling
        if scaling is not None:
            each = scaling.scale[columns] if scaling.scale.ndim else scaling.scale
            scaling = Scaling(scaling.shift[columns], each)
        return ProximalScore(
            self.centres[:, columns], self.covariance.columns(columns), self.process,
            weights=self.weights, scaling=scaling,
        )  # fmt: skip

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON types; the covariance becomes its own tensors."""
        tensors, config = super().state()
        spiked = config.pop("covariance")
        tensors |= {f.name: value for f in fields(Spiked)
                    if (value := getattr(spiked, f.name)) is not None}  # fmt: skip
        config["fit_report"] = None if self.fit_report is None else self.fit_report.to_dict()
        return tensors, config

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> "ProximalScore":
        """The score whose :meth:`state` this is."""
        rest, settings = dict(tensors), dict(config)
        spiked = Spiked(**{f.name: rest.pop(f.name) for f in fields(Spiked) if f.name in rest})
        if settings.get("fit_report") is not None:
            settings["fit_report"] = FitReport.from_dict(settings["fit_report"])
        return super().from_state(rest, {**settings, "covariance": spiked})

    # The contract -------------------------------------------------------------------------------

    def _score(self, y: Cloud, tau: Tau) -> Cloud:
        return self._each_tau(self.law.score, y, tau).to(y.dtype)

    def _posterior_mean(self, y: Cloud, tau: Tau) -> Cloud:
        wide = y.to(self.centres)
        return (wide + expand_like(tau, wide) * self._score(wide, tau)).to(y.dtype)

    def _log_density(self, y: Cloud, tau: Tau) -> PerPoint:
        return self._each_tau(self.law.log_density, y, tau).to(y.dtype)

    def _component(self, y: Cloud, tau: Tau, uniform: PerPoint) -> Int[Tensor, " b"]:
        return self._each_tau(self.law.component, y, tau, uniform)

    def _bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tau,
        lower: Tau,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        require(eta == 1, "low-rank covariances have a bridge at noise level 1 only", got=eta)
        wide, b = y.to(self.centres), len(y)
        levels = (tau.to(wide).expand(b), lower.to(wide).expand(b))
        return self.law.bridge(wide, index, *levels, noise.to(wide)).to(y.dtype)

    def _draw(self, n: int, generator: torch.Generator) -> Cloud:
        return self.law.draw(n, generator)

    def _natural(self, x: Points, t: Times) -> tuple[Tensor, Tensor, Cloud]:
        """Signal factor, noise level and points in the natural clock, where a density exists."""
        alpha, tau = self._clock(t, x)
        self._require_density(tau, t)
        y = self._flat(x).to(self.centres)
        return alpha, tau, y / expand_like(alpha, y)

    def _each_tau(
        self, function: Callable[..., Tensor], y: Cloud, tau: Tau, *others: Tensor
    ) -> Tensor:
        """``function(y, tau, *others)`` for one noise level, or once per different level."""
        levels, which = tau.unique(return_inverse=True)
        if len(levels) <= 1:
            return function(y, float(levels[0]) if len(levels) else 0.0, *others)
        rows = [(which == k).nonzero().squeeze(1) for k in range(len(levels))]
        parts = [function(y[r], float(level), *(o[r] for o in others))
                 for r, level in zip(rows, levels, strict=True)]  # fmt: skip
        return torch.cat(parts)[torch.cat(rows).argsort()]
