"""Integrals by Gauss-Legendre panels fitted to the integrand, and roots of rising functions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain

Function = Callable[[Tensor], Tensor]
ORDER = 16
MAX_PANELS = 2000
_NODES, _WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(ORDER))


def gauss_legendre(function: Function, low: Tensor, high: Tensor) -> Tensor:
    """Integral of a vectorised ``function`` over each ``[low, high]`` by one 16-point rule."""
    half = (high - low) / 2
    nodes = (low + half).unsqueeze(-1) + half.unsqueeze(-1) * _NODES
    return half * (function(nodes) * _WEIGHTS).sum(-1)


@dataclass(frozen=True)
class Panels:
    """Intervals on each of which one 16-point rule integrates a function to full accuracy."""

    edges: Tensor

    @classmethod
    def fit(cls, functions: list[Function], end: float, tolerance: float = 1e-13) -> "Panels":
        """Halve [0, end] until halving again changes no integral by more than ``tolerance``.

        The tolerance is relative to the integral of the absolute value over [0, end], per panel.

        Raises:
            InputError: If the functions are too rough (a non-integrable singularity).
        """
        edges = torch.linspace(0, end, 9, dtype=torch.float64)
        while True:
            low, high = edges[:-1], edges[1:]
            middle = (low + high) / 2
            rough = torch.zeros_like(low, dtype=torch.bool)
            lost = torch.zeros_like(rough)
            for function in functions:
                whole = gauss_legendre(function, low, high)
                halves = gauss_legendre(function, low, middle) + gauss_legendre(
                    function, middle, high
                )
                scale = halves.abs().sum().clamp_min(torch.finfo(torch.float64).tiny)
                error = (whole - halves).abs()
                # a panel near 0 must also be right relative to its own small integral
                rough |= (error > tolerance * scale) | (error > 1e-11 * halves.abs())
                lost |= error > 1e-8 * scale
            # below this width a jump or a root singularity no longer moves the total
            wide = (high - low) > 1e-14 * end
            rough, lost = rough & wide, lost & ~wide
            if len(edges) > MAX_PANELS or lost.any():
                where = float(middle[rough | lost][0])
                raise InputError(
                    explain(
                        "the coefficients cannot be integrated to 1e-10",
                        got=f"trouble near t = {where:.3g}",
                        do="remove the singularity or shorten the horizon",
                    )
                )
            if not rough.any():
                return cls(edges)
            edges = torch.cat([edges, middle[rough]]).sort().values

    def locate(self, t: Tensor) -> Tensor:
        """The panel each ``t`` lies in."""
        index = torch.searchsorted(self.edges, t.contiguous(), right=True) - 1
        return index.clamp(0, len(self.edges) - 2)

    def cumulative(self, function: Function) -> Function:
        """``t -> integral of function from 0 to t``: whole panels from a table, then one rule."""
        whole = gauss_legendre(function, self.edges[:-1], self.edges[1:])
        table = torch.cat([torch.zeros(1, dtype=torch.float64), whole.cumsum(0)])

        def integral(t: Tensor) -> Tensor:
            panel = self.locate(t)
            return table[panel] + gauss_legendre(function, self.edges[panel], t)

        return integral

    def between(self, function: Function, low: Tensor, high: Tensor) -> Tensor:
        """Integral over ``[low, high]``, a sum of pieces: no difference of integrals cancels."""
        low, high = torch.broadcast_tensors(low, high)
        starts, ends = self.edges[:-1], self.edges[1:]
        a = torch.maximum(low.unsqueeze(-1), starts)
        b = torch.minimum(high.unsqueeze(-1), ends)
        return gauss_legendre(function, a, torch.maximum(a, b)).sum(-1)


def solve_increasing(
    function: Function, slope: Function, target: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Where a rising ``function`` reaches ``target``: Newton inside a shrinking bracket."""
    x = (low + high) / 2
    for _ in range(200):
        gap = function(x) - target
        low, high = torch.where(gap < 0, x, low), torch.where(gap < 0, high, x)
        newton = x - gap / slope(x)
        inside = (newton > low) & (newton < high)
        step = torch.where(inside, newton, (low + high) / 2)
        if bool(((step - x).abs() <= 1e-15 * step.abs()).all()):
            return step
        x = step
    return x
