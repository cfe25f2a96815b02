"""Stochastic differential equations, and what a step of one looks like."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class SDE:
    r"""A law of motion from ``t`` down to ``s < t``.

    .. math:: dx = \text{drift}(x, t)\,d\tau + \text{diffusion}(t)\,dB_\tau,\quad \tau = -t

    Args:
        drift: ``drift(x, t)``, in the direction of integration (towards smaller ``t``).
        diffusion: ``diffusion(t)``, per square root of time; zero for an ordinary equation.
    """

    drift: Callable[[Tensor, float], Tensor]
    diffusion: Callable[[float], float]


@runtime_checkable
class Step(Protocol):
    """One step of a method: points at ``t`` in, points at ``s < t`` out.

    ``noise`` is standard normal and shaped like ``x``, or None for a step without noise. A method
    with a memory is an object that keeps it; make a new one for every trajectory.
    """

    def __call__(self, x: Tensor, t: float, s: float, noise: Tensor | None, /) -> Tensor:
        """The points at ``s``."""
        ...
