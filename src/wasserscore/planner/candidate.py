"""One way to sample: a process, a solver and a kind of grid; and how few steps it needs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from wasserscore.core.errors import InputError
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.density import StepDensity, optimal_density
from wasserscore.planner.split import Split, split, start_error
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM, Process, from_dict
from wasserscore.sampling import Solver, time_grid

GRIDS = ("uniform", "logsnr", "karras", "optimal")
FEW = 32
"""So many steps are tried at once; more are reached by doubling."""
LAST_STEP_SHARE = 0.1
"""Share of the target that the jump from the least noise to zero may cost."""
LATTICE = 0.5
"""Spacing of log S between horizons: halfway is within 3 % of the best cost."""


@dataclass(frozen=True)
class Trial:
    """What one number of steps gives."""

    steps: int
    grid: TimeGrid
    split: Split


@dataclass(frozen=True)
class Candidate:
    """A process, a solver and a kind of grid, judged on a surrogate for a target.

    Args:
        surrogate: The Gaussian stand-in for the data.
        process: The forward process; its horizon is the longest that may be used.
        solver: The solver, at its stochasticity ``eta``.
        eta: Stochasticity.
        kind: One of :data:`GRIDS`.
        target: The W2 to reach, in data units.
        score_error: Bound on the L2 norm of the score's error.
        densities: Step densities found so far, shared by the candidates of one plan.
        fixed_horizon: Whether the process keeps its horizon when it is handed over (it was the
            user's), or is remade with the one chosen.
    """

    surrogate: Surrogate
    process: Process
    solver: Solver
    eta: float
    kind: str
    target: float
    densities: dict[tuple[Process, float], StepDensity] = field(default_factory=dict)
    score_error: float = 0.0
    fixed_horizon: bool = True

    def evaluations(self, steps: int) -> int:
        """Score evaluations per sample."""
        return self.solver.evaluations_per_step * (steps - 1) + 1

    def fewest_steps(self, most: int) -> Trial | None:
        """The smallest number of steps that reaches the target, None if more than ``most``.

        Every trial is exact for the surrogate, at the horizon that minimises start plus
        discretisation *apart*: where their signs differ, a minimiser of the sum would find a
        spurious zero. The error can also cross zero as the steps grow: a number of steps counts
        only if a quarter more of them reaches the target too.
        """
        low, near, trial = 0, None, None
        steps = most if most <= FEW else FEW
        while trial is None:
            trial, near = self._reaches(steps, near)
            if trial is None and steps >= most:
                return None
            if trial is None:
                low, steps = steps, min(2 * steps, most)
        best = trial
        # errors fall like a power of the steps: guess by it, and halve where the guess is poor
        guess = steps * (trial.split.w2 / self.target) ** (1 / self.solver.order)
        while best.steps - low > 1:
            steps = min(max(round(guess), low + 1), best.steps - 1)
            trial, near = self._reaches(steps, near)
            if trial is None:
                low = steps
                guess = (low + best.steps) / 2 if low + 2 < best.steps else low + 1
            else:
                best = trial
                guess = low + (best.steps - low) * min(0.9, max(0.5, best.split.w2 / self.target))
        return best

    def _reaches(self, steps: int, near: int | None) -> tuple[Trial | None, int]:
        """The trial if it meets the target and so does one with a quarter more steps."""
        trial, near = self._trial(steps, near)
        if trial is None or trial.split.w2 > self.target:
            return None, near
        after, _ = self._trial(steps + max(1, steps // 4), near)
        return (trial if after is not None and after.split.w2 <= self.target else None), near

    def at(self, steps: int) -> Trial | None:
        """The best trial with this number of steps."""
        return self._trial(steps, None)[0]

    def handed_over(self, grid: TimeGrid) -> Process:
        """The process to use: the user's own, or ours with the horizon the plan chose."""
        if self.fixed_horizon:
            return self.process
        if isinstance(self.process, EDM):
            return replace(self.process, sigma_max=grid.start)
        return from_dict({**self.process.to_dict(), "horizon": grid.start})

    def _trial(self, steps: int, near: int | None) -> tuple[Trial | None, int]:
        """The best horizon for ``steps`` on a lattice of log S; ``near`` is an earlier optimum."""
        seen: dict[int, Trial | None] = {}

        def cost(mark: int) -> float:
            if mark not in seen:
                inside = low <= mark <= high
                seen[mark] = self._evaluate(steps, mark) if inside else None
            trial = seen[mark]
            return math.inf if trial is None else trial.split.apart

        low, high = self._range
        if near is None:
            near = min(range(low, high + 1, 4), key=cost)
            near = min((near - 2, near, near + 2), key=cost)
        best = min((near - 1, near, near + 1), key=cost)
        while best != near:
            near, best = best, min((2 * best - near, best), key=cost)
        return seen[best], best

    @cached_property
    def _range(self) -> tuple[int, int]:
        """Smallest and largest lattice mark of the variance ratio at the horizon worth trying."""
        surrogate, spacing = self.surrogate, LATTICE
        low = math.floor(math.log(0.1 * float(surrogate.eigenvalues.max())) / spacing)
        top = float(self.process.noise_to_signal(self.process.horizon))
        last = math.ceil(math.log(top) / spacing)
        high, enough = low, 1e-3 * self.target
        while high < last:
            ratio = math.exp(high * spacing)
            if surrogate.norm(*start_error(surrogate, ratio, self.eta)) < enough:
                break
            high += 1
        return min(low, last), high

    def _evaluate(self, steps: int, mark: int) -> Trial | None:
        """The exact split at one horizon; None where there is no such grid."""
        start = float(self.process.time_at(math.exp(mark * LATTICE)))
        try:
            grid = self._grid(steps, min(start, self.process.horizon))
        except InputError:  # two of so many times coincide in float64
            return None
        parts = split(
            self.surrogate, self.process, self.solver, grid,
            eta=self.eta, score_error=self.score_error,
        )  # fmt: skip
        return Trial(steps, grid, parts) if math.isfinite(parts.apart) else None

    def _grid(self, steps: int, start: float) -> TimeGrid:
        surrogate = self.surrogate
        if self.kind == "optimal":
            key = (self.process, start)
            if key not in self.densities:
                self.densities[key] = optimal_density(
                    self.process, start, surrogate.eigenvalues, surrogate.weights
                )
            return self.densities[key].grid(steps)
        return time_grid(
            self.process, steps, self.kind, start=start, least_noise=self._least_noise
        )

    @cached_property
    def _least_noise(self) -> float:
        return least_noise(self.surrogate, LAST_STEP_SHARE * self.target)


def least_noise(surrogate: Surrogate, budget: float) -> float:
    r"""Noise level whose removal in a single last step costs at most ``budget`` in W2.

    A Euler step of the probability flow from noise r to zero leaves :math:`\sqrt{l}` too small by
    :math:`r^2 / (2 \sqrt l)` (and by at most r). The largest such r on a grid of a tenth decade.
    """
    for r in _falling(10 * surrogate.spread):
        roots = surrogate.eigenvalues.sqrt()
        error = torch.minimum(r**2 / (2 * roots), torch.full_like(roots, r))
        if surrogate.norm(error) <= budget:
            return r
    return 1e-12 * surrogate.spread


def _falling(top: float) -> Iterator[float]:
    """``top`` times falling powers of ten, ten to a decade."""
    yield from (top * 10 ** (-k / 10) for k in range(130))
