"""Calibrated mode: the fewest steps on the data's stand-in, a Gaussian or a mixture of them."""

import math
from collections.abc import Sequence

from wasserscore.certificate.base import Assumption
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.candidate import Candidate
from wasserscore.planner.problem import Problem
from wasserscore.planner.rehearsal import rehearse
from wasserscore.planner.result import Option
from wasserscore.planner.search import options_of, search
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM, VE, VP, Process, from_dict
from wasserscore.sampling import Solver

LONGEST = 1e12
"""Variance ratio, in units of the data's largest variance, up to which horizons are searched."""
EXACT = Assumption("the score is exact up to score_error", "assumed")
GAUSSIAN = Assumption(
    "Gaussian surrogate", "assumed", "W2 behaves as for a Gaussian with these moments"
)
REHEARSED = Assumption(
    "mixture surrogate", "assumed", "W2 as for this mixture, read off a coupling to its exact flow"
)
COMPONENTS = Assumption(
    "components", "assumed",
    "with noise each component is planned for as a Gaussian: samples that end in another mode "
    "are not seen",
)  # fmt: skip


def calibrated_options(
    problem: Problem,
    processes: Sequence[Process] | None,
    solvers: Sequence[Solver],
    kinds: Sequence[str],
    most: int,
    *,
    curves: bool = False,
) -> tuple[list[Option], list[TimeGrid | None]]:
    """Every candidate with its fewest steps, and the grid of those that reach the target.

    Args:
        problem: The surrogate and the target.
        processes: The user's own, which keep their horizon; the usual five if None.
        solvers: The solvers to compare.
        kinds: The grids to compare.
        most: Give up on a candidate beyond so many steps.
        curves: Whether to work out W2 around the steps found.
    """
    candidates: list[Candidate] = [
        Candidate(problem, process, method, method.default_eta, kind,
                  fixed_horizon=processes is not None)
        for process in (processes or default_processes(problem.surrogate))
        for method in solvers
        for kind in kinds
    ]  # fmt: skip
    trials = search(candidates, most)
    notes = ["not reached"] * len(candidates)
    if problem.flow is not None:
        candidates, trials, notes = rehearse(candidates, trials, problem.flow, most)
    grids = [None if trial is None else trial.grid for trial in trials]
    return options_of(candidates, trials, notes, curves=curves), grids


def grounds(problem: Problem, option: Option) -> tuple[Assumption, ...]:
    """What the prediction of an option rests on."""
    if problem.flow is None:
        return GAUSSIAN, EXACT
    return REHEARSED if option.eta == 0 else COMPONENTS, EXACT


def default_processes(surrogate: Surrogate) -> tuple[Process, ...]:
    """One of each common family, with horizons long enough for any plan on these data.

    A family is left out where float64 has no such time: the cosine schedule's rate diverges at
    1, and for data of very large variance its horizon would round to that.
    """
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
    return tuple(
        _with_horizon(process, longest) for process in families if _resolves(process, longest)
    )


def _resolves(process: Process, noise_to_signal: float) -> bool:
    """Whether the time of this variance ratio gives it back."""
    back = float(process.noise_to_signal(process.time_at(noise_to_signal)))
    return math.isclose(back, noise_to_signal, rel_tol=0.1)


def _with_horizon(process: Process, noise_to_signal: float) -> Process:
    if isinstance(process, EDM):
        return process
    end = float(process.time_at(noise_to_signal))
    return from_dict({**process.to_dict(), "horizon": end})
