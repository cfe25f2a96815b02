"""``plan``: which process, which solver, which grid, how many steps for a target W2."""

from collections.abc import Sequence
from typing import Any

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import ScoreFn
from wasserscore.planner.calibrated import ASSUMPTIONS, calibrated_options, default_processes
from wasserscore.planner.candidate import GRIDS
from wasserscore.planner.problem import Problem
from wasserscore.planner.result import Option, Plan
from wasserscore.planner.surrogate import Surrogate
from wasserscore.planner.theorem import SOLVER, theorem_options
from wasserscore.process import Process
from wasserscore.sampling import Solver, solvers
from wasserscore.sampling import solver as solver_named

MOST_STEPS = {"calibrated": 2000, "theorem": 10**6}
"""Steps beyond which a candidate is given up, by mode."""


def plan(
    data_or_reference: Any,
    target_w2: float,
    *,
    score: ScoreFn | None = None,
    processes: Sequence[Process] | None = None,
    solver: str | Solver | Sequence[str | Solver] | None = None,
    mode: str = "calibrated",
    grids: Sequence[str] | None = None,
    score_error: float = 0.0,
    most_steps: int | None = None,
) -> Plan:
    """How to sample so that the W2 distance stays below a target, at the fewest evaluations.

    The calibrated mode replaces the data by a Gaussian with the same moments. On it every sampler
    is computed exactly, without simulation; the horizon balances the signed errors of start and
    steps kept apart, and the number of steps is the smallest whose exact W2 meets the target.

    The theorem mode asks for as many uniform steps of ``integrated_euler`` as the convergence
    theorem needs; the prediction is then its bound, hundreds of times above the truth.

    Assumes: an exact score (or one within ``score_error``), and data whose W2 behaves like that
    of a Gaussian with the same covariance. It is a prediction, not a bound: ``certify`` bounds.
    Source: :cite:p:`gao2025`, section 5, in the exact Gaussian form derived in the docs; the
    theorem mode by its Theorem 2.

    Args:
        data_or_reference: Points ``(n, ...)`` in the coordinates in which the model is trained,
            or a closed-form score (its moments are used, in data units if it knows its scaling).
        target_w2: The distance to reach, in the units of the data.
        score: The score to be sampled; only its process is then planned for, and its scaling
            takes points to data units.
        processes: The processes to compare; five common ones by default, each with the horizon
            left to the plan. Yours keep theirs, and the grid starts where the plan says.
        solver: One solver or several; all of ``solvers()`` by default.
        mode: ``"calibrated"`` or ``"theorem"``.
        grids: Which of ``"uniform"``, ``"logsnr"``, ``"karras"``, ``"optimal"`` to compare; all
            by default. The theorem knows only the first.
        score_error: Bound on the L2 norm of the score's error at every evaluation.
        most_steps: Give up on a candidate that needs more; 2000 by default, a million for the
            theorem.

    Raises:
        InputError: If the input cannot be used, or no candidate reaches the target.
    """
    require(mode in MOST_STEPS, "unknown mode", got=repr(mode),
            do=f"one of {', '.join(MOST_STEPS)}")  # fmt: skip
    positive = isinstance(target_w2, int | float) and 0 < target_w2 < float("inf")
    require(positive, "target_w2 must be a positive distance", got=target_w2)
    most = MOST_STEPS[mode] if most_steps is None else most_steps
    require(most >= 1, "most_steps must be at least 1", got=most)
    require(score_error >= 0, "score_error must be non-negative", got=score_error)
    kinds = list(GRIDS) if grids is None else list(grids)
    unknown = [kind for kind in kinds if kind not in GRIDS]
    require(bool(kinds) and not unknown, "unknown grid", got=unknown,
            do=f"some of {', '.join(GRIDS)}")  # fmt: skip
    surrogate = Surrogate.of(data_or_reference, getattr(score, "scaling", None))
    own = getattr(score, "process", None)
    if processes is None and own is not None:
        processes = [own]
    # an estimated variance is off by sampling_error; three of them keep the plan on the safe side
    aim = target_w2 * max(0.7, 1 - 3 * surrogate.sampling_error)
    problem = Problem(surrogate, aim, score_error)
    if mode == "theorem":
        _only_the_theorems(solver, grids)
        options, times, grounds = theorem_options(
            problem, processes or default_processes(surrogate), most, own=processes is not None
        )
    else:
        options, times = calibrated_options(problem, processes, _solvers(solver), kinds, most)
        grounds = [ASSUMPTIONS] * len(options)
    best = min(range(len(options)), key=lambda i: options[i].cost)
    chosen, grid = options[best], times[best]
    if chosen.predicted is None or grid is None:
        raise _nothing(options, aim, most)
    assert chosen.steps is not None
    assert chosen.evaluations is not None
    return Plan(
        process=chosen.process, solver=chosen.solver, eta=chosen.eta, steps=chosen.steps,
        evaluations=chosen.evaluations, grid=grid, grid_kind=chosen.grid_kind,
        horizon=grid.start, target_w2=float(target_w2), aim=aim, predicted=chosen.predicted,
        options=tuple(sorted(options, key=lambda option: option.cost)), mode=mode,
        spread=surrogate.spread, source=surrogate.source, assumptions=grounds[best],
    )  # fmt: skip


def _solvers(given: str | Solver | Sequence[str | Solver] | None) -> list[Solver]:
    if given is None:
        return list(solvers())
    several = [given] if isinstance(given, str | Solver) else list(given)
    fixed = {entry.name for entry in solvers()}
    for name in several:
        adaptive = isinstance(name, str) and solver_named(name).name not in fixed
        require(not adaptive, "only solvers of fixed cost can be planned", got=repr(name),
                do=f"some of {', '.join(sorted(fixed))}")  # fmt: skip
    return [solver_named(entry) for entry in several]


def _only_the_theorems(
    solver: str | Solver | Sequence[str | Solver] | None, grids: Sequence[str] | None
) -> None:
    names = {SOLVER} if solver is None else {entry.name for entry in _solvers(solver)}
    require(names == {SOLVER}, f"the theorem is about {SOLVER} only", got=", ".join(sorted(names)),
            do='leave solver out, or use mode="calibrated"')  # fmt: skip
    require(grids is None or list(grids) == ["uniform"], "the theorem is about uniform grids only",
            got=grids, do='leave grids out, or use mode="calibrated"')  # fmt: skip


def _nothing(options: list[Option], aim: float, most: int) -> InputError:
    refused = sorted({option.process.family for option in options if "A4" in option.note})
    got = f"target_w2={aim:.4g} with at most {most} steps"
    if refused:
        got += f"; assumption A4 allows no step under {', '.join(refused)}"
    advice = "raise target_w2 or most_steps, or give processes with a longer horizon"
    if refused:
        advice = "scale the data to a largest variance of at most 1, or " + advice
    return InputError(explain("no candidate reaches the target", got=got, do=advice))
