"""A cell of a comparison, its mean over seeds, and how both are written."""

import statistics
from dataclasses import dataclass

from wasserscore.core.results import Estimate, Record


@dataclass(frozen=True)
class Cell(Record):
    """One process, solver, number of steps and seed.

    Args:
        process: Label of the process.
        solver: Label of the solver.
        eta: Its stochasticity.
        steps: Steps.
        seed: Of the noise; cells of one seed start from the same noise.
        evaluations: Score evaluations per sample.
        w2: Exact W2 to the held-out rows, data units; None where the samples are not finite.
        copy_rate: Share of samples that are training rows.
        seconds: What sampling took when the cell was computed.
        gaussian_added_w2: What start and steps would add to W2 if the data were Gaussian with
            the moments of the model: exact, no simulation; None where the solver is not affine.
        status: "ok", or what went wrong.
    """

    process: str
    solver: str
    eta: float
    steps: int
    seed: int
    evaluations: int
    w2: float | None
    copy_rate: float | None
    seconds: float
    gaussian_added_w2: float | None
    status: str = "ok"


@dataclass(frozen=True)
class Mean(Record):
    """The cells of one process, solver and number of steps.

    Args:
        process: Label of the process.
        solver: Label of the solver.
        steps: Steps.
        evaluations: Score evaluations per sample.
        w2: Mean over seeds; its standard error is that of the mean, None for a single seed. None
            if any cell failed.
        copy_rate: Mean over seeds.
        seconds: Mean over seeds.
        gaussian_added_w2: As in the cells.
        status: "ok", or what went wrong in the first cell that failed.
    """

    process: str
    solver: str
    steps: int
    evaluations: int
    w2: Estimate | None
    copy_rate: float | None
    seconds: float
    gaussian_added_w2: float | None
    status: str = "ok"

    @classmethod
    def of(cls, cells: list[Cell]) -> "Mean":
        """The mean of cells that differ in their seed only."""
        first, bad = cells[0], next((c for c in cells if c.status != "ok"), None)
        return cls(
            process=first.process, solver=first.solver, steps=first.steps,
            evaluations=first.evaluations, gaussian_added_w2=first.gaussian_added_w2,
            w2=mean_over_seeds([c.w2 for c in cells]),
            copy_rate=_mean([c.copy_rate for c in cells]),
            seconds=statistics.mean(c.seconds for c in cells),
            status="ok" if bad is None else f"seed {bad.seed}: {bad.status}",
        )  # fmt: skip


def means_of(cells: tuple[Cell, ...]) -> tuple[Mean, ...]:
    """The means over seeds, in the order of the cells."""
    groups: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.process, cell.solver, cell.steps), []).append(cell)
    return tuple(map(Mean.of, groups.values()))


def mean_over_seeds(values: list[float | None]) -> Estimate | None:
    """Mean and standard error of the mean; None if a value is missing."""
    there = [value for value in values if value is not None]
    if not there or len(there) < len(values):
        return None
    several = len(there) > 1
    return Estimate(
        statistics.mean(there), n=len(there),
        stderr=statistics.stdev(there) / len(there) ** 0.5 if several else None,
    )  # fmt: skip


def plus_minus(estimate: Estimate) -> str:
    """Value and error to the same digits, enough to see the error."""
    if not estimate.stderr:
        return f"{estimate.value:.4g}"
    places = 2
    while places < 6 and round(estimate.stderr, places) == 0:
        places += 1
    return f"{estimate.value:.{places}f} ± {estimate.stderr:.{places}f}"


def short(mean: Mean) -> str:
    """A cell of the table."""
    return "failed" if mean.w2 is None else plus_minus(mean.w2) + "*" * (mean.status != "ok")


def _mean(values: list[float | None]) -> float | None:
    found = mean_over_seeds(values)
    return None if found is None else found.value
