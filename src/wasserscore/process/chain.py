r"""The rate of a discrete chain of noising steps, made continuous without moving its marginals.

A chain :math:`x_{k+1} = \sqrt{1 - \beta_k}\, x_k + \sqrt{\beta_k}\, z` has after k steps the
signal factor :math:`\prod_{i<k} (1 - \beta_i)^{1/2}`. The rate :math:`-\ln(1 - \beta_k)` on
:math:`[k, k + 1)` passes through exactly these at integer times; in between, the logarithm of the
signal factor is linear.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.process.schedule import Schedule


@dataclass(frozen=True)
class Chain(Schedule):
    """Constant on every unit of time; after the last step the rate stays.

    Args:
        betas: Of the steps, in (0, 1).
    """

    betas: tuple[float, ...]
    least_time: ClassVar[float] = 1.0

    @cached_property
    def _rates(self) -> Float[Tensor, " k"]:
        return -torch.log1p(-torch.tensor(self.betas, dtype=torch.float64))

    @cached_property
    def _totals(self) -> Float[Tensor, " k"]:
        """The integral up to the start of every step."""
        return torch.cat([self._rates.new_zeros(1), self._rates.cumsum(0)[:-1]])

    def _step(self, t: Tensor) -> Tensor:
        return t.detach().floor().long().clamp(0, len(self.betas) - 1)

    def rate(self, t: Tensor) -> Tensor:
        """The rate at ``t``."""
        return self._rates.to(t)[self._step(t)]

    def integral(self, t: Tensor) -> Tensor:
        """The rate integrated from 0 to ``t``."""
        k = self._step(t)
        return self._totals.to(t)[k] + self._rates.to(t)[k] * (t - k)

    def inverse(self, total: Tensor) -> Tensor:
        """The time at which the integral reaches ``total``."""
        totals = self._totals.to(total)
        k = (torch.searchsorted(totals, total.detach(), right=True) - 1).clamp_min(0)
        return k + (total - totals[k]) / self._rates.to(total)[k]

    def formula(self) -> str:
        """The rate, as one reads it."""
        return f"-log(1 - beta_k) on [k, k + 1), k = 0, ..., {len(self.betas) - 1}"
