r"""Sub-VP: the VP signal with less noise at every time.

.. math:: dx = -\tfrac{\beta}{2} x\,dt + \sqrt{\beta (1 - e^{-2B})}\,dB, \quad
          x_t \mid x_0 \sim N(e^{-B/2} x_0, (1 - e^{-B})^2 I)
"""

from dataclasses import dataclass
from math import factorial

import torch
from torch import Tensor

from wasserscore.process.base import Time, as_time
from wasserscore.process.keywords import named, non_negative, positive
from wasserscore.process.schedule import Polynomial
from wasserscore.process.scheduled import Recipe, Scheduled

SERIES_BELOW = 0.05


def _series(x: Tensor, coefficient: list[float]) -> Tensor:
    """The power series from the square up; coefficients are those of ``x^k / k!``."""
    terms = [c * x**k / factorial(k) for k, c in enumerate(coefficient, start=2)]
    return torch.stack(terms).sum(0)


@dataclass(frozen=True, kw_only=True, repr=False)
class SubVP(Scheduled):
    """Sub-variance-preserving process.

    Source: :cite:p:`song2021`, appendix B. Not covered by the theorem of :cite:p:`gao2025`: its
    step condition fails for every data law as ``t -> 0``.
    """

    @classmethod
    @named
    def linear(cls, *, a: float, b: float, horizon: float | None = None) -> "SubVP":
        r""":math:`\beta(t) = b + a t` with ``a > 0``."""
        positive("SubVP.linear", "the rate must grow", a=a)
        non_negative("SubVP.linear", b=b)
        recipe = Recipe("linear", {"a": a, "b": b})
        return cls.make(Polynomial(a, b, 1.0), horizon, recipe)

    def integrated_beta(self, t: Time) -> Tensor:
        r""":math:`B(t) = \int_0^t \beta`."""
        return self.schedule.integral(as_time(t))

    def f(self, t: Time) -> Tensor:
        """``beta / 2``."""
        return self.schedule.rate(as_time(t)) / 2

    def g2(self, t: Time) -> Tensor:
        """``beta (1 - exp(-2B))``."""
        return -self.schedule.rate(as_time(t)) * torch.expm1(-2 * self.integrated_beta(t))

    def integrated_f(self, t: Time) -> Tensor:
        """``B / 2``."""
        return self.integrated_beta(t) / 2

    def integrated_g2(self, t: Time) -> Tensor:
        r""":math:`G = B - (1 - e^{-2B})/2`, by its series where the difference would cancel."""
        total = self.integrated_beta(t)
        series = _series(total, [-((-2) ** k) / -2 for k in range(2, 12)])
        return torch.where(total < SERIES_BELOW, series, total + torch.expm1(-2 * total) / 2)

    def variance(self, t: Time) -> Tensor:
        """``(1 - exp(-B))^2``."""
        return torch.expm1(-self.integrated_beta(t)) ** 2

    def noise_to_signal(self, t: Time) -> Tensor:
        """``4 sinh(B/2)^2 = exp(B) - 2 + exp(-B)``."""
        return 4 * torch.sinh(self.integrated_beta(t) / 2) ** 2

    def time_at(self, noise_to_signal: Time) -> Tensor:
        """The time at which ``B = 2 asinh(sqrt(S)/2)``."""
        return self.schedule.inverse(
            2 * torch.asinh(as_time(noise_to_signal, "noise_to_signal").sqrt() / 2)
        )

    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        r"""With :math:`D = B_t - B_s`, integrate :math:`e^{x/2}(1 - e^{-2B_s} e^{-2x})` to D.

        .. math:: E = [2(e^{D/2} - 1) + \tfrac23 (e^{-3D/2} - 1)]
                  + \tfrac23 (1 - e^{-2B_s})(1 - e^{-3D/2})
        """
        start = self.integrated_beta(s)
        step = self.integrated_beta(t) - start
        series = _series(step, [2 * 0.5**k + (2 / 3) * (-1.5) ** k for k in range(2, 12)])
        plain = 2 * torch.expm1(step / 2) + (2 / 3) * torch.expm1(-1.5 * step)
        bracket = torch.where(step < SERIES_BELOW, series, plain)
        return bracket + (2 / 3) * torch.expm1(-2 * start) * torch.expm1(-1.5 * step)

    def describe(self) -> str:
        """Equation, marginals, source."""
        return (
            f"{self!r}\n  dx = -(beta/2) x dt + sqrt(beta (1 - exp(-2B))) dB,  beta(t) = "
            f"{self.schedule.formula()},  t in [0, {self.horizon:g}]\n"
            "  x_t | x_0 ~ N(exp(-B/2) x_0, (1 - exp(-B))^2 I),  B(t) = integral of beta,"
            f"  B(horizon) = {float(self.integrated_beta(self.horizon)):g}\n"
            "  source: Song et al., ICLR 2021, appendix B"
        )
