"""Calibrated mode: the fewest steps on a Gaussian with the data's moments, computed exactly."""

import math
from collections.abc import Sequence

from wasserscore.certificate.base import Assumption
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.candidate import Candidate, Trial
from wasserscore.planner.problem import Problem
from wasserscore.planner.result import Option
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM, VE, VP, Process, from_dict
from wasserscore.sampling import Solver

LONGEST = 1e12
"""Variance ratio, in units of the data's largest variance, up to which horizons are searched."""
ASSUMPTIONS = (
    Assumption("Gaussian surrogate", "assumed", "W2 behaves as for a Gaussian with these moments"),
    Assumption("the score is exact up to score_error", "assumed"),
)


def calibrated_options(
    problem: Problem,
    processes: Sequence[Process] | None,
    solvers: Sequence[Solver],
    kinds: Sequence[str],
    most: int,
) -> tuple[list[Option], list[TimeGrid | None]]:
    """Every candidate with its fewest steps, and the grid of those that reach the target.

    Args:
        problem: The surrogate and the target.
        processes: The user's own, which keep their horizon; the usual five if None.
        solvers: The solvers to compare.
        kinds: The grids to compare.
        most: Give up on a candidate beyond so many steps.
    """
    candidates = [
        Candidate(problem, process, method, method.default_eta, kind,
                  fixed_horizon=processes is not None)
        for process in (processes or default_processes(problem.surrogate))
        for method in solvers
        for kind in kinds
    ]  # fmt: skip
    trials = _trials(candidates, most)
    grids = [None if trial is None else trial.grid for trial in trials]
    return list(map(_option, candidates, trials)), grids


def default_processes(surrogate: Surrogate) -> tuple[Process, ...]:
    """One of each common family, with horizons long enough for any plan on these data."""
    widest = float(surrogate.eigenvalues.max())
    level = 0.01 * widest**0.5
    longest = LONGEST * max(widest, 1.0)
    rate = 8.5  # log of sigma_max / sigma_min in the usual exponential schedule, 0.01 to 50
    families: tuple[Process, ...] = (
        EDM(sigma_max=longest**0.5),
        VE.exponential(a=level * (2 * rate) ** 0.5, b=rate),
        VP.linear(a=19.9, b=0.1),
        VP.cosine(),
        VP.exponential(a=0.4, b=1.0),
    )
    return tuple(_with_horizon(process, longest) for process in families)


def _with_horizon(process: Process, noise_to_signal: float) -> Process:
    if isinstance(process, EDM):
        return process
    end = float(process.time_at(noise_to_signal))
    return from_dict({**process.to_dict(), "horizon": end})


def _trials(candidates: list[Candidate], most: int) -> list[Trial | None]:
    """What every candidate needs.

    Heun goes first: it is rarely far from the best and quick to compute, and once a candidate is
    known to need N evaluations, nothing is searched beyond 2 N.
    """

    def place(i: int) -> tuple[bool, bool]:
        return candidates[i].solver.name != "heun", candidates[i].kind == "uniform"

    trials: list[Trial | None] = [None] * len(candidates)
    fewest = math.inf
    for i in sorted(range(len(candidates)), key=place):
        candidate, limit = candidates[i], most
        if fewest < math.inf:
            limit = min(most, int(2 * fewest) // candidate.solver.evaluations_per_step + 1)
        trial = trials[i] = candidate.fewest_steps(limit)
        if trial is not None:
            fewest = min(fewest, candidate.evaluations(trial.steps))
    return trials


def _option(candidate: Candidate, trial: Trial | None) -> Option:
    return Option(
        process=candidate.process if trial is None else candidate.handed_over(trial.grid),
        solver=candidate.solver.name,
        eta=candidate.eta,
        grid_kind=candidate.kind,
        steps=None if trial is None else trial.steps,
        evaluations=None if trial is None else candidate.evaluations(trial.steps),
        predicted=None if trial is None else trial.split,
    )
