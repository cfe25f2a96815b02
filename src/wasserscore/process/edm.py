r"""EDM: time is the noise level itself, :math:`\sigma_t = t`, :math:`g^2 = 2t`."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.process.base import Process, Time, as_time
from wasserscore.process.keywords import positive


@dataclass(frozen=True, kw_only=True, repr=False)
class EDM(Process):
    r"""Variance exploding with :math:`x_t \mid x_0 \sim N(x_0, t^2 I)`.

    Source: :cite:p:`karras2022`, table 1; it is ``VE.sqrt(a=1)``.

    Args:
        sigma_max: Largest noise level, in data units; also the horizon.
    """

    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        positive("EDM", sigma_max=self.sigma_max)

    @property
    def horizon(self) -> float:  # type: ignore[override]
        """The largest noise level."""
        return float(self.sigma_max)

    @property
    def parameters(self) -> dict[str, Any]:
        """The keywords of the call."""
        return {"sigma_max": self.sigma_max}

    def f(self, t: Time) -> Tensor:
        """Zero."""
        return torch.zeros_like(as_time(t))

    def g2(self, t: Time) -> Tensor:
        """``2 t``."""
        return 2 * as_time(t)

    def integrated_f(self, t: Time) -> Tensor:
        """Zero."""
        return torch.zeros_like(as_time(t))

    def integrated_g2(self, t: Time) -> Tensor:
        """``t^2``."""
        return as_time(t) ** 2

    def variance(self, t: Time) -> Tensor:
        """``t^2``."""
        return as_time(t) ** 2

    def sigma(self, t: Time) -> Tensor:
        """``t``."""
        return as_time(t).clone()

    def noise_to_signal(self, t: Time) -> Tensor:
        """``t^2``."""
        return as_time(t) ** 2

    def time_at(self, noise_to_signal: Time) -> Tensor:
        """``sqrt(S)``."""
        return as_time(noise_to_signal, "noise_to_signal").sqrt()

    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        """``t^2 - s^2``."""
        upper, lower = as_time(t), as_time(s)
        return (upper - lower) * (upper + lower)

    def describe(self) -> str:
        """Equation, marginals, source."""
        return (
            f"{self!r}\n  dx = sqrt(2 t) dB,  t in [0, {self.horizon:g}]\n"
            "  x_t | x_0 ~ N(x_0, t^2 I)\n"
            "  source: Karras et al., NeurIPS 2022, table 1"
        )
