r"""Anybody's own :math:`dx = -f(t)\,x\,dt + g(t)\,dB`, with marginals by quadrature."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.process.base import Process, Time, as_time
from wasserscore.process.keywords import positive
from wasserscore.process.quadrature import Function, Panels, solve_increasing

LARGEST_H = 300.0
"""Beyond this signal shrinkage exp(2H) leaves the range of float64."""


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class LinearSDE(Process):
    """A process given by its two coefficients; integrals are right to 1e-10 or better.

    The coefficients are sampled once to lay adaptive 16-point Gauss-Legendre panels, so that every
    later integral is a table look-up and one rule. Jumps cost nothing; a root singularity at the
    data end (``g2 ~ t^-1/2``) costs digits, down to 1e-8; a worse one is refused.

    Args:
        f: Rate of the drift, a function of a float64 tensor of times (or a constant result).
        g2: Squared diffusion, likewise.
        horizon: Final time; times beyond it are refused.

    Raises:
        InputError: If a coefficient is negative or not finite, or cannot be integrated.
    """

    horizon: float
    _f: Function
    _g2: Function
    _panels: Panels
    _h: Function
    _total_g2: Function
    _ratio: Function
    _growth: Function

    def __init__(
        self, *, f: Callable[[Tensor], Any], g2: Callable[[Tensor], Any], horizon: float
    ) -> None:
        positive("LinearSDE", horizon=horizon)
        own_f, own_g2 = _checked("f", f), _checked("g2", g2)
        panels = Panels.fit([own_f, own_g2], horizon)
        total = float(panels.between(own_f, torch.tensor(0.0).double(),
                                     torch.tensor(horizon).double()))  # fmt: skip
        require(total < LARGEST_H, "LinearSDE: the integral of f must stay below 300",
                got=f"{total:.4g}", do="shorten the horizon")  # fmt: skip
        shrink = panels.cumulative(own_f)
        growth = lambda t: torch.exp(2 * shrink(t)) * own_g2(t)
        fine = Panels.fit([own_f, own_g2, growth], horizon)
        for name, value in {
            "horizon": float(horizon), "_f": own_f, "_g2": own_g2, "_panels": fine,
            "_h": fine.cumulative(own_f), "_total_g2": fine.cumulative(own_g2),
            "_ratio": fine.cumulative(growth), "_growth": growth,
        }.items():  # fmt: skip
            object.__setattr__(self, name, value)
        require(float(self._ratio(fine.edges[-1])) > 0, "LinearSDE: g2 must not vanish everywhere",
                got="no noise at the horizon")  # fmt: skip

    def _of(self, function: Function, t: Time) -> Tensor:
        """``function`` in float64, back in the dtype of ``t``; times outside are refused."""
        t = as_time(t)
        wide = t.to("cpu", torch.float64)
        inside = bool(((wide >= 0) & (wide <= self.horizon * (1 + 1e-6))).all())
        require(inside, f"LinearSDE: times must lie in [0, {self.horizon:g}]",
                got=f"{wide.min().item():g} to {wide.max().item():g}")  # fmt: skip
        return function(wide.clamp(max=self.horizon)).to(t.device, t.dtype)

    def f(self, t: Time) -> Tensor:
        """The user's ``f``."""
        return self._of(self._f, t)

    def g2(self, t: Time) -> Tensor:
        """The user's ``g2``."""
        return self._of(self._g2, t)

    def integrated_f(self, t: Time) -> Tensor:
        """``H`` by quadrature."""
        return self._of(self._h, t)

    def integrated_g2(self, t: Time) -> Tensor:
        """``G`` by quadrature."""
        return self._of(self._total_g2, t)

    def variance(self, t: Time) -> Tensor:
        """``exp(-2H) S``."""
        return self._of(lambda u: torch.exp(-2 * self._h(u)) * self._ratio(u), t)

    def noise_to_signal(self, t: Time) -> Tensor:
        """``S = int exp(2H) g2`` by quadrature."""
        return self._of(self._ratio, t)

    def time_at(self, noise_to_signal: Time) -> Tensor:
        """Root of ``S(t) = S``, bracketed by the panel it lies in."""
        target = as_time(noise_to_signal, "noise_to_signal")
        wide = target.to("cpu", torch.float64)
        edges = self._panels.edges
        values = self._ratio(edges)
        inside = bool(((wide >= 0) & (wide <= values[-1] * (1 + 1e-6))).all())
        require(inside, f"LinearSDE: noise_to_signal must lie in [0, {float(values[-1]):g}]",
                got=f"{wide.min().item():g} to {wide.max().item():g}",
                do="extend the horizon")  # fmt: skip
        wide = torch.minimum(wide, values[-1])
        panel = (torch.searchsorted(values, wide.contiguous()) - 1).clamp(0, len(edges) - 2)
        t = solve_increasing(self._ratio, self._growth, wide, edges[panel], edges[panel + 1])
        return torch.where(wide == 0, 0.0, t).to(target.device, target.dtype)

    def exponential_weight(self, t: Time, s: Time) -> Tensor:
        """``int_s^t exp(H(u) - H(s)) g2(u) du``, summed over panels."""
        start = as_time(s)

        def weight(upper: Tensor) -> Tensor:
            lower = start.to("cpu", torch.float64).expand(upper.shape)
            grown = lambda u: torch.exp(self._h(u) - self._h(lower)[..., None, None]) * self._g2(u)
            return self._panels.between(grown, lower, upper)

        upper = torch.broadcast_tensors(as_time(t), start)[0]
        return self._of(weight, upper)

    @property
    def parameters(self) -> dict[str, Any]:
        """The keywords of the call."""
        return {"f": self._f, "g2": self._g2, "horizon": self.horizon}

    def to_dict(self) -> dict[str, Any]:
        """Refused: functions cannot be stored as data.

        Raises:
            InputError: Always.
        """
        raise InputError(
            explain(
                "LinearSDE cannot be saved",
                got="coefficients that are functions",
                do="use a named family for models that are stored",
            )
        )

    def __repr__(self) -> str:
        return f"LinearSDE(f=..., g2=..., horizon={self.horizon:g})"

    def describe(self) -> str:
        """Equation, marginals, source."""
        return (
            f"{self!r}\n  dx = -f x dt + g dB, coefficients by the user,"
            f"  t in [0, {self.horizon:g}]\n"
            "  x_t | x_0 ~ N(exp(-H) x_0, exp(-2H) S I), H and S by Gauss-Legendre quadrature;"
            f"  S(horizon) = {float(self.noise_to_signal(self.horizon)):g}\n"
            "  source: user-defined coefficients"
        )


def _checked(name: str, function: Callable[[Tensor], Any]) -> Function:
    """The coefficient as a float64 tensor function that refuses negative and non-finite values."""
    require(callable(function), f"LinearSDE: {name} must be a function of time", got=function,
            do=f"pass {name}=lambda t: ...")  # fmt: skip

    def coefficient(t: Tensor) -> Tensor:
        value = torch.as_tensor(function(t), dtype=torch.float64).expand(t.shape)
        good = bool((torch.isfinite(value) & (value >= 0)).all())
        require(good, f"LinearSDE: {name}(t) must be finite and non-negative",
                got=value.min().item())  # fmt: skip
        return value

    return coefficient
