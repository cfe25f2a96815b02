"""One way to sample: a process, a solver and a kind of grid; and how few steps it needs."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from wasserscore.core.errors import InputError
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.problem import LATTICE, Problem
from wasserscore.planner.split import Split, split, start_error
from wasserscore.process import EDM, Process, from_dict
from wasserscore.sampling import Solver, time_grid

GRIDS = ("uniform", "logsnr", "karras", "optimal")
FEW = 16
"""So many steps are tried at once; more are reached by doubling."""
AROUND = (0.25, 0.5, 2.0, 4.0)
"""Where a curve is evaluated, in units of the steps that reach the target."""
COARSE = 4
"""With so few steps the best horizon is looked for everywhere: costs have several minima."""
LOWEST = math.floor(math.log(0.1) / LATTICE)
"""The mark of the shortest horizon that is tried: a tenth of the largest variance."""


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
        problem: The data's stand-in and the target.
        process: The forward process; its horizon is the longest that may be used.
        solver: The solver.
        eta: Its stochasticity.
        kind: One of :data:`GRIDS`.
        fixed_horizon: Whether the process keeps its horizon when it is handed over (it was the
            user's), or is remade with the one chosen.
    """

    problem: Problem
    process: Process
    solver: Solver
    eta: float
    kind: str
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
        low, near, best, steps = 0, None, None, min(most, FEW)
        while best is None:
            best, near, _ = self._reaches(steps, near)
            if best is None and steps >= most:
                return None
            if best is None:
                low, steps = steps, min(2 * steps, most)
        # errors fall like a power of the steps: jump by it first, then bisect
        jump: float | None = best.steps * self._power(best.split.w2)
        while best.steps - low > 1:
            guess = (low + best.steps) // 2 if jump is None else round(jump)
            steps = min(max(guess, low + 1), best.steps - 1)
            trial, near, w2 = self._reaches(steps, near)
            low, best = (steps, best) if trial is None else (low, trial)
            jump = steps * self._power(w2) if jump is not None and w2 > self._target else None
        return best

    @property
    def early(self) -> bool:
        """Whether it is searched before others: rarely far from the best and quick to compute."""
        return self.solver.name == "heun"

    def curve(self, trial: Trial, most: int) -> tuple[tuple[int, int, float], ...]:
        """(steps, evaluations, W2) from a quarter of a trial's steps to four times as many.

        Args:
            trial: The trial.
            most: Evaluations beyond which nothing is worked out.
        """
        points = {trial.steps: trial.split.w2}
        wanted = {max(1, round(trial.steps * factor)) for factor in self._around}
        for steps in sorted(wanted - {trial.steps}):
            within = self.evaluations(steps) <= most
            other = self._trial(steps, None)[0] if within else None
            if other is not None:
                points[steps] = other.split.w2
        return tuple((k, self.evaluations(k), points[k]) for k in sorted(points))

    def _power(self, w2: float) -> float:
        """The factor of steps that would bring ``w2`` to the target at the solver's order."""
        return float((w2 / self._target) ** (1 / self.solver.order))

    def _reaches(self, steps: int, near: int | None) -> tuple[Trial | None, int, float]:
        """The trial if it meets the target and so does one with a quarter more steps.

        Also the horizon's mark, to start the next search at, and the W2 at these steps.
        """
        trial, near = self._trial(steps, near)
        w2 = math.inf if trial is None else trial.split.w2
        if w2 > self._target:
            return None, near, w2
        after, _ = self._trial(steps + max(1, steps // 4), near)
        lasting = after is not None and after.split.w2 <= self._target
        return trial if lasting else None, near, w2

    @property
    def _around(self) -> tuple[float, ...]:
        return AROUND

    @property
    def _target(self) -> float:
        return self.problem.target

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
        if steps <= COARSE:
            best = min(range(low, high + 1), key=cost)
            return seen[best], best
        group = (self.process, self.kind, self.eta)
        near = self.problem.hints.get(group) if near is None else near
        if near is None or cost(near) == math.inf:
            near = min(range(low, high + 1, 4), key=cost)
            near = min((near - 2, near, near + 2), key=cost)
        best = min((near - 1, near, near + 1), key=cost)
        while best != near and cost(best) < math.inf:  # nor where all scores are not finite
            near, best = best, min((2 * best - near, best), key=cost)
        self.problem.hints[group] = best
        return seen[best], best

    @cached_property
    def _range(self) -> tuple[int, int]:
        """Smallest and largest lattice mark of the variance ratio at the horizon worth trying."""
        surrogate = self.problem.surrogate
        last = self._last
        # the norm of the start error falls like 1/S, or its root: bisect for where it is nothing
        low, enough = min(LOWEST, last), 1e-3 * self._target
        below, above = low, last
        while above - below > 1:
            middle = (below + above) // 2
            if (
                surrogate.norm(*start_error(surrogate, self.problem.ratio(middle), self.eta))
                < enough
            ):
                above = middle
            else:
                below = middle
        return low, above

    def _evaluate(self, steps: int, mark: int) -> Trial | None:
        """The exact split at one horizon; None where there is no such grid."""
        try:
            grid = self._grid_from(steps, mark)
        except InputError:  # two of so many times coincide in float64
            return None
        parts = self._judge(grid)
        return Trial(steps, grid, parts) if math.isfinite(parts.apart) else None

    def _grid_from(self, steps: int, mark: int) -> TimeGrid:
        end = self.process.horizon
        ratio = min(self.problem.ratio(mark), float(self.process.noise_to_signal(end)))
        return self._grid(steps, min(float(self.process.time_at(ratio)), end))

    @cached_property
    def _last(self) -> int:
        """The mark of the longest horizon."""
        return self.problem.mark(float(self.process.noise_to_signal(self.process.horizon)))

    def _judge(self, grid: TimeGrid) -> Split:
        """What the grid gives: exact for the Gaussian surrogate."""
        return split(
            self.problem.surrogate, self.process, self.solver, grid,
            eta=self.eta, score_error=self.problem.score_error,
        )  # fmt: skip

    def _grid(self, steps: int, start: float) -> TimeGrid:
        if self.kind == "optimal":
            return self.problem.density(self.process, start).grid(steps)
        return time_grid(
            self.process, steps, self.kind, start=start, least_noise=self.problem.least_noise
        )


class Measured(Candidate):
    """A candidate judged by running something: a distance that cannot cross zero by chance."""

    def _reaches(self, steps: int, near: int | None) -> tuple[Trial | None, int, float]:
        trial, near = self._trial(steps, near)
        w2 = math.inf if trial is None else trial.split.w2
        return (trial if w2 <= self._target else None), near, w2
