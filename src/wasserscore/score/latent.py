r"""A proximal score on a few axes, and what is left of the space as isotropic noise.

With orthonormal axes A (d x l) through a middle m, and a law of the coordinates
:math:`z = A^T (x - m)`,

.. math:: p(x) = p_z(z)\; N\bigl(x - m - A z;\ 0,\ \psi (I - A A^T)\bigr),

the second factor in the d - l directions that A leaves out. With :math:`\psi` their mean variance
this is probabilistic principal component analysis with a proximal law where that has a Gaussian:
a density in all d coordinates, not only on the axes. Noise is isotropic, so it stays of that form
at every level, :math:`\psi` becoming :math:`\psi + \tau`; and the second factor is the same for
every component, so it costs nothing but a projection.

Source: Tipping and Bishop, Journal of the Royal Statistical Society B 61 (1999), eqs. (7), (8).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.integers import as_shape
from wasserscore.core.random import normal_like
from wasserscore.core.tensors import as_tensor, expand_like
from wasserscore.core.typing import Cloud, Matrix, PerPoint, Points, Times, Vector
from wasserscore.data import Scaling
from wasserscore.process.base import Process
from wasserscore.score.base import ClosedFormScore, Tau
from wasserscore.score.components import gain_and_spread
from wasserscore.score.fit_report import FitReport
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

INNER = "latent."
"""What the names of the inner law's tensors start with in a file."""


@dataclass(frozen=True, eq=False, repr=False)
class LatentScore(ClosedFormScore):
    r"""The score of a proximal law on some axes with isotropic noise across them.

    Args:
        latent: The law of :math:`z`, in the units of the points, with the same process.
        axes: :math:`A`, orthonormal columns, ``(d, l)``.
        middle: :math:`m`, ``(d,)``.
        residual: :math:`\psi`, the variance in each of the other d - l directions.
        process: The forward process.
        shape: The shape of one point; empty for ``(d,)``.
        scaling: How the points came from data units.

    Raises:
        InputError: If the axes are not orthonormal, or do not fit the law or the middle.
    """

    latent: ProximalScore
    axes: Float[Tensor, "d l"]
    middle: Vector
    residual: float
    process: Process
    shape: tuple[int, ...] = ()
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        d, l = self.axes.shape
        require(self.latent.dim == l and len(self.middle) == d,
                f"a law of {self.latent.dim} coordinates needs as many axes and a middle of {d}",
                got=f"{l} axes and {len(self.middle)}")  # fmt: skip
        skew = self.axes.mT @ self.axes - torch.eye(l).to(self.axes)
        require(float(skew.abs().max()) < 1e-4, "axes must be orthonormal",
                got=f"a product that is off by {float(skew.abs().max()):.3g}")  # fmt: skip
        require(0 <= self.residual < math.inf, "residual must be finite and non-negative",
                got=self.residual)  # fmt: skip
        object.__setattr__(self, "shape", as_shape(self.shape) or (d,))
        require(self.dim == d, f"shape must hold {d} numbers", got=self.shape)
        object.__setattr__(self, "latent", self.latent.under(self.process))

    @property
    def across(self) -> int:
        """Number of directions without an axis, d - l."""
        return self.axes.shape[0] - self.axes.shape[1]

    @property
    def fit_report(self) -> FitReport | None:
        """How the model was chosen, where it was fitted."""
        return self.latent.fit_report

    @property
    def components(self) -> int:
        """Number of centres."""
        return self.latent.components

    @property
    def least_variance(self) -> float:
        """The floor of the law on the axes, or the residual where that is smaller."""
        least = self.latent.least_variance
        return min(least, self.residual) if self.across else least

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance of the law."""
        mean, covariance = self.latent.moments()
        a = self.axes
        around = torch.eye(len(a)).to(a) - a @ a.mT
        return self.middle + a @ mean, a @ covariance @ a.mT + self.residual * around

    def divergence(self, x: Points, t: Times) -> PerPoint:
        r"""The divergence of the score, :math:`div_z - (d - l) / (\psi + \tau)` in the clock."""
        x = as_tensor(x)
        alpha, tau = self._clock(t, x)
        self._require_density(tau, t)
        z, _ = self._split(self._flat(x) / expand_like(alpha, self._flat(x)))
        value = self.latent.divergence(z * expand_like(alpha, z), t) * alpha.square().to(z)
        if self.across:
            value = value - self.across / (self.residual + tau).to(z)
        return value / alpha.square().to(z)

    def full(self) -> ProximalScore:
        """The same law with its covariances spelled out in all d coordinates (n d r numbers)."""
        inner, a = self.latent.covariance, self.axes
        others = torch.linalg.svd(a, full_matrices=True).U[:, a.shape[1] :]
        basis = torch.cat([a if inner.basis is None else a @ inner.basis, others], dim=1)
        floor = torch.cat([inner.floor, inner.floor.new_full((self.across,), self.residual)])
        return ProximalScore(
            self.middle + self.latent.centres @ a.mT,
            Spiked(a @ inner.factors, floor, basis),
            self.process,
            weights=self.latent.weights,
            shape=self.shape,
            scaling=self.scaling,
            fit_report=self.fit_report,
        )

    def conditioned(self, y: Vector) -> ProximalScore:
        """The law of the coordinates that are NaN in ``y``, given the others; through `full`."""
        return self.full().conditioned(y)

    def marginal(self, columns: Int[Tensor, " m"]) -> ProximalScore:
        """The law of some coordinates; through :meth:`full`."""
        return self.full().marginal(columns)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON types; the law on the axes keeps its own under a prefix."""
        tensors, config = super().state()
        inner = config.pop("latent")
        inside, settings = inner.state()
        tensors |= {INNER + name: value for name, value in inside.items()}
        return tensors, {**config, "latent": settings}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], config: dict[str, Any]) -> "LatentScore":
        """The score whose :meth:`state` this is."""
        inside = {n.removeprefix(INNER): v for n, v in tensors.items() if n.startswith(INNER)}
        outside = {n: v for n, v in tensors.items() if not n.startswith(INNER)}
        latent = ProximalScore.from_state(inside, config["latent"])
        return super().from_state(outside, {**config, "latent": latent})

    # The contract -------------------------------------------------------------------------------

    def _score(self, y: Cloud, tau: Tau) -> Cloud:
        z, apart = self._split(y)
        score = self.latent._score(z, tau) @ self.axes.to(y).mT
        if self.across:
            score = score - apart / expand_like(self.residual + tau, y)
        return score

    def _posterior_mean(self, y: Cloud, tau: Tau) -> Cloud:
        z, apart = self._split(y)
        mean = self.latent._posterior_mean(z, tau) @ self.axes.to(y).mT
        kept = expand_like(self.residual / (self.residual + tau), y) if self.across else 0.0
        return self.middle.to(y) + mean + kept * apart

    def _log_density(self, y: Cloud, tau: Tau) -> PerPoint:
        z, apart = self._split(y)
        value = self.latent._log_density(z, tau)
        if not self.across:
            return value
        variance = (self.residual + tau).to(y)
        return value - (self.across * (2 * math.pi * variance).log()
                        + apart.square().sum(1) / variance) / 2  # fmt: skip

    def _component(self, y: Cloud, tau: Tau, uniform: PerPoint) -> Int[Tensor, " b"]:
        return self.latent._component(self._split(y)[0], tau, uniform)

    def _bridge(
        self,
        y: Cloud,
        index: Int[Tensor, " b"],
        tau: Tau,
        lower: Tau,
        noise: Cloud,
        eta: float = 1.0,
    ) -> Cloud:
        (z, apart), a = self._split(y), self.axes.to(y)
        along = noise @ a
        moved = self.latent._bridge(z, index, tau, lower, along, eta) @ a.mT + self.middle.to(y)
        if not self.across:
            return moved
        gain, spread = gain_and_spread(self.residual, tau, lower, eta)
        around = noise - along @ a.mT
        return moved + expand_like(gain, y) * apart + expand_like(spread, y) * around

    def _draw(self, n: int, generator: torch.Generator) -> Cloud:
        z = self.latent._draw(n, generator)
        noise = normal_like(z.new_empty(n, self.dim), generator)
        around = noise - noise @ self.axes @ self.axes.mT
        return self.middle + z @ self.axes.mT + math.sqrt(self.residual) * around

    def _split(self, y: Cloud) -> tuple[Float[Tensor, "n l"], Cloud]:
        """Coordinates on the axes, and what they leave of the point."""
        gap = y - self.middle.to(y)
        z = gap @ self.axes.to(y)
        return z, gap - z @ self.axes.to(y).mT
