r"""What the convergence theorem needs to know of the data law, in the clock S = sigma^2 / alpha^2.

In that clock every process is a Brownian motion, and the score of the noised law obeys

.. math:: -\nabla^2 \log p_S \succeq a(S)\,I, \qquad \|\nabla^2 \log p_S\| \le L(S);

a process multiplies both by :math:`e^{2H}`. The contraction of the reverse process from S to data
is :math:`\Lambda(S) = \int_0^S a`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.results import Record


@dataclass(frozen=True)
class Concavity(Record, ABC):
    """Bounds on the Hessian of the noised log density."""

    @abstractmethod
    def concavity(self, s: Tensor) -> Tensor:
        """a(S), negative where the noised law need not be log-concave."""

    @abstractmethod
    def smoothness(self, s: Tensor) -> Tensor:
        """L(S)."""

    @abstractmethod
    def contraction(self, s: Tensor) -> Tensor:
        r""":math:`\Lambda(S) = \int_0^S a`."""


@dataclass(frozen=True)
class LogConcave(Concavity):
    r"""A law whose :math:`-\log` density is m0-strongly convex and L0-smooth.

    .. math:: a(S) = \frac{m_0}{1 + m_0 S}, \qquad L(S) = \min(1/S, L_0), \qquad
              \Lambda(S) = \log(1 + m_0 S)

    Assumes: assumption A1 of :cite:p:`gao2025`; a Gaussian has m0 = 1 / largest, L0 = 1 / smallest
    eigenvalue of its covariance. For other laws those values are optimistic.
    Source: :cite:p:`gao2025`, section 2 and (3.9).

    Args:
        m0: Strong convexity, in inverse squared data units, positive.
        L0: Smoothness, at least ``m0``.
    """

    m0: float
    L0: float

    def __post_init__(self) -> None:
        require(0 < self.m0 <= self.L0, "need 0 < m0 <= L0", got=f"m0={self.m0}, L0={self.L0}")

    def concavity(self, s: Tensor) -> Tensor:
        """a(S) in closed form."""
        return self.m0 / (1 + self.m0 * s)

    def smoothness(self, s: Tensor) -> Tensor:
        """L(S) in closed form."""
        return torch.clamp(1 / s, max=self.L0)

    def contraction(self, s: Tensor) -> Tensor:
        r""":math:`\Lambda(S)` in closed form."""
        return torch.log1p(self.m0 * s)


@dataclass(frozen=True)
class Smoothed(Concavity):
    r"""The law of :math:`W + \tau \xi` with W in a ball of radius R: any bounded law, smoothed.

    .. math:: a(S) = \frac{1}{\tau^2 + S} - \frac{R^2}{(\tau^2 + S)^2}, \qquad
              L(S) = \max\Bigl(\frac{1}{\tau^2 + S}, -a(S)\Bigr), \qquad
              \Lambda(S) = \log\frac{\tau^2 + S}{\tau^2} - \frac{R^2 S}{\tau^2 (\tau^2 + S)}

    Finite, but of size :math:`e^{R^2/\tau^2}`: an honest report, nothing to plan by.

    Assumes: bounded support before smoothing; pure compact support (tau = 0) is refused because
    its initialisation error is infinite without early stopping.
    Source: our derivation from the variance condition on X given X + S^(1/2) xi.

    Args:
        radius: R, data units, non-negative.
        tau: Standard deviation of the smoothing, data units, positive.
    """

    radius: float
    tau: float

    def __post_init__(self) -> None:
        require(self.radius >= 0, "radius must be non-negative", got=self.radius)
        require(self.tau > 0, "tau must be positive", got=self.tau,
                do="smooth the law or stop early: compact support alone has no bound")  # fmt: skip

    def concavity(self, s: Tensor) -> Tensor:
        """a(S) in closed form."""
        spread = self.tau**2 + s
        return 1 / spread - self.radius**2 / spread**2

    def smoothness(self, s: Tensor) -> Tensor:
        """L(S) in closed form."""
        return torch.maximum(1 / (self.tau**2 + s), -self.concavity(s))

    def contraction(self, s: Tensor) -> Tensor:
        r""":math:`\Lambda(S)` in closed form."""
        tau2 = self.tau**2
        return torch.log1p(s / tau2) - self.radius**2 * s / (tau2 * (tau2 + s))
