"""The one loop that carries points along a grid."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from wasserscore.core.typing import Noise
from wasserscore.dynamics.grid import TimeGrid
from wasserscore.dynamics.sde import Step


class Info(NamedTuple):
    """What an observer sees after a step."""

    k: int
    """The step just done, counted from 0."""
    steps: int
    """How many there will be."""
    t: float
    """Where the step began."""
    s: float
    """Where it ended."""
    x: Tensor
    """The points at ``s``."""


def simulate(
    step: Step,
    x: Tensor,
    grid: TimeGrid,
    noise: Noise | None,
    *,
    callback: Callable[[Info], object] | None = None,
) -> Tensor:
    """The points at the end of the grid.

    Args:
        step: The method; one with a memory must be fresh.
        x: Points at ``grid.start``, shape ``(b, *d)``.
        grid: The times.
        noise: ``noise(k)``, standard normal like ``x``, or None for a method without noise.
        callback: Called with an :class:`Info` after every step.
    """
    for k, t, s in grid.pairs():
        x = step(x, t, s, None if noise is None else noise(k))
        if callback is not None:
            callback(Info(k, grid.steps, t, s, x))
    return x
