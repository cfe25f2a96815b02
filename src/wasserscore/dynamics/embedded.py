"""An adaptive Runge-Kutta pair in which every point has its own step size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.core.errors import InputError, explain
from wasserscore.core.tensors import expand_like
from wasserscore.dynamics.weighted import weighted_sum

GROWTH = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.25, 1.6, 2.0, 3.0, 5.0)
"""Factors by which a step may change. A list, not a power of the error: comparing is exact, so a
point's steps do not depend on where it lies in a vector register."""


class Tableau(NamedTuple):
    """Coefficients of an embedded pair whose last stage is the next step's first.

    Args:
        nodes: Of the stages after the first, in steps.
        stages: Weights of the slopes before each of them; the last are those of the result.
        error: Weights of all slopes in the error estimate.
        order: Of the error estimate's step size.
    """

    nodes: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]
    order: int


BOGACKI_SHAMPINE = Tableau(
    (1 / 2, 3 / 4, 1.0),
    ((1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (-5 / 72, 1 / 12, 1 / 9, -1 / 8),
    3,
)
"""3(2): cheap at loose tolerances. Bogacki, Shampine 1989."""
DORMAND_PRINCE = Tableau(
    (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    5,
)
"""5(4): for tight tolerances. Dormand, Prince 1980."""


@dataclass(frozen=True)
class Adaptive:
    r"""From ``t`` to ``s`` by as many steps of an embedded pair as the tolerance asks.

    .. math::
        k_i = v\bigl(y + h \sum_{j < i} a_{ij} k_j,\ t + c_i h\bigr), \qquad
        y' = y + h \sum_j b_j k_j, \qquad
        \text{error} = h \sum_j e_j k_j

    A step is taken where the error's root mean square is below ``absolute + relative |y|``.
    Libraries share one step size among all points of a batch, so that a sample depends on its
    neighbours; here every row has its own, and rows that have arrived are not evaluated any more.
    Source: Hairer, Norsett, Wanner I, section II.4.

    Args:
        velocity: ``v(y, t)`` with one time per row.
        relative: Relative tolerance.
        absolute: Absolute tolerance, in the units of the points.
        most: Refuse to take more attempts than this per interval.
        tableau: The pair.
    """

    velocity: Callable[[Tensor, Tensor], Tensor]
    relative: float = 1e-3
    absolute: float = 1e-3
    most: int = 10_000
    tableau: Tableau = BOGACKI_SHAMPINE

    def __call__(self, y: Tensor, t: float, s: float, noise: Tensor | None = None, /) -> Tensor:
        """The points at ``s``; ``noise`` is not used.

        Raises:
            InputError: If the tolerance cannot be met.
        """
        return self.through(y, (t, s))

    def through(self, y: Tensor, times: Sequence[float]) -> Tensor:
        """The points at the last of ``times``, by steps that end at every one of them.

        What one interval has evaluated at its end is not evaluated again for the next.

        Raises:
            InputError: If the tolerance cannot be met.
        """
        y = y.clone()
        slope = self.velocity(y, _each(times[0], y))
        for t, s in pairwise(times):
            self._between(y, slope, t, s)
        return y

    def _between(self, y: Tensor, slope: Tensor, t: float, s: float) -> None:
        """Take points and their slopes from ``t`` to ``s``, in place."""
        time, h = _each(t, y), _each(s - t, y)
        factors = h.new_tensor(GROWTH)
        bounds = (0.9 / factors[1:].flip(0)) ** self.tableau.order
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
                return
        tolerance = max(self.relative, self.absolute)
        raise InputError(explain(f"the tolerance {tolerance:g} cannot be met",
                                 got=f"{self.most} attempts between {t:g} and {s:g}",
                                 do="loosen it, or check the score"))  # fmt: skip

    def _attempt(
        self, y: Tensor, time: Tensor, h: Tensor, k1: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The points one step on, their velocity there, and the error over the tolerance."""
        step, slopes, moved = expand_like(h, y), [k1], y
        for node, weights in zip(self.tableau.nodes, self.tableau.stages, strict=True):
            moved = y + step * weighted_sum(*zip(weights, slopes, strict=True))
            slopes.append(self.velocity(moved, time + node * h))
        error = step * weighted_sum(*zip(self.tableau.error, slopes, strict=True))
        allowed = self.absolute + self.relative * torch.maximum(y.abs(), moved.abs())
        ratio = (error / allowed).flatten(1).to(torch.float64).square().mean(1).sqrt()
        return moved, slopes[-1], torch.nan_to_num(ratio, nan=torch.inf)


def _each(number: float, y: Tensor) -> Tensor:
    """The number for every row, float64."""
    return torch.full_like(y.flatten(1)[:, 0], number, dtype=torch.float64)
