"""``plan``: which process, which solver, which grid, how many steps for a target W2."""

from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Any

from wasserscore.certificate.base import Assumption
from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.integers import as_integer
from wasserscore.core.numbers import is_number
from wasserscore.core.typing import ScoreFn
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.calibrated import calibrated_options, default_processes, grounds
from wasserscore.planner.candidate import GRIDS
from wasserscore.planner.exact_flow import ExactFlow
from wasserscore.planner.mixture import fit_mixture, stacked
from wasserscore.planner.model import model_options
from wasserscore.planner.problem import Problem, silent
from wasserscore.planner.result import Option, Plan
from wasserscore.planner.surrogate import Surrogate
from wasserscore.planner.theorem import SOLVER, theorem_options
from wasserscore.process import Process
from wasserscore.sampling import Solver, solvers
from wasserscore.sampling import solver as solver_named
from wasserscore.score import MixtureScore

Outcome = tuple[list[Option], list[TimeGrid | None], list[tuple[Assumption, ...]]]
"""Options, the grids of those that reach the target, and what each rests on."""
SURROGATES = ("gaussian", "mixture")
MOST_STEPS = {"calibrated": 2000, "model": 512, "theorem": 10**6}
"""Steps beyond which a candidate is given up, by mode."""


def plan(
    data_or_reference: Any,
    target_w2: float,
    *,
    score: ScoreFn | None = None,
    processes: Sequence[Process] | None = None,
    solver: str | Solver | Sequence[str | Solver] | None = None,
    mode: str = "calibrated",
    surrogate: str | None = None,
    grids: str | Sequence[str] | None = None,
    score_error: float = 0.0,
    most_steps: int | None = None,
    seed: int = 0,
    curves: bool = False,
    callback: Callable[[str, int, int], object] | None = None,
) -> Plan:
    """How to sample so that the W2 distance stays below a target, at the fewest evaluations.

    *Calibrated* mode replaces the data by a Gaussian with the same moments. On it every sampler
    is computed exactly, without simulation; the horizon balances the signed errors of start and
    steps kept apart, and the number of steps is the smallest whose exact W2 meets the target. With
    ``surrogate="mixture"`` the stand-in is a mixture of Gaussians: samplers without noise are run
    on its own score against its exact flow, so that samples in the wrong mode count.

    *Model* mode runs your own score, coarse and fine with shared randomness, and reads what the
    steps cost off the coupling: no stand-in for the steps, in any dimension.

    *Theorem* mode asks for as many uniform steps of ``integrated_euler`` as the convergence
    theorem needs; the prediction is then its bound, hundreds of times above the truth.

    Assumes: an exact score (or one within ``score_error``), and data whose W2 behaves like that
    of the stand-in. It is a prediction, not a bound: ``certify`` bounds.
    Source: :cite:p:`gao2025`, section 5, in the exact Gaussian form derived in the docs; the
    theorem mode by its Theorem 2; mixture and model mode are our derivation.

    Args:
        data_or_reference: Points ``(n, ...)`` in the coordinates in which the model is trained,
            or a closed-form score (its moments are used, in data units if it knows its scaling).
        target_w2: The distance to reach, in the units of the data.
        score: The score to be sampled; only its process is then planned for, and its scaling
            takes points to data units.
        processes: The processes to compare; five common ones by default, each with the horizon
            left to the plan. Yours keep theirs, and the grid starts where the plan says.
        solver: One solver or several. By default all of ``solvers()``, with a mixture those
            without noise, and four without noise in model mode.
        mode: ``"calibrated"``, ``"model"`` (needs ``score``) or ``"theorem"``.
        surrogate: ``"gaussian"`` or ``"mixture"``, for the calibrated mode. By default a
            ``MixtureScore`` stands for itself and everything else is a Gaussian.
        grids: Which of ``"uniform"``, ``"logsnr"``, ``"karras"``, ``"optimal"`` to compare; all
            by default, the second and third in model mode. The theorem knows only the first.
        score_error: Bound on the L2 norm of the score's error at every evaluation.
        most_steps: Give up on a candidate that needs more; 2000 by default, 512 in model mode, a
            million for the theorem.
        seed: Of the runs of the mixture or the model.
        curves: Also work out W2 around the steps found, for ``report.plan_figure``: slower.
        callback: Called with (stage, done, total) as the search goes on.

    Raises:
        InputError: If the input cannot be used, or no candidate reaches the target.
    """
    require(mode in MOST_STEPS, "unknown mode", got=repr(mode),
            do=f"one of {', '.join(MOST_STEPS)}")  # fmt: skip
    positive = is_number(target_w2) and 0 < target_w2 < float("inf")
    require(positive, "target_w2 must be a positive distance", got=target_w2)
    target_w2 = float(target_w2)
    most = MOST_STEPS[mode] if most_steps is None else as_integer(most_steps, "most_steps")
    require(is_number(score_error) and score_error >= 0, "score_error must be non-negative",
            got=score_error)  # fmt: skip
    given = processes is None or isinstance(processes, Sequence)
    require(given and all(isinstance(process, Process) for process in processes or ()),
            "processes must be a list of processes", got=repr(processes))  # fmt: skip
    if grids is not None:
        grids = _several(grids, str)
        require(len(grids) > 0 and all(kind in GRIDS for kind in grids), "unknown grid",
                got=grids, do=f"some of {', '.join(GRIDS)}")  # fmt: skip
    own = getattr(score, "process", None)
    if processes is None and own is not None:
        processes = [own]
    stand_in, flow = _stand_in(data_or_reference, score, mode, surrogate, seed)
    # an estimated variance is off by sampling_error; three of them keep the plan on the safe side
    aim = target_w2 * max(0.7, 1 - 3 * stand_in.sampling_error)
    problem = Problem(stand_in, aim, score_error, flow, callback or silent)
    options, times, rests = _compare(
        problem, mode, score, processes, solver, grids, most, seed, curves
    )
    best = min(range(len(options)), key=lambda i: options[i].cost)
    chosen, grid = options[best], times[best]
    if chosen.predicted is None or grid is None:
        raise _nothing(options, target_w2, aim, most)
    assert chosen.steps is not None
    assert chosen.evaluations is not None
    return Plan(
        process=chosen.process, solver=chosen.solver, eta=chosen.eta, steps=chosen.steps,
        evaluations=chosen.evaluations, grid=grid, grid_kind=chosen.grid_kind,
        horizon=grid.start, target_w2=float(target_w2), aim=aim, predicted=chosen.predicted,
        options=tuple(sorted(options, key=lambda option: option.cost)), mode=mode,
        spread=stand_in.spread, source=stand_in.source, assumptions=rests[best],
    )  # fmt: skip


def _stand_in(
    data: Any, score: ScoreFn | None, mode: str, surrogate: str | None, seed: int
) -> tuple[Surrogate, ExactFlow | None]:
    """The directions that stand for the data, and the exact flow where that is a mixture."""
    require(surrogate is None or surrogate in SURROGATES, "unknown surrogate", got=repr(surrogate),
            do=f"one of {', '.join(SURROGATES)}")  # fmt: skip
    several = isinstance(data, MixtureScore) and len(data.means) > 1
    wanted = surrogate == "mixture" or (surrogate is None and several and mode == "calibrated")
    require(surrogate is None or mode == "calibrated", "only the calibrated mode has a surrogate",
            got=f'mode="{mode}"', do="leave surrogate out")  # fmt: skip
    scaling = getattr(score, "scaling", None)
    if not wanted:
        return Surrogate.of(data, scaling), None
    if isinstance(data, MixtureScore):
        return stacked(data), ExactFlow(data, seed=seed)
    points = getattr(data, "points", data)  # an empirical law is fitted by its points
    require(not hasattr(points, "moments"), "a mixture is fitted to points, or is a MixtureScore",
            got=type(data).__name__, do="pass the points themselves")  # fmt: skip
    law = fit_mixture(points, getattr(data, "scaling", scaling))
    return stacked(law, len(points)), ExactFlow(law, seed=seed)


def _compare(
    problem: Problem, mode: str, score: ScoreFn | None, processes: Sequence[Process] | None,
    solver: str | Solver | Sequence[str | Solver] | None, grids: Sequence[str] | None,
    most: int, seed: int, curves: bool,
) -> Outcome:  # fmt: skip
    if mode == "theorem":
        _only_the_theorems(solver, grids)
        common = processes or default_processes(problem.surrogate)
        return theorem_options(problem, common, most, own=processes is not None)
    if mode == "model":
        if score is None or not processes or len(processes) != 1:
            raise InputError(explain(
                "model mode needs a score and its process", got=f"score={score!r}",
                do="pass score=, and for a plain callable processes=[its process]"))  # fmt: skip
        chosen = None if solver is None else _solvers(solver)
        return model_options(
            problem, score, processes[0], chosen, grids, most, seed, curves=curves
        )
    methods = _solvers(solver)
    if solver is None and problem.flow is not None:
        methods = [method for method in methods if method.default_eta == 0]
    options, times = calibrated_options(
        problem, processes, methods, grids or GRIDS, most, curves=curves
    )
    return options, times, [grounds(problem, option) for option in options]


def _solvers(given: str | Solver | Sequence[str | Solver] | None) -> list[Solver]:
    if given is None:
        return list(solvers())
    several = _several(given, str | Solver)
    require(len(several) > 0, "solver must name one at least", got=several, do="leave it out")
    fixed = {entry.name for entry in solvers()}
    for name in several:
        adaptive = isinstance(name, str) and solver_named(name).name not in fixed
        require(not adaptive, "only solvers of fixed cost can be planned", got=repr(name),
                do=f"some of {', '.join(sorted(fixed))}")  # fmt: skip
    return [solver_named(entry) for entry in several]


def _several(given: Any, one: type | UnionType) -> list[Any]:
    """What may be given alone or in a list."""
    alone = isinstance(given, one) or not isinstance(given, Iterable)
    return [given] if alone else list(given)


def _only_the_theorems(
    solver: str | Solver | Sequence[str | Solver] | None, grids: Sequence[str] | None
) -> None:
    names = {SOLVER} if solver is None else {entry.name for entry in _solvers(solver)}
    require(names == {SOLVER}, f"the theorem is about {SOLVER} only", got=", ".join(sorted(names)),
            do='leave solver out, or use mode="calibrated"')  # fmt: skip
    require(grids is None or list(grids) == ["uniform"], "the theorem is about uniform grids only",
            got=grids, do='leave grids out, or use mode="calibrated"')  # fmt: skip


def _nothing(options: list[Option], target: float, aim: float, most: int) -> InputError:
    refused = sorted({option.process.family for option in options if "A4" in option.note})
    got = f"target_w2={target:.4g}"
    if aim < target:
        got += f", aimed at {aim:.4g} because moments are estimated,"
    got += f" with at most {most} steps"
    if refused:
        got += f"; assumption A4 allows no step under {', '.join(refused)}"
    advice = "raise target_w2 or most_steps, or give processes with a longer horizon"
    if refused:
        advice = "scale the data to a largest variance of at most 1, or " + advice
    return InputError(explain("no candidate reaches the target", got=got, do=advice))
