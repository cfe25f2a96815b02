r"""Variance preserving: :math:`dx = -\tfrac{\beta}{2} x\,dt + \sqrt{\beta}\,dB`.

.. math:: x_t \mid x_0 \sim N(e^{-B/2} x_0, (1 - e^{-B}) I), \quad B(t) = \int_0^t \beta,
          \quad S = e^B - 1
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.process.base import Time, as_time
from wasserscore.process.chain import Chain
from wasserscore.process.keywords import named, non_negative, positive
from wasserscore.process.schedule import (
    Constant,
    Cosine,
    Curved,
    Exponential,
    Polynomial,
    Schedule,
)
from wasserscore.process.scheduled import Recipe, Scheduled, check_shape
from wasserscore.process.ve import check_polynomial


@dataclass(frozen=True, kw_only=True, repr=False)
class VP(Scheduled):
    """Variance preserving process; make one with the factories.

    Unit-variance data keep unit variance at all times.

    Source: :cite:p:`gao2025`, section 4; :cite:p:`ho2020` and :cite:p:`song2021` for the linear
    one.
    """

    @classmethod
    @named
    def constant(cls, *, beta: float, horizon: float | None = None) -> "VP":
        r""":math:`\beta(t) = \beta`."""
        positive("VP.constant", beta=beta)
        return cls.make(Constant(beta), horizon, Recipe("constant", {"beta": beta}))

    @classmethod
    @named
    def linear(cls, *, a: float, b: float, horizon: float | None = None) -> "VP":
        r""":math:`\beta(t) = b + a t` with ``a > 0``: ``b`` is the rate at the data."""
        positive("VP.linear", "for a = 0 use VP.constant(beta=)", a=a)
        non_negative("VP.linear", b=b)
        return cls.make(Polynomial(a, b, 1.0), horizon, Recipe("linear", {"a": a, "b": b}))

    @classmethod
    @named
    def polynomial(cls, *, a: float, b: float, rho: float, horizon: float | None = None) -> "VP":
        r""":math:`\beta(t) = (b + a t)^\rho`."""
        check_polynomial("VP.polynomial", a, b, rho, "rho", "VP.constant(beta=)")
        recipe = Recipe("polynomial", {"a": a, "b": b, "rho": rho})
        return cls.make(Polynomial(a, b, rho), horizon, recipe)

    @classmethod
    @named
    def exponential(cls, *, a: float, b: float, horizon: float | None = None) -> "VP":
        r""":math:`\beta(t) = a e^{b t}`; ``b > 0``."""
        positive("VP.exponential", "for b = 0 use VP.constant(beta=)", a=a, b=b)
        return cls.make(Exponential(a, b), horizon, Recipe("exponential", {"a": a, "b": b}))

    @classmethod
    @named
    def from_betas(
        cls, *, beta_min: float, beta_max: float, shape: str = "linear",
        order: float | None = None, horizon: float = 1.0,
    ) -> "VP":  # fmt: skip
        r"""From the rates at ``t = 0`` and ``t = 1``.

        ============  ====================================================================
        linear        :math:`\beta = l + (h - l)\,t`
        polynomial    :math:`\beta = (l^{1/r} + (h^{1/r} - l^{1/r})\,t)^r`, ``order`` r
        exponential   :math:`\beta = l\,(h/l)^t`
        constant      :math:`\beta = l = h`
        ============  ====================================================================

        Source: :cite:p:`gao2025`, section 4.1. These are continuous rates: multiply the
        per-step betas of a discrete chain by its number of steps.

        Args:
            beta_min: Rate at the data, positive.
            beta_max: Rate at ``t = 1``, larger (equal for the constant shape).
            shape: How the rate grows.
            order: Of the polynomial shape only.
            horizon: Final time; 1 reaches ``beta_max``.
        """
        name = "VP.from_betas"
        check_shape(name, shape, order, ("linear", "polynomial", "exponential", "constant"))
        positive(name, beta_min=beta_min, beta_max=beta_max)
        schedule: Schedule
        if shape == "constant":
            require(beta_min == beta_max, f"{name}: the constant shape has one rate", got=beta_max,
                    do="use VP.constant(beta=)")  # fmt: skip
            schedule = Constant(beta_max)
        else:
            require(beta_max > beta_min, f"{name}: beta_max must exceed beta_min", got=beta_max)
            if shape == "exponential":
                schedule = Exponential(beta_min, math.log(beta_max / beta_min))
            else:
                r = 1.0 if order is None else float(order)
                low, high = beta_min ** (1 / r), beta_max ** (1 / r)
                schedule = Polynomial(high - low, low, r)
        keywords = {"beta_min": beta_min, "beta_max": beta_max, "shape": shape, "order": order}
        return cls.make(schedule, horizon, Recipe("from_betas", keywords))

    @classmethod
    @named
    def cosine(cls, *, offset: float = 0.008, horizon: float | None = None) -> "VP":
        r""":math:`\alpha_t = \cos(x_t)/\cos(x_0)`, :math:`x_t = \frac{\pi}{2}\frac{t+o}{1+o}`.

        The rate diverges at ``t = 1``; the default horizon stops where S = 1e4 (t = 0.994).

        Source: Nichol and Dhariwal, "Improved denoising diffusion probabilistic models" (2021),
        eq. (17), in continuous time.
        """
        positive("VP.cosine", offset=offset)
        if horizon is not None:
            require(horizon < 1, "VP.cosine: horizon must be below 1", got=horizon)
        recipe = Recipe("cosine", {"offset": offset}, "Nichol and Dhariwal, ICML 2021, eq. (17)")
        return cls.make(Cosine(offset), horizon, recipe)

    @classmethod
    @named
    def chain(cls, *, betas: Sequence[float], horizon: float | None = None) -> "VP":
        r"""A discrete chain of ``len(betas)`` steps: at time k its marginals after k steps.

        .. math:: \alpha_k^2 = \prod_{i < k} (1 - \beta_i)

        What diffusers calls timestep k is the time k + 1. The horizon is the chain's end unless
        told.

        Source: :cite:p:`ho2020`, eqs. (2) and (4).

        Args:
            betas: Variance added in every step, in (0, 1).
            horizon: Final time, at most the number of steps.
        """
        name, given = "VP.chain", tuple(float(b) for b in betas)
        require(len(given) > 0 and all(0 < b < 1 for b in given),
                f"{name}: betas must lie between 0 and 1, one per step",
                got=[b for b in given if not 0 < b < 1][:5],
                do="leave out steps that end in pure noise (beta = 1)")  # fmt: skip
        end = float(len(given)) if horizon is None else horizon
        require(end <= len(given), f"{name}: the horizon must lie inside the chain", got=end)
        source = "Ho, Jain and Abbeel, NeurIPS 2020, with rates constant within a step"
        return cls.make(Chain(given), end, Recipe("chain", {"betas": list(given)}, source))

    @classmethod
    @named
    def strasman(
        cls, *, beta_min: float, beta_max: float, curvature: float, horizon: float = 1.0
    ) -> "VP":
        r""":math:`\beta = l + (h - l)(e^{at} - 1)/(e^{aT} - 1)`: one knob bends the schedule.

        ``curvature`` a > 0 spends its time at small rates, a < 0 at large ones, a -> 0 is linear.

        Source: Strasman et al., "An analysis of the noise schedule for score-based generative
        models" (TMLR 2025), with stationary standard deviation 1.
        """
        name = "VP.strasman"
        positive(name, beta_min=beta_min, beta_max=beta_max, horizon=horizon)
        require(beta_max > beta_min, f"{name}: beta_max must exceed beta_min", got=beta_max)
        require(math.isfinite(curvature) and curvature != 0, f"{name}: curvature must not be 0",
                got=curvature, do="use VP.from_betas(shape='linear')")  # fmt: skip
        keywords = {"beta_min": beta_min, "beta_max": beta_max, "curvature": curvature}
        schedule = Curved(beta_min, beta_max, curvature, horizon)
        return cls.make(
            schedule, horizon, Recipe("strasman", keywords, "Strasman et al., TMLR 2025")
        )

    def integrated_beta(self, t: Time) -> Tensor:
        r""":math:`B(t) = \int_0^t \beta`."""
        return self.schedule.integral(as_time(t))

    def f(self, t: Time) -> Tensor:
        """``beta / 2``."""
        return self.g2(t) / 2

    def g2(self, t: Time) -> Tensor:
        """``beta``."""
        return self.schedule.rate(as_time(t))

    def integrated_f(self, t: Time) -> Tensor:
        """``B / 2``."""
        return self.integrated_beta(t) / 2

    def integrated_g2(self, t: Time) -> Tensor:
        """``B``."""
        return self.integrated_beta(t)

    def variance(self, t: Time) -> Tensor:
        """``1 - exp(-B)``."""
        return -torch.expm1(-self.integrated_beta(t))

    def noise_to_signal(self, t: Time) -> Tensor:
        """``exp(B) - 1``."""
        return torch.expm1(self.integrated_beta(t))

    def time_at(self, noise_to_signal: Time) -> Tensor:
        """The time at which ``B = log(1 + S)``."""
        return self.schedule.inverse(torch.log1p(as_time(noise_to_signal, "noise_to_signal")))

    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        """``2 (exp((B_t - B_s)/2) - 1)``."""
        return 2 * torch.expm1(self.integrated_f(t) - self.integrated_f(s))

    def describe(self) -> str:
        """Equation, marginals, source."""
        return (
            f"{self!r}\n  dx = -(beta/2) x dt + sqrt(beta) dB,  beta(t) = "
            f"{self.schedule.formula()},  t in [0, {self.horizon:g}]\n"
            "  x_t | x_0 ~ N(exp(-B/2) x_0, (1 - exp(-B)) I),  B(t) = integral of beta,"
            f"  B(horizon) = {float(self.integrated_beta(self.horizon)):g}\n"
            f"  source: {self.recipe.source}"
        )
