"""What a plan says, and how it prints."""

import math
from dataclasses import dataclass, field
from typing import Any

from wasserscore.certificate.base import Assumption
from wasserscore.core.results import Record
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.split import Split
from wasserscore.process import LinearSDE, Process

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
        note: Why there are no steps.
        curve: (steps, evaluations, W2) around these, each with its best horizon; empty for all
            but the best grid of a process and solver.
    """

    process: Process
    solver: str
    eta: float
    grid_kind: str
    steps: int | None
    evaluations: int | None
    predicted: Split | None
    note: str = "not reached"
    curve: tuple[tuple[int, int, float], ...] = field(default=(), repr=False)

    @property
    def cost(self) -> tuple[float, float]:
        """What options are ranked by: evaluations, then accuracy; infinite if not reached."""
        if self.predicted is None or self.evaluations is None:
            return math.inf, math.inf
        return float(self.evaluations), self.predicted.w2

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
        assumptions: What the prediction rests on.
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
    assumptions: tuple[Assumption, ...] = field(default=(), repr=False)
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
            "vacuous": self.vacuous,
        }
        return plain

    def __repr__(self) -> str:
        parts = self.predicted
        lines = [
            f"Plan for W2 <= {self.target_w2:.4g} {self.units} ({self.mode}; "
            f"{self.source}; data spread {self.spread:.4g})",
            f"  {self.steps} steps ({self.evaluations} evaluations) of {self.solver}, eta "
            f"{self.eta:g}, {self.grid_kind} grid from t = {self.horizon:.4g}",
            f"  under {self.process.call(4)}",
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
        lines += [f"  ... and {hidden} more in .options"] if hidden > 0 else []
        return "\n".join([*lines, "", *(f"  {a!r}" for a in self.assumptions)])


def _row(option: Option) -> tuple[str, ...]:
    start = (option.process.family, option.solver, f"{option.eta:g}", option.grid_kind)
    if option.predicted is None:
        return (*start, option.note, "", "")
    return (*start, str(option.steps), str(option.evaluations), f"{option.predicted.w2:.4g}")


def _call(process: Process) -> Any:
    return repr(process) if isinstance(process, LinearSDE) else process.to_dict()
