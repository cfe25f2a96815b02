"""``plan``: which process, which solver, which grid, how many steps for a target W2."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.results import Record
from wasserscore.core.typing import ScoreFn
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.candidate import GRIDS, Candidate, Trial
from wasserscore.planner.problem import Problem
from wasserscore.planner.split import Split
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM, VE, VP, LinearSDE, Process, from_dict
from wasserscore.sampling import Solver, solvers
from wasserscore.sampling import solver as solver_named

LONGEST = 1e12
"""Variance ratio, in units of the data's largest variance, up to which horizons are searched."""
ROWS = 12
"""Options that a printed plan shows."""


@dataclass(frozen=True)
class Option(Record):
    """A candidate and the fewest steps with which it reaches the target.

    Args:
        process: The forward process.
        solver: Name of the solver.
        eta: Its stochasticity.
        grid_kind: Name of the grid.
        steps: Fewest steps; None if the limit (or twice the best) was not enough.
        evaluations: Score evaluations per sample, likewise.
        predicted: The split at these steps, likewise.
    """

    process: Process
    solver: str
    eta: float
    grid_kind: str
    steps: int | None
    evaluations: int | None
    predicted: Split | None

    def to_dict(self) -> dict[str, Any]:
        """JSON types, with the process as the call that makes it."""
        return {**super().to_dict(), "process": _call(self.process)}


@dataclass(frozen=True, repr=False)
class Plan(Record):
    """A recommendation for a target W2; ``sample(score, n, grid=plan.grid, solver=plan.solver)``.

    Args:
        process: The forward process.
        solver: Name of the solver.
        eta: Its stochasticity.
        steps: How many steps.
        evaluations: Score evaluations per sample.
        grid: The times; the first is the horizon to start from.
        grid_kind: The grid's name.
        horizon: The first time.
        target_w2: What was asked for.
        aim: What was planned for: the target less an allowance for moments known from points.
        predicted: W2 split into start, discretisation and score.
        options: All candidates, the cheapest first.
        mode: How the plan was made.
        spread: Root of the data's total variance; a target above it says nothing.
        source: Where the moments come from.
        units: Units of every distance.
    """

    process: Process
    solver: str
    eta: float
    steps: int
    evaluations: int
    grid: TimeGrid = field(repr=False)
    grid_kind: str
    horizon: float
    target_w2: float
    aim: float
    predicted: Split
    options: tuple[Option, ...] = field(repr=False)
    mode: str
    spread: float
    source: str
    units: str = "data units"

    @property
    def vacuous(self) -> bool:
        """Whether the target is as large as the data's own spread."""
        return self.target_w2 >= self.spread

    def to_dict(self) -> dict[str, Any]:
        """JSON types, with processes as the calls that make them."""
        plain = super().to_dict()
        plain |= {
            "process": _call(self.process),
            "grid": self.grid.times.tolist(),
            "options": [option.to_dict() for option in self.options],
            "vacuous": self.vacuous,
        }
        return plain

    def __repr__(self) -> str:
        parts = self.predicted
        lines = [
            f"Plan for W2 <= {self.target_w2:.4g} {self.units} ({self.mode}; Gaussian surrogate, "
            f"{self.source}; data spread {self.spread:.4g})",
            f"  {self.steps} steps ({self.evaluations} evaluations) of {self.solver}, eta "
            f"{self.eta:g}, {self.grid_kind} grid from t = {self.horizon:.4g}",
            f"  under {_short(self.process)}",
            f"  predicted W2 {parts.w2:.4g}: start {parts.start:.2g}, discretisation "
            f"{parts.discretisation:.2g}, score {parts.score:.2g}",
        ]
        if self.vacuous:
            lines.append("  vacuous: the target is not below the data's own spread")
        rows: list[tuple[str, ...]] = [
            ("process", "solver", "eta", "grid", "steps", "evaluations", "W2")
        ]
        rows += [_row(option) for option in self.options[:ROWS]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        hidden = len(self.options) - ROWS
        lines += ["", *(f"  {line}" for line in table)]
        return "\n".join(lines + ([f"  ... and {hidden} more in .options"] if hidden > 0 else []))


def plan(
    data_or_reference: Any,
    target_w2: float,
    *,
    score: ScoreFn | None = None,
    processes: Sequence[Process] | None = None,
    solver: str | Solver | Sequence[str | Solver] | None = None,
    mode: str = "calibrated",
    grids: Sequence[str] = GRIDS,
    score_error: float = 0.0,
    most_steps: int = 2000,
) -> Plan:
    """How to sample so that the W2 distance stays below a target, at the fewest evaluations.

    The calibrated mode replaces the data by a Gaussian with the same moments. On it every sampler
    is computed exactly, without simulation; the horizon balances the signed errors of start and
    steps kept apart, and the number of steps is the smallest whose exact W2 meets the target.

    Assumes: an exact score (or one within ``score_error``), and data whose W2 behaves like that
    of a Gaussian with the same covariance. It is a prediction, not a bound: ``certify`` bounds.
    Source: :cite:p:`gao2025`, section 5, in the exact Gaussian form derived in the docs.

    Args:
        data_or_reference: Points ``(n, ...)`` in the coordinates in which the model is trained,
            or a closed-form score (its moments are used, in data units if it knows its scaling).
        target_w2: The distance to reach, in the units of the data.
        score: The score to be sampled; only its process is then planned for.
        processes: The processes to compare; five common ones by default, each with the horizon
            left to the plan. Yours keep theirs, and the grid starts where the plan says.
        solver: One solver or several; all of ``solvers()`` by default.
        mode: ``"calibrated"``.
        grids: Which of ``"uniform"``, ``"logsnr"``, ``"karras"``, ``"optimal"`` to compare.
        score_error: Bound on the L2 norm of the score's error at every evaluation.
        most_steps: Give up on a candidate that needs more.

    Raises:
        InputError: If the input cannot be used, or no candidate reaches the target.
    """
    require(mode == "calibrated", "only the calibrated mode is available", got=repr(mode))
    positive = isinstance(target_w2, int | float) and 0 < target_w2 < float("inf")
    require(positive, "target_w2 must be a positive distance", got=target_w2)
    require(most_steps >= 1, "most_steps must be at least 1", got=most_steps)
    require(score_error >= 0, "score_error must be non-negative", got=score_error)
    unknown = [grid for grid in grids if grid not in GRIDS]
    require(bool(grids) and not unknown, "unknown grid", got=unknown,
            do=f"some of {', '.join(GRIDS)}")  # fmt: skip
    surrogate = Surrogate.of(data_or_reference)
    own = getattr(score, "process", None)
    if processes is None and own is not None:
        processes = [own]
    # an estimated variance is off by sampling_error; three of them keep the plan on the safe side
    aim = target_w2 * max(0.7, 1 - 3 * surrogate.sampling_error)
    problem = Problem(surrogate, aim, score_error)
    candidates = [
        Candidate(problem, process, method, method.default_eta, kind,
                  fixed_horizon=processes is not None)
        for process in (processes or default_processes(surrogate))
        for method in _solvers(solver)
        for kind in grids
    ]  # fmt: skip
    best, trials = _cheapest(candidates, most_steps)
    chosen, trial = candidates[best], trials[best]
    assert trial is not None
    return Plan(
        process=chosen.handed_over(trial.grid), solver=chosen.solver.name, eta=chosen.eta,
        steps=trial.steps, evaluations=chosen.evaluations(trial.steps), grid=trial.grid,
        grid_kind=chosen.kind, horizon=trial.grid.start, target_w2=float(target_w2), aim=aim,
        predicted=trial.split, options=_ranked(candidates, trials), mode=mode,
        spread=surrogate.spread, source=surrogate.source,
    )  # fmt: skip


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


def _cheapest(candidates: list[Candidate], most: int) -> tuple[int, list[Trial | None]]:
    """Index of the cheapest candidate (of equal ones the most accurate), and every trial found.

    Heun goes first: it is rarely far from the best and quick to compute, and once a candidate is
    known to need N evaluations, nothing is searched beyond 2 N.
    """

    def place(i: int) -> tuple[bool, bool]:
        return candidates[i].solver.name != "heun", candidates[i].kind == "uniform"

    order = sorted(range(len(candidates)), key=place)
    trials: list[Trial | None] = [None] * len(candidates)
    best, fewest = -1, (math.inf, math.inf)
    for i in order:
        candidate, limit = candidates[i], most
        if best >= 0:
            limit = min(most, int(2 * fewest[0]) // candidate.solver.evaluations_per_step + 1)
        trial = trials[i] = candidate.fewest_steps(limit)
        if trial is not None:
            cost = float(candidate.evaluations(trial.steps)), trial.split.w2
            if cost < fewest:
                fewest, best = cost, i
    if best < 0:
        raise InputError(
            explain(
                "no candidate reaches the target",
                got=f"target_w2={candidates[0].problem.target:.4g} with at most {most} steps",
                do="raise target_w2 or most_steps, or give processes with a longer horizon",
            )
        )
    return best, trials


def _ranked(candidates: list[Candidate], trials: list[Trial | None]) -> tuple[Option, ...]:
    options = [
        Option(
            process=candidate.process if trial is None else candidate.handed_over(trial.grid),
            solver=candidate.solver.name,
            eta=candidate.eta,
            grid_kind=candidate.kind,
            steps=None if trial is None else trial.steps,
            evaluations=None if trial is None else candidate.evaluations(trial.steps),
            predicted=None if trial is None else trial.split,
        )
        for candidate, trial in zip(candidates, trials, strict=True)
    ]

    def rank(option: Option) -> tuple[float, float]:
        if option.predicted is None or option.evaluations is None:
            return math.inf, math.inf
        return float(option.evaluations), option.predicted.w2

    return tuple(sorted(options, key=rank))


def _row(option: Option) -> tuple[str, ...]:
    start = (option.process.family, option.solver, f"{option.eta:g}", option.grid_kind)
    if option.predicted is None:
        return (*start, "not reached", "", "")
    return (*start, str(option.steps), str(option.evaluations), f"{option.predicted.w2:.4g}")


def _short(process: Process) -> str:
    """The call with four digits, for reading."""
    given = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in process.parameters.items()
    )
    return f"{process.family}({given})"


def _call(process: Process) -> Any:
    return repr(process) if isinstance(process, LinearSDE) else process.to_dict()
