"""The solvers by name."""

from collections.abc import Iterator
from dataclasses import dataclass

from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.dynamics import Heun
from wasserscore.sampling import coefficients
from wasserscore.sampling.solver import Solver

_ALL = (
    Solver("heun", 2, 2, 0.0, "Karras et al. 2022, algorithm 1", stochastic=False,
           build=lambda law: Heun(law.sde(), singular=0.0)),
    Solver("euler", 1, 1, 0.0, "Karras et al. 2022, table 1",
           coefficients=coefficients.euler_maruyama),
    Solver("ddim", 1, 1, 0.0, "Song, Meng, Ermon 2021, eq. (12)",
           coefficients=coefficients.ddim),
    Solver("ancestral", 1, 1, 1.0, "Ho, Jain, Abbeel 2020, eq. (7)",
           coefficients=coefficients.ddim),
    Solver("exponential", 1, 1, 0.0, "Gao, Nguyen, Zhu 2025; Zhang, Chen 2023",
           coefficients=coefficients.exponential),
    Solver("euler_maruyama", 1, 1, 1.0, "Song et al. 2021, appendix D",
           coefficients=coefficients.euler_maruyama),
    Solver("integrated_euler", 1, 1, 1.0, "Gao, Nguyen, Zhu 2025, eq. (2.7)",
           coefficients=coefficients.integrated_euler),
)  # fmt: skip
_BY_NAME = {entry.name: entry for entry in _ALL}


def solver(name: str | Solver) -> Solver:
    """The solver of this name; a :class:`Solver` is returned as it is.

    Raises:
        InputError: If the name is unknown; lists the known ones.
    """
    if isinstance(name, Solver):
        return name
    require(name in _BY_NAME, "unknown solver", got=repr(name),
            do=f"one of {', '.join(_BY_NAME)}")  # fmt: skip
    return _BY_NAME[name]


@dataclass(frozen=True)
class SolverTable(Record):
    """The solvers, one row each; prints as a table."""

    solvers: tuple[Solver, ...]

    def __iter__(self) -> Iterator[Solver]:
        return iter(self.solvers)

    def __len__(self) -> int:
        return len(self.solvers)

    def __repr__(self) -> str:
        rows = [("solver", "order", "evaluations", "eta", "source"), *map(_row, self.solvers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(entry: Solver) -> tuple[str, ...]:
    eta = f"0 to 1 ({entry.default_eta:g})" if entry.stochastic else "0"
    evaluations = f"{entry.evaluations_per_step} per step"
    return entry.name, str(entry.order), evaluations, eta, entry.source


def solvers() -> SolverTable:
    """Every solver: order, evaluations per step, the eta it takes (and its default), source."""
    return SolverTable(_ALL)
