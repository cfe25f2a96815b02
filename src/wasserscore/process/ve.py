r"""Variance exploding: :math:`dx = g(t)\,dB`, the signal stays and the noise grows.

.. math:: x_t \mid x_0 \sim N(x_0, G(t) I), \quad G(t) = \int_0^t g^2 = S(t) = \sigma_t^2
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.process.base import Time, as_time
from wasserscore.process.keywords import named, non_negative, positive
from wasserscore.process.schedule import Constant, Exponential, Polynomial, Schedule
from wasserscore.process.scheduled import Recipe, Scheduled, check_shape


@dataclass(frozen=True, kw_only=True, repr=False)
class VE(Scheduled):
    """Variance exploding process; make one with the factories.

    Source: :cite:p:`gao2025`, section 4 (constant, sqrt, polynomial, exponential);
    :cite:p:`song2021` for the exponential one.
    """

    @classmethod
    @named
    def constant(cls, *, a: float, horizon: float | None = None) -> "VE":
        r""":math:`g = a`, :math:`\sigma_t^2 = a^2 t`."""
        positive("VE.constant", a=a)
        return cls.make(Constant(a**2), horizon, Recipe("constant", {"a": a}))

    @classmethod
    @named
    def sqrt(cls, *, a: float, horizon: float | None = None) -> "VE":
        r""":math:`g = \sqrt{2 a t}`, :math:`\sigma_t^2 = a t^2`."""
        positive("VE.sqrt", a=a)
        return cls.make(Polynomial(2 * a, 0.0, 1.0), horizon, Recipe("sqrt", {"a": a}))

    @classmethod
    @named
    def polynomial(cls, *, a: float, b: float, c: float, horizon: float | None = None) -> "VE":
        r""":math:`g = (b + a t)^c`.

        .. math:: \sigma_t^2 = [(b + a t)^{2c+1} - b^{2c+1}] / (a (2c + 1))

        Raises:
            InputError: If ``a <= 0``, ``b < 0``, ``2c + 1 <= 0`` (the noise would stay bounded),
                or ``b = 0`` with negative ``c`` (infinite diffusion at the data).
        """
        check_polynomial("VE.polynomial", a, b, 2 * c, "c", "VE.constant(a=)")
        recipe = Recipe("polynomial", {"a": a, "b": b, "c": c})
        return cls.make(Polynomial(a, b, 2 * c), horizon, recipe)

    @classmethod
    @named
    def exponential(cls, *, a: float, b: float, horizon: float | None = None) -> "VE":
        r""":math:`g = a e^{b t}`, :math:`\sigma_t^2 = a^2 (e^{2 b t} - 1)/(2 b)`; ``b > 0``."""
        positive("VE.exponential", "for b = 0 use VE.constant(a=)", a=a, b=b)
        recipe = Recipe("exponential", {"a": a, "b": b})
        return cls.make(Exponential(a**2, 2 * b), horizon, recipe)

    @classmethod
    @named
    def from_sigmas(
        cls, *, sigma_min: float, sigma_max: float, shape: str = "exponential",
        order: float | None = None, horizon: float = 1.0,
    ) -> "VE":  # fmt: skip
        r"""From the noise levels at ``t = 0`` and ``t = 1``.

        The kernel variance is :math:`\sigma(t)^2 - \sigma(0)^2`, so :math:`g^2` is its derivative:

        ============  ==============================================================
        exponential   :math:`\sigma = l\,(h/l)^t`
        constant      :math:`\sigma^2 = l^2 + (h^2 - l^2)\,t`
        sqrt          :math:`\sigma^2 = l^2 + (h^2 - l^2)\,t^2`
        polynomial    :math:`\sigma = (l^{1/r} + (h^{1/r} - l^{1/r})\,t)^r`, ``order`` r
        ============  ==============================================================

        Source: :cite:p:`gao2025`, section 4.1. The authors' program uses the exponential type's
        :math:`g` for all four; these are the coefficients that belong to each.

        Args:
            sigma_min: :math:`l`, in data units, positive.
            sigma_max: :math:`h`, larger.
            shape: How the level grows.
            order: Of the polynomial shape only.
            horizon: Final time; 1 reaches ``sigma_max``.
        """
        name = "VE.from_sigmas"
        check_shape(name, shape, order, ("constant", "sqrt", "polynomial", "exponential"))
        positive(name, sigma_min=sigma_min, sigma_max=sigma_max)
        require(sigma_max > sigma_min, f"{name}: sigma_max must exceed sigma_min", got=sigma_max)
        spread = sigma_max**2 - sigma_min**2
        schedule: Schedule
        if shape == "exponential":
            log_ratio = math.log(sigma_max / sigma_min)
            schedule = Exponential(2 * log_ratio * sigma_min**2, 2 * log_ratio)
        elif shape == "constant":
            schedule = Constant(spread)
        elif shape == "sqrt":
            schedule = Polynomial(2 * spread, 0.0, 1.0)
        else:
            r = float(order or 0)
            low, high = sigma_min ** (1 / r), sigma_max ** (1 / r)
            schedule = Polynomial(high - low, low, 2 * r - 1, scale=2 * r * (high - low))
        keywords = {"sigma_min": sigma_min, "sigma_max": sigma_max, "shape": shape, "order": order}
        return cls.make(schedule, horizon, Recipe("from_sigmas", keywords))

    def f(self, t: Time) -> Tensor:
        """Zero: the signal is kept."""
        return torch.zeros_like(as_time(t))

    def g2(self, t: Time) -> Tensor:
        """The schedule: ``g^2(t)``."""
        return self.schedule.rate(as_time(t))

    def integrated_f(self, t: Time) -> Tensor:
        """Zero."""
        return torch.zeros_like(as_time(t))

    def integrated_g2(self, t: Time) -> Tensor:
        """``G(t)``, the schedule's integral."""
        return self.schedule.integral(as_time(t))

    def variance(self, t: Time) -> Tensor:
        """``G(t)``."""
        return self.integrated_g2(t)

    def noise_to_signal(self, t: Time) -> Tensor:
        """``G(t)``."""
        return self.integrated_g2(t)

    def time_at(self, noise_to_signal: Time) -> Tensor:
        """The inverse of ``G``."""
        return self.schedule.inverse(as_time(noise_to_signal, "noise_to_signal"))

    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        """``G(t) - G(s)``."""
        return self.integrated_g2(t) - self.integrated_g2(s)

    def describe(self) -> str:
        """Equation, marginals, source."""
        return (
            f"{self!r}\n  dx = g dB,  g(t)^2 = {self.schedule.formula()},"
            f"  t in [0, {self.horizon:g}]\n"
            f"  x_t | x_0 ~ N(x_0, G(t) I),  G(t) = integral of g^2,"
            f"  G(horizon) = {float(self.variance(self.horizon)):g}\n"
            f"  source: {self.recipe.source}"
        )


def check_polynomial(family: str, a: float, b: float, power: float, key: str, do: str) -> None:
    """Refuse the polynomial coefficients for which the closed forms do not hold."""
    positive(family, f"for a = 0 use {do}", a=a)
    non_negative(family, b=b)
    grows = math.isfinite(power) and power > -1
    require(grows, f"{family}: the integral of the rate must grow without bound",
            got=f"exponent {power:g} from {key}", do=f"raise {key}")  # fmt: skip
    require(b > 0 or power >= 0, f"{family}: b must be positive when {key} is negative", got=b)
