"""From candidates to a plan's options: the fewest steps of each, and the curve around them."""

import math
from collections.abc import Sequence

from wasserscore.planner.candidate import Candidate, Trial
from wasserscore.planner.result import Option

LOOK = 8
"""Curves end at what so many times the steps of the best candidate evaluate."""
Curve = tuple[tuple[int, int, float], ...]
"""(steps, evaluations, W2), by rising steps."""


def search(candidates: Sequence[Candidate], most: int) -> list[Trial | None]:
    """What every candidate needs.

    Early ones go first: once a candidate is known to need N evaluations, nothing is searched
    beyond 2 N.
    """

    def place(i: int) -> tuple[bool, bool]:
        return not candidates[i].early, candidates[i].kind == "uniform"

    trials: list[Trial | None] = [None] * len(candidates)
    fewest = math.inf
    for done, i in enumerate(sorted(range(len(candidates)), key=place), 1):
        candidate, limit = candidates[i], most
        if fewest < math.inf:
            limit = min(most, int(2 * fewest) // candidate.solver.evaluations_per_step + 1)
        trial = trials[i] = candidate.fewest_steps(limit)
        if trial is not None:
            fewest = min(fewest, candidate.evaluations(trial.steps))
        candidate.problem.tell("candidates", done, len(candidates))
    return trials


def options_of(
    candidates: Sequence[Candidate],
    trials: Sequence[Trial | None],
    notes: Sequence[str],
    *,
    curves: bool,
) -> list[Option]:
    """The candidates as rows of a plan.

    Args:
        candidates: The candidates.
        trials: What each needs; None where it does not reach the target.
        notes: Why there are no steps, for those.
        curves: Whether to work out W2 against the number of steps, for the best grid of every
            process and solver; none beyond :data:`LOOK` times the steps of the best.
    """
    best: dict[tuple[str, str], int] = {}
    for i, (candidate, trial) in enumerate(zip(candidates, trials, strict=True)):
        key = (repr(candidate.process), candidate.solver.name)
        if trial is not None and (key not in best or rank(trial) < rank(trials[best[key]])):
            best[key] = i
    drawn = {i: trial for i in best.values() if curves and (trial := trials[i]) is not None}
    most = min((candidates[i].evaluations(LOOK * t.steps) for i, t in drawn.items()), default=0)
    lines: dict[int, Curve] = {}
    for i, trial in drawn.items():
        lines[i] = candidates[i].curve(trial, most)
        candidates[i].problem.tell("curves", len(lines), len(drawn))
    return [
        _option(candidate, trial, note, lines.get(i, ()))
        for i, (candidate, trial, note) in enumerate(zip(candidates, trials, notes, strict=True))
    ]


def rank(trial: Trial | None) -> tuple[float, float]:
    """What candidates of one solver are compared by: steps, then accuracy."""
    return (math.inf, math.inf) if trial is None else (float(trial.steps), trial.split.w2)


def _option(candidate: Candidate, trial: Trial | None, note: str, curve: Curve) -> Option:
    return Option(
        process=candidate.process if trial is None else candidate.handed_over(trial.grid),
        solver=candidate.solver.name,
        eta=candidate.eta,
        grid_kind=candidate.kind,
        steps=None if trial is None else trial.steps,
        evaluations=None if trial is None else candidate.evaluations(trial.steps),
        predicted=None if trial is None else trial.split,
        note=note,
        curve=curve,
    )
