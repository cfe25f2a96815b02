"""A rehearsal: solvers without noise are planned by running them on the stand-in mixture."""

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch

from wasserscore.dynamics import TimeGrid
from wasserscore.planner.candidate import Candidate, Measured, Trial
from wasserscore.planner.exact_flow import ExactFlow, upper_root
from wasserscore.planner.search import rank
from wasserscore.planner.split import Split, score_cost

SAFETY = 2.0
"""Standard errors added to a mean of squares before it confirms a plan."""
MOST_OF_ONE = 0.5
"""A pair in a wrong mode counts for at most this share of the target, until many more are run."""
CLOSE = 0.1
"""A sample that ends within this share of the target is not run again at every number of steps."""
LEAST_GROWTH = 1.05
"""A confirmation that fails takes at least so many times the steps."""
START_SHARE = 0.3
"""Share of the target that the start may use: errors add in squares, so it costs 5 %."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rehearsed(Measured):
    """A candidate whose grids are judged by running them on the mixture.

    The horizon is fixed by what the start may cost, not tuned with the steps.

    Args:
        flow: The exact flow of the mixture.
        ratio: Noise-to-signal ratio to start from, where the process reaches it.
    """

    flow: ExactFlow
    ratio: float

    @cached_property
    def _range(self) -> tuple[int, int]:
        mark = min(self.problem.mark(self.ratio**2), self._last)
        return mark, mark

    def _judge(self, grid: TimeGrid) -> Split:
        """W2 of the run, all of it as steps; a screen, with no allowance for few pairs."""
        ends = self.flow.runs_to(self.process, self.solver, grid)
        most = MOST_OF_ONE * self._target
        w2, score = self.flow.distance(self.flow.ends, ends, most=most), self._score_cost(grid)
        return Split(0.0, w2, score, w2 + score)

    def _score_cost(self, grid: TimeGrid) -> float:
        problem = self.problem
        return score_cost(
            problem.surrogate, self.process, self.solver, grid, self.eta, problem.score_error
        )

    def confirmed(self, trial: Trial, flow: ExactFlow, most: int) -> Trial | None:
        """The trial if its W2 holds on a finer flow; else more steps until it does, or None.

        Args:
            trial: Steps that reached the target on the coarse flow.
            flow: A flow with so many pairs that a few in a wrong mode cost more than the target.
            most: Give up beyond so many steps.
        """
        mark, steps = self._range[0], trial.steps
        squares, whole = torch.full((flow.n,), math.inf, dtype=torch.float64), True
        while steps <= most:
            grid = self._grid_from(steps, mark)
            middle = flow.ends_from(float(self.process.noise_to_signal(grid.start)) ** 0.5)
            start = flow.distance(flow.ends, middle)
            if start > self._target / 2 and mark < self._last:
                mark += 2
                continue
            # what ended close by with fewer steps is run again only to confirm the last number
            rows = squares >= 0 if whole else squares > (CLOSE * self._target) ** 2
            ends = flow.runs_to(self.process, self.solver, grid, rows)
            squares[rows] = flow.squares(flow.ends[rows], ends)
            score = self._score_cost(grid)
            w2 = upper_root(squares, SAFETY) + score
            if w2 <= self._target and whole:
                return Trial(steps, grid, Split(start, flow.distance(middle, ends), score, w2))
            whole = w2 <= self._target
            if not whole:
                growth = (w2 / self._target) ** (1 / self.solver.order)
                steps = math.ceil(steps * max(growth, LEAST_GROWTH))
        return None


def rehearse(
    candidates: list[Candidate], trials: list[Trial | None], flow: ExactFlow, most: int
) -> tuple[list[Candidate], list[Trial | None], list[str]]:
    """The best candidate of every solver without noise, planned again on the mixture itself.

    Args:
        candidates: As planned by the stacked recursion.
        trials: What that gave.
        flow: The exact flow.
        most: Give up beyond so many steps.

    Returns:
        Candidates, trials and a note on each without one: those beaten within their solver have
        no trial any more. The cheapest of all is confirmed on other and many more pairs.
    """
    staged, found = list(candidates), list(trials)
    notes, target = ["not reached"] * len(trials), candidates[0].problem.target
    ratio, pending, fewest = flow.enough(START_SHARE * target), set[int](), math.inf
    noiseless = [i for i, candidate in enumerate(candidates) if candidate.eta == 0]
    for i in sorted(noiseless, key=lambda i: rank(trials[i])):
        if any(candidates[j].solver.name == candidates[i].solver.name for j in pending):
            found[i], notes[i] = None, "another is better"
            continue
        plain = {f.name: getattr(candidates[i], f.name) for f in fields(candidates[i])}
        stage = staged[i] = Rehearsed(**plain, flow=flow, ratio=ratio)
        limit = min(most, int(min(2 * fewest, 1e9)) // stage.solver.evaluations_per_step + 1)
        found[i] = trial = stage.fewest_steps(limit)
        pending.add(i)
        if trial is not None:
            fewest = min(fewest, stage.evaluations(trial.steps))
    _confirm(staged, found, pending, replace(flow.resolving(target), seed=flow.seed + 1), most)
    return staged, found, notes


def _confirm(
    staged: list[Candidate],
    found: list[Trial | None],
    pending: set[int],
    fine: ExactFlow,
    most: int,
) -> None:
    """Confirm the cheapest trial on the fine flow until the cheapest is a confirmed one."""

    def cost(i: int) -> float:
        trial = found[i]
        return math.inf if trial is None else float(staged[i].evaluations(trial.steps))

    while pending:
        best = min(range(len(found)), key=cost)
        candidate, trial = staged[best], found[best]
        if best not in pending or trial is None or not isinstance(candidate, Rehearsed):
            return
        pending.remove(best)
        found[best] = candidate.confirmed(trial, fine, most)
