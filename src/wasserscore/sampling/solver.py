"""What a solver is: a name, its facts, and either coefficients or a step of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.numbers import is_number
from wasserscore.dynamics import Affine, Coefficients, Step, TimeGrid
from wasserscore.process import Process
from wasserscore.sampling.law import Law

Time = float | Tensor
"""One time, or a tensor of times."""


@dataclass(frozen=True)
class Solver:
    """A method that carries points from noise to data.

    Exactly one of ``coefficients`` and ``build`` is given.

    Args:
        name: What users write.
        order: Order of convergence of the law it samples, in the number of steps.
        evaluations_per_step: Score evaluations of one step (a step that ends without noise makes
            one, see :meth:`evaluations`).
        default_eta: Stochasticity when the user names none.
        source: Where the method comes from.
        stochastic: Whether ``eta`` may be above zero (and noise is then used).
        coefficients: ``coefficients(process, t, s, eta)`` of a method with one evaluation per
            step, so that ``x_s = e x_t + q score(x_t, t) + sqrt(n) z``.
        build: ``build(law)``, a fresh step for one trajectory.
        memory: Whether the step remembers earlier evaluations, so that it needs a fresh one for
            every trajectory (a multistep method).
        noises: How many noise tensors one step takes; above one they are stacked in front.
        eta_law: Whether finer and finer grids lead to the law of the reverse process at noise
            level ``eta``. A method that does not say so is not taken to.
    """

    name: str
    order: int
    evaluations_per_step: int
    default_eta: float
    source: str
    stochastic: bool = True
    coefficients: Callable[[Process, Time, Time, float], Coefficients] | None = None
    build: Callable[[Law], Step] | None = None
    memory: bool = False
    noises: int = 1
    eta_law: bool = False

    def __post_init__(self) -> None:
        one = (self.coefficients is None) != (self.build is None)
        require(one, "a solver has either coefficients or a step of its own", got=self.name)

    def eta(self, eta: float | None) -> float:
        """The stochasticity to use: the one asked for, or the default.

        Raises:
            InputError: If it lies outside [0, 1], or above zero for a deterministic method.
        """
        if eta is None:
            return self.default_eta
        require(is_number(eta) and 0 <= eta <= 1, "eta must lie in [0, 1]", got=eta,
                do="0 is the probability flow, 1 the reverse SDE")  # fmt: skip
        require(self.stochastic or eta == 0, f"{self.name} is deterministic, eta must be 0",
                got=eta, do="solvers() lists the methods that take eta")  # fmt: skip
        return float(eta)

    def evaluations(self, grid: TimeGrid) -> int:
        """Score evaluations per sample along ``grid``; none is ever made without noise."""
        spared = self.evaluations_per_step - 1 if grid.stop == 0 else 0
        return self.evaluations_per_step * grid.steps - spared

    def start(self, law: Law) -> Step:
        """A fresh step for one trajectory of ``law``."""
        if self.build is not None:
            return self.build(law)
        assert self.coefficients is not None
        times = law.grid.times
        e, q, n = self.coefficients(law.process, times[:-1], times[1:], law.eta)
        rows = zip(e.tolist(), q.tolist(), n.clamp_min(0).sqrt().tolist(), strict=True)
        table = dict(zip(times[:-1].tolist(), rows, strict=True))
        return Affine(law.score, lambda t, s: table[t])
