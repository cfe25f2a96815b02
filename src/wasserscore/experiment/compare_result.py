"""The result of a comparison: all cells, what to read them beside, and which are the best."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scipy.stats import t as student

from wasserscore.core.results import Record
from wasserscore.experiment.compare_records import (
    NARROW,
    Cell,
    Mean,
    Yardstick,
    plus_minus,
    short,
)

ENOUGH_SEEDS = 3


@dataclass(frozen=True)
class Comparison(Record):
    """A finished comparison; prints as a table of W2 by steps.

    The best cell is the one with the smallest *energy distance*. W2 between two finite clouds
    cannot choose: in many dimensions even two clouds of one law are far apart, and a blurred
    cloud, nearer to the mean, is closer to all of them. The energy distance is smallest at the
    law itself. Cells with W2 that is small for this reason are marked as narrow.

    Args:
        data: Name, rows and hash of what was fed in.
        model: Name of the score that all cells share.
        n: Points in every cloud.
        grid: Where the steps go.
        w2: What every W2 must be read beside.
        energy: What every energy distance must be read beside.
        cells: One per process, solver, number of steps and seed.
        means: Over the seeds.
        notes: What a reader should know.
        provenance: Settings, versions, command.
    """

    data: dict[str, Any]
    model: str
    n: int
    grid: str
    w2: Yardstick
    energy: Yardstick
    cells: tuple[Cell, ...]
    means: tuple[Mean, ...]
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] | None = None

    @property
    def processes(self) -> tuple[str, ...]:
        """Labels, in the order asked for."""
        return tuple(dict.fromkeys(m.process for m in self.means))

    @property
    def solvers(self) -> tuple[str, ...]:
        """Labels, in the order asked for."""
        return tuple(dict.fromkeys(m.solver for m in self.means))

    @property
    def steps(self) -> tuple[int, ...]:
        """Numbers of steps, in the order asked for."""
        return tuple(dict.fromkeys(m.steps for m in self.means))

    def mean(self, process: str, solver: str, steps: int) -> Mean:
        """The mean of one place in the table.

        Raises:
            KeyError: If the comparison has no such cells.
        """
        for mean in self.means:
            if (mean.process, mean.solver, mean.steps) == (process, solver, steps):
                return mean
        raise KeyError((process, solver, steps))

    def best(self, process: str | None = None, steps: int | None = None) -> Mean | None:
        """The smallest mean energy distance, of one process or number of steps if told."""
        there = [
            m for m in self.means
            if m.energy is not None and m.status == "ok"
            and process in (None, m.process) and steps in (None, m.steps)
        ]  # fmt: skip
        return min(there, key=_value, default=None)

    def cheapest(self, process: str) -> Mean | None:
        """The fewest evaluations that are not shown to be worse than the process's best.

        One-sided paired t-test of the energy distances over the seeds at 5 %: cells of one seed
        share their noise. None with fewer than ``ENOUGH_SEEDS``: such a test sees nothing.
        """
        best = self.best(process)
        leading = [] if best is None else self._by_seed(best)
        if len(leading) < ENOUGH_SEEDS:
            return None
        alike = [
            m for m in self.means
            if m.process == process and m.status == "ok" and m.energy is not None
            and _not_worse([a - b for a, b in zip(self._by_seed(m), leading, strict=True)])
        ]  # fmt: skip
        return min(alike, key=lambda m: (m.evaluations, _value(m)))

    def _by_seed(self, mean: Mean) -> list[float]:
        place = (mean.process, mean.solver, mean.steps)
        return [c.energy for c in self.cells
                if (c.process, c.solver, c.steps) == place and c.energy is not None]  # fmt: skip

    def rows(self) -> Iterator[dict[str, Any]]:
        """The cells in long form, floors and baselines in every row (for a DataFrame)."""
        beside: dict[str, Any] = {}
        for name, scale in (("w2", self.w2), ("energy", self.energy)):
            beside |= {
                f"{name}_floor": scale.floor.value,
                f"{name}_floor_stderr": scale.floor.stderr,
                f"{name}_bootstrap": scale.bootstrap.value,
                f"{name}_bootstrap_stderr": scale.bootstrap.stderr,
                f"{name}_exact_draws": scale.exact_draws and scale.exact_draws.value,
            }
        for cell in self.cells:
            yield {"model": self.model, "grid": self.grid, "n": self.n,
                   **cell.to_dict(), **beside}  # fmt: skip

    def verdicts(self) -> Iterator[str]:
        """For every process its best cell, and the cheapest one that is as good."""
        for process in self.processes:
            best, cheap = self.best(process), self.cheapest(process)
            if best is None:
                yield f"{process}: no cell succeeded"
                continue
            line = f"{process}: best {_words(best)}"
            if cheap is not None and cheap != best:
                line += f"; not shown worse: {_words(cheap)}"
            yield line

    def __repr__(self) -> str:
        rows = [("process", "solver", *(f"{k} steps" for k in self.steps))]
        for process in self.processes:
            for solver in self.solvers:
                found = (self.mean(process, solver, k) for k in self.steps)
                rows.append((process, solver, *(short(m, "w2") for m in found)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        title = f"{self.data['name']}, {self.model}: W2 to {self.n} held-out rows, mean over seeds"
        return "\n".join([title, *table, *self.beside(), *self.verdicts(), *self.notes])

    def beside(self) -> Iterator[str]:
        """What the distances must be read beside, one line each."""
        for (words, w2), (_, energy) in zip(self.w2.lines(), self.energy.lines(), strict=True):
            yield f"{words}: W2 {plus_minus(w2)}, energy distance {plus_minus(energy)}"
        if any(mean.narrow for mean in self.means):
            yield f"{NARROW} narrower than the data: W2 rewards blur, the energy distance does not"


def _not_worse(differences: list[float]) -> bool:
    """Whether the mean difference is below its one-sided 95 % Student limit."""
    k = len(differences)
    error = statistics.stdev(differences) / k**0.5
    limit: float = student.ppf(0.95, k - 1) * error
    return bool(statistics.mean(differences) <= limit)


def _words(mean: Mean) -> str:
    text = (f"{mean.solver}, {mean.steps} steps ({mean.evaluations} evaluations): energy distance "
            f"{short(mean, 'energy')}, W2 {short(mean, 'w2')}")  # fmt: skip
    return text + (f", {100 * mean.copy_rate:.0f} % copies" if mean.copy_rate else "")


def _value(mean: Mean) -> float:
    assert mean.energy is not None
    return mean.energy.value
