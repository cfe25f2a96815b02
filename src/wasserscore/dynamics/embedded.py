"""An adaptive Runge-Kutta pair in which every point has its own step size."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.tensors import expand_like

GROWTH = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.25, 1.6, 2.0, 3.0, 5.0)
"""Factors by which a step may change. A list, not a power of the error: comparing is exact, so a
point's steps do not depend on where it lies in a vector register."""


@dataclass(frozen=True)
class BogackiShampine:
    r"""From ``t`` to ``s`` by as many steps of the 3(2) pair as the tolerance asks.

    .. math::
        k_2 = v(y + \tfrac h2 k_1),\quad k_3 = v(y + \tfrac{3h}4 k_2),\quad
        y' = y + \tfrac h9 (2 k_1 + 3 k_2 + 4 k_3),\quad k_4 = v(y')

    with the error estimate :math:`h\,(-\tfrac5{72} k_1 + \tfrac1{12} k_2 + \tfrac19 k_3 -
    \tfrac18 k_4)`; a step is taken where its root mean square is below
    ``absolute + relative |y|``. Libraries share one step size among all points of a batch, so that
    a sample depends on its neighbours; here every row has its own, and rows that have arrived are
    not evaluated any more.
    Source: Bogacki, Shampine 1989; Hairer, Norsett, Wanner I, section II.4.

    Args:
        velocity: ``v(y, t)`` with one time per row.
        relative: Relative tolerance.
        absolute: Absolute tolerance, in the units of the points.
        most: Refuse to take more attempts than this per interval.
    """

    velocity: Callable[[Tensor, Tensor], Tensor]
    relative: float = 1e-3
    absolute: float = 1e-3
    most: int = 10_000

    def __call__(self, y: Tensor, t: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at ``s``; ``noise`` is not used.

        Raises:
            InputError: If the tolerance cannot be met.
        """
        y = y.clone()
        time = torch.full_like(y.flatten(1)[:, 0], t, dtype=torch.float64)
        h = torch.full_like(time, s - t)
        slope, factors = self.velocity(y, time), h.new_tensor(GROWTH)
        bounds = (0.9 / factors[1:].flip(0)) ** 3
        rows = torch.arange(len(y), device=y.device)
        for _ in range(self.most):
            moved, last, error = self._attempt(y[rows], time[rows], h[rows], slope[rows])
            good = error <= 1
            end = rows[good]
            arrived = h[end] == s - time[end]
            y[end], slope[end] = moved[good], last[good]
            time[end] = torch.where(arrived, torch.full_like(time[end], s), time[end] + h[end])
            choice = factors.flip(0)[torch.bucketize(error, bounds)]
            wished = h[rows] * torch.where(good, choice, choice.clamp_max(0.85))
            h[rows] = torch.where((s - time[rows]).abs() < wished.abs(), s - time[rows], wished)
            rows = rows[time[rows] != s]
            if len(rows) == 0:
                return y
        raise InputError(explain(f"the tolerance {self.relative:g} cannot be met",
                                 got=f"{self.most} attempts between {t:g} and {s:g}",
                                 do="loosen it, or check the score"))  # fmt: skip

    def _attempt(
        self, y: Tensor, time: Tensor, h: Tensor, k1: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The points one step on, their velocity there, and the error over the tolerance."""
        step = expand_like(h, y)
        k2 = self.velocity(y + step / 2 * k1, time + h / 2)
        k3 = self.velocity(y + 3 * step / 4 * k2, time + 3 * h / 4)
        moved = y + step * (2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3)
        k4 = self.velocity(moved, time + h)
        error = step * (-5 / 72 * k1 + 1 / 12 * k2 + 1 / 9 * k3 - 1 / 8 * k4)
        allowed = self.absolute + self.relative * torch.maximum(y.abs(), moved.abs())
        ratio = (error / allowed).flatten(1).to(torch.float64).square().mean(1).sqrt()
        return moved, k4, torch.nan_to_num(ratio, nan=torch.inf)
