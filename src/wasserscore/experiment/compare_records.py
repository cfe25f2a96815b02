"""A cell of a comparison, its mean over seeds, and how both are written."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from wasserscore.core.results import Estimate, Record
from wasserscore.report.wording import estimate as written

NARROW, INEXACT = "†", "*"
"""Marks: samples too narrow; a distance that is not known to be optimal."""

UNITS = {"w2": "data units", "energy": "square root of data units"}


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
        energy: Energy distance to them, in square roots of data units.
        spread: Root of the total variance of the samples, over that of the held-out rows.
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
    energy: float | None
    spread: float | None
    copy_rate: float | None
    seconds: float
    gaussian_added_w2: float | None
    status: str = "ok"


@dataclass(frozen=True)
class Yardstick(Record):
    """What a distance must be read beside.

    Args:
        floor: Between two halves of the real data.
        bootstrap: Of resampled training rows.
        exact_draws: Of exact draws of the model, over the sampling seeds; None without them.
    """

    floor: Estimate
    bootstrap: Estimate
    exact_draws: Estimate | None

    def lines(self) -> Iterator[tuple[str, Estimate]]:
        """Each with its words."""
        yield "floor (two real halves)", self.floor
        yield "bootstrap of the training rows", self.bootstrap
        if self.exact_draws is not None:
            yield "exact draws of the model", self.exact_draws


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
        energy: Likewise.
        spread: Mean over seeds.
        narrow: Whether the samples vary less than the held-out rows, beyond three standard errors:
            then W2 between finite clouds is small for the wrong reason.
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
    energy: Estimate | None
    spread: float | None
    narrow: bool
    copy_rate: float | None
    seconds: float
    gaussian_added_w2: float | None
    status: str = "ok"

    @classmethod
    def of(cls, cells: list[Cell], spread_error: float) -> "Mean":
        """The mean of cells that differ in their seed only.

        Args:
            cells: One per seed.
            spread_error: Relative standard error of the held-out rows' spread.
        """
        first, bad = cells[0], next((c for c in cells if c.status != "ok"), None)
        spread = _mean([c.spread for c in cells])
        return cls(
            process=first.process, solver=first.solver, steps=first.steps,
            evaluations=first.evaluations, gaussian_added_w2=first.gaussian_added_w2,
            w2=mean_over_seeds([c.w2 for c in cells]),
            energy=mean_over_seeds([c.energy for c in cells], "energy"), spread=spread,
            narrow=spread is not None and spread < 1 - 3 * 2**0.5 * spread_error,
            copy_rate=_mean([c.copy_rate for c in cells]),
            seconds=statistics.mean(c.seconds for c in cells),
            status="ok" if bad is None else f"seed {bad.seed}: {bad.status}",
        )  # fmt: skip


def means_of(cells: tuple[Cell, ...], spread_error: float) -> tuple[Mean, ...]:
    """The means over seeds, in the order of the cells; see :meth:`Mean.of`."""
    groups: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.process, cell.solver, cell.steps), []).append(cell)
    return tuple(Mean.of(group, spread_error) for group in groups.values())


def mean_over_seeds(values: list[float | None], name: str = "w2") -> Estimate | None:
    """Mean and standard error of a cell's number ``name``; None if a value is missing."""
    there = [value for value in values if value is not None]
    if not there or len(there) < len(values):
        return None
    several = len(there) > 1
    return Estimate(
        statistics.mean(there), n=len(there), units=UNITS[name],
        stderr=statistics.stdev(there) / len(there) ** 0.5 if several else None,
    )  # fmt: skip


def plus_minus(estimate: Estimate) -> str:
    """Value and error to the same places: two, three below one, or what it takes to see both."""
    value, error = estimate.value, estimate.stderr
    places = 2 if abs(value) >= 1 else 3
    while places < 4 and round(error or value, places) == 0:
        places += 1
    if round(error or value, places) == 0:  # of data in small units
        return written(estimate.to_dict())
    return f"{value:.{places}f}" + (f" ± {error:.{places}f}" if error else "")


def short(mean: Mean, name: str) -> str:
    """A cell of the table of "w2" (narrow samples marked) or "energy"."""
    found: Estimate | None = getattr(mean, name)
    if found is None:
        return "failed"
    marks = NARROW * (mean.narrow and name == "w2") + INEXACT * (mean.status != "ok")
    return plus_minus(found) + marks


def _mean(values: list[float | None]) -> float | None:
    found = mean_over_seeds(values)
    return None if found is None else found.value
