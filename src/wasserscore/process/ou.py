r"""Ornstein-Uhlenbeck: :math:`dx = -\alpha x\,dt + \sigma\,dB` with constant coefficients.

.. math:: x_t \mid x_0 \sim N(e^{-\alpha t} x_0, \tfrac{\sigma^2}{2\alpha}(1 - e^{-2\alpha t}) I)
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.process.base import DEFAULT_NOISE_TO_SIGNAL, Process, Time, as_time
from wasserscore.process.keywords import positive


@dataclass(frozen=True, kw_only=True, repr=False)
class OU(Process):
    r"""Ornstein-Uhlenbeck process, stationary variance :math:`\sigma^2/(2\alpha)`.

    Source: :cite:p:`gao2025`, Corollary 21.

    Args:
        alpha: Rate of the drift, per unit of time, positive. (Stored as ``rate``: ``p.alpha(t)``
            is the signal factor, as in every process.)
        sigma: Diffusion, positive. (Stored as ``diffusion``.)
        horizon: Final time; None takes the time at which S = 1e4 stationary variances.
    """

    rate: float
    diffusion: float
    horizon: float

    def __init__(self, *, alpha: float, sigma: float, horizon: float | None = None) -> None:
        positive("OU", alpha=alpha, sigma=sigma)
        object.__setattr__(self, "rate", float(alpha))
        object.__setattr__(self, "diffusion", float(sigma))
        if horizon is None:
            horizon = float(self.time_at(DEFAULT_NOISE_TO_SIGNAL * sigma**2 / (2 * alpha)))
        positive("OU", horizon=horizon)
        object.__setattr__(self, "horizon", float(horizon))

    @property
    def parameters(self) -> dict[str, Any]:
        """The keywords of the call."""
        return {"alpha": self.rate, "sigma": self.diffusion, "horizon": self.horizon}

    def f(self, t: Time) -> Tensor:
        """``alpha``."""
        return torch.full_like(as_time(t), self.rate)

    def g2(self, t: Time) -> Tensor:
        """``sigma^2``."""
        return torch.full_like(as_time(t), self.diffusion**2)

    def integrated_f(self, t: Time) -> Tensor:
        """``alpha t``."""
        return self.rate * as_time(t)

    def integrated_g2(self, t: Time) -> Tensor:
        """``sigma^2 t``."""
        return self.diffusion**2 * as_time(t)

    def variance(self, t: Time) -> Tensor:
        """``sigma^2 (1 - exp(-2 alpha t)) / (2 alpha)``."""
        return -self._stationary * torch.expm1(-2 * self.rate * as_time(t))

    def noise_to_signal(self, t: Time) -> Tensor:
        """``sigma^2 (exp(2 alpha t) - 1) / (2 alpha)``."""
        return self._stationary * torch.expm1(2 * self.rate * as_time(t))

    def time_at(self, noise_to_signal: Time) -> Tensor:
        """``log(1 + 2 alpha S / sigma^2) / (2 alpha)``."""
        return torch.log1p(as_time(noise_to_signal, "noise_to_signal") / self._stationary) / (
            2 * self.rate
        )

    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        """``sigma^2 (exp(alpha (t - s)) - 1) / alpha``."""
        step = self.rate * (as_time(t) - as_time(s))
        return self.diffusion**2 / self.rate * torch.expm1(step)

    @property
    def _stationary(self) -> float:
        return self.diffusion**2 / (2 * self.rate)

    def describe(self) -> str:
        """Equation, marginals, source."""
        return (
            f"{self!r}\n  dx = -{self.rate:g} x dt + {self.diffusion:g} dB,"
            f"  t in [0, {self.horizon:g}]\n"
            f"  x_t | x_0 ~ N(exp(-{self.rate:g} t) x_0, {self._stationary:g}"
            f" (1 - exp(-{2 * self.rate:g} t)) I),"
            f"  stationary std {math.sqrt(self._stationary):g}\n"
            "  source: Gao, Nguyen, Zhu, JMLR 26(43), 2025, Corollary 21"
        )
