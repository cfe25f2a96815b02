"""Rates with closed-form integrals: ``beta(t)`` of the VP family, ``g^2(t)`` of the VE family.

Integrals and inverses keep their digits near ``t = 0`` and for small exponents (expm1, log1p).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wasserscore.process.quadrature import solve_increasing


class Schedule(ABC):
    """A non-negative rate of time."""

    least_time: ClassVar[float] = 0.0
    """Where time comes in steps: the end of the first."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""

    @abstractmethod
    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0 to ``t``."""

    @abstractmethod
    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral reaches ``total``."""

    @abstractmethod
    def formula(self) -> str:
        """The rate, as one reads it."""


@dataclass(frozen=True)
class Constant(Schedule):
    """``value``."""

    value: float

    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""
        return torch.full_like(t, self.value)

    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0."""
        return self.value * t

    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral is ``total``."""
        return total / self.value

    def formula(self) -> str:
        """The rate, as one reads it."""
        return f"{self.value:g}"


@dataclass(frozen=True)
class Polynomial(Schedule):
    """``scale (b + a t)^power`` with ``a > 0``, ``b >= 0``, ``power > -1``."""

    a: float
    b: float
    power: float
    scale: float = 1.0

    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""
        return self.scale * (self.b + self.a * t) ** self.power

    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0."""
        p, step = self.power + 1, self.a * t
        far = (self.b + step) ** p - self.b**p
        if self.b > 0:  # close to t = 0 the difference of powers would cancel
            near = self.b**p * torch.expm1(p * torch.log1p(step / self.b))
            far = torch.where(step < self.b, near, far)
        out: Tensor = self.scale / (self.a * p) * far
        return out

    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral is ``total``."""
        p = self.power + 1
        grown = self.a * p / self.scale * total
        far = (grown + self.b**p) ** (1 / p) - self.b
        if self.b > 0:
            near = self.b * torch.expm1(torch.log1p(grown / self.b**p) / p)
            far = torch.where(grown < self.b**p, near, far)
        out: Tensor = far / self.a
        return out

    def formula(self) -> str:
        """The rate, as one reads it."""
        base = f"{self.b:g} + {self.a:g} t"
        if self.power != 1:
            base = f"({base})^{self.power:g}"
        return base if self.scale == 1 else f"{self.scale:g} ({base})"


@dataclass(frozen=True)
class Exponential(Schedule):
    """``a exp(b t)`` with ``a, b > 0``."""

    a: float
    b: float

    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""
        return self.a * torch.exp(self.b * t)

    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0."""
        return self.a / self.b * torch.expm1(self.b * t)

    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral is ``total``."""
        return torch.log1p(self.b / self.a * total) / self.b

    def formula(self) -> str:
        """The rate, as one reads it."""
        return f"{self.a:g} exp({self.b:g} t)"


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""The rate whose signal factor is :math:`\cos(x_t)/\cos(x_0)`.

    .. math:: x_t = \tfrac{\pi}{2}\,(t + o)/(1 + o), \quad \beta(t) = \tfrac{\pi}{1+o}\tan x_t

    It diverges at ``t = 1``. The differences ``x_t - x_0`` are taken inside products of sines, so
    that small times keep their digits.
    """

    offset: float

    @property
    def speed(self) -> float:
        """``pi / (2 (1 + offset))``, angle per unit of time."""
        return math.pi / (2 * (1 + self.offset))

    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""
        return 2 * self.speed * torch.tan(self.speed * (t + self.offset))

    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0."""
        start, move = self.speed * self.offset, self.speed * t
        lost = 2 * torch.sin(start + move / 2) * torch.sin(move / 2) / math.cos(start)
        return -2 * torch.log1p(-lost)

    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral is ``total``."""
        start, gone = self.speed * self.offset, -torch.expm1(-total)
        sine2 = math.sin(start) ** 2 + math.cos(start) ** 2 * gone
        angle = torch.atan2(sine2.sqrt(), math.cos(start) * torch.exp(-total / 2))
        sum_sine = torch.sin(angle + start)
        return torch.asin(math.cos(start) ** 2 * gone / sum_sine) / self.speed

    def formula(self) -> str:
        """The rate, as one reads it."""
        return f"{2 * self.speed:g} tan({self.speed:g} (t + {self.offset:g}))"


@dataclass(frozen=True)
class Curved(Schedule):
    r"""Between two rates, linearly in :math:`e^{at}`.

    .. math:: \beta(t) = l + (h - l)\,(e^{a t} - 1)/(e^{a T} - 1)

    Source: the schedule family of Strasman et al. (TMLR 2025); ``a -> 0`` is the linear one.
    """

    low: float
    high: float
    curvature: float
    end: float

    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""
        share = torch.expm1(self.curvature * t) / math.expm1(self.curvature * self.end)
        return self.low + (self.high - self.low) * share

    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0."""
        x = self.curvature * t
        # expm1(x) - x, whose digits the subtraction would lose at small x
        series = x**2 * (
            0.5 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120 + x * (1 / 720 + x / 5040))))
        )
        excess = torch.where(x.abs() < 1e-2, series, torch.expm1(x) - x)
        scale = (self.high - self.low) / math.expm1(self.curvature * self.end)
        return self.low * t + scale * excess / self.curvature

    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral is ``total``."""
        top = self.end
        while float(self.integral(torch.tensor(top, dtype=torch.float64))) < float(total.max()):
            top *= 2
        return solve_increasing(
            self.integral, self.rate, total, torch.zeros_like(total), torch.full_like(total, top)
        )

    def formula(self) -> str:
        """The rate, as one reads it."""
        rise = f"expm1({self.curvature:g} t) / expm1({self.curvature * self.end:g})"
        return f"{self.low:g} + {self.high - self.low:g} {rise}"
