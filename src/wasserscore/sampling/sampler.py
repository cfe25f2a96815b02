"""A score, a process, a solver and a grid: everything but the noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.typing import Noise, Points
from wasserscore.dynamics import Info, Step, TimeGrid, simulate
from wasserscore.process import Process
from wasserscore.sampling.law import Law, TiledScore
from wasserscore.sampling.solver import Solver
from wasserscore.sampling.table import solver as solver_named


@dataclass(frozen=True)
class Sampler:
    """The sampler of a score, with the noise handed in so that runs can share it.

    Args:
        score: Any callable ``(x, t)``.
        process: The forward process the score belongs to.
        solver: A solver or its name.
        grid: The times.
        eta: Stochasticity in [0, 1]; the solver's default if None.

    Raises:
        InputError: If the solver is unknown or does not take this ``eta``.
    """

    score: Callable[..., Tensor]
    process: Process
    solver: Solver | str
    grid: TimeGrid
    eta: float | None = None

    def __post_init__(self) -> None:
        method = solver_named(self.solver)
        object.__setattr__(self, "solver", method)
        object.__setattr__(self, "eta", method.eta(self.eta))

    @property
    def method(self) -> Solver:
        """The solver."""
        return solver_named(self.solver)

    @property
    def stochastic(self) -> bool:
        """Whether the run needs noise (a method that takes several does at any ``eta``)."""
        return bool(self.eta) or self.method.noises > 1

    @property
    def evaluations(self) -> int:
        """Score evaluations per sample."""
        return self.method.evaluations(self.grid)

    @cached_property
    def law(self) -> Law:
        """The reverse-time law, its score asked in fixed tiles."""
        return Law(TiledScore(self.score), self.process, float(self.eta or 0.0), self.grid)

    def from_noise(self, z: Points) -> Points:
        """Starting points from standard normal ``z``: the prior at the grid's first time."""
        return float(self.process.sigma(self.grid.start)) * z

    def stepper(self) -> Callable[[int, Tensor, Tensor | None], Tensor]:
        """``advance(k, x, z)`` for one trajectory, with the memory a multistep method needs.

        Call it with k = 0, 1, ..., K - 1 in this order, and make a new one for every trajectory.
        """
        step, times = self.method.start(self.law), self.grid.times.tolist()
        return lambda k, x, z: step(x, times[k], times[k + 1], self._checked(z))

    def step(self, k: int, x: Points, z: Tensor | None = None) -> Points:
        """Step ``k`` of a method without memory: points at ``times[k + 1]``.

        Args:
            k: The step, 0 to K - 1.
            x: Points at ``times[k]``.
            z: Standard normal like ``x``; may be None where ``eta`` is zero.

        Raises:
            InputError: If the method remembers earlier steps: use :meth:`stepper`.
        """
        require(not self.method.memory, f"{self.method.name} remembers earlier steps",
                got="a single step", do="use stepper() for a trajectory")  # fmt: skip
        return self._advance(k, x, z)

    @cached_property
    def _advance(self) -> Callable[[int, Tensor, Tensor | None], Tensor]:
        return self.stepper()

    @torch.no_grad()
    def run(
        self,
        x: Points,
        noise: Noise | None = None,
        callback: Callable[[Info], object] | None = None,
    ) -> Points:
        """Points at the end of the grid.

        Args:
            x: Points at the grid's start.
            noise: ``noise(k)`` for step ``k``, standard normal like ``x``; only asked when the
                method is stochastic at this ``eta``.
            callback: Called with an :class:`~wasserscore.dynamics.Info` after every step.
        """
        step: Step = self.method.start(self.law)
        if not self.stochastic:
            return simulate(step, x, self.grid, None, callback=callback)
        require(noise is not None, f"{self.method.name} with eta={self.eta} needs noise", got=None)
        return simulate(step, x, self.grid, noise, callback=callback)

    def _checked(self, z: Tensor | None) -> Tensor | None:
        if not self.stochastic:
            return None
        require(z is not None, f"{self.method.name} with eta={self.eta} needs noise", got=None)
        return z
