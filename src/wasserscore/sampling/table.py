"""The solvers by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from wasserscore.core.errors import require
from wasserscore.core.results import Record
from wasserscore.dynamics import (
    AdamsBashforth,
    Heun,
    RelaxationMidpoint,
    RelaxationMultistep,
    Step,
    log_adams_weights,
)
from wasserscore.sampling import coefficients
from wasserscore.sampling.adaptive import adaptive
from wasserscore.sampling.churn import heun_churn
from wasserscore.sampling.corrector import predictor_corrector
from wasserscore.sampling.law import Law
from wasserscore.sampling.natural import NaturalLaw
from wasserscore.sampling.solver import Solver

Method = partial(Solver, eta_law=True)
"""A solver whose finer and finer grids lead to the reverse process at its eta."""
_ANCESTRAL = Method("ancestral", 1, 1, 1.0, "Ho, Jain, Abbeel 2020, eq. (7)",
                    coefficients=coefficients.ddim)  # fmt: skip


def _deis(law: Law) -> Step:
    natural = NaturalLaw(law)
    return natural.lift(AdamsBashforth(natural.noise, 3, log_adams_weights))


def _dpmpp_2s(law: Law) -> Step:
    natural = NaturalLaw(law)
    return natural.lift(RelaxationMidpoint(natural.data))


def _dpmpp_2m(law: Law) -> Step:
    natural = NaturalLaw(law)
    return natural.lift(RelaxationMultistep(natural.data, law.eta))


_ALL = (
    Method("heun", 2, 2, 0.0, "Karras et al. 2022, algorithm 1", stochastic=False,
           build=lambda law: Heun(law.sde(), singular=0.0)),
    heun_churn(),
    Method("dpmpp_2m", 2, 1, 0.0, "Lu et al. 2022, algorithm 2", build=_dpmpp_2m, memory=True),
    Method("dpmpp_2m_sde", 2, 1, 1.0, "Lu et al. 2022, SDE-DPM-Solver++(2M)", build=_dpmpp_2m,
           memory=True),
    Method("dpmpp_2s", 2, 2, 0.0, "Lu et al. 2022, algorithm 1", stochastic=False,
           build=_dpmpp_2s),
    Method("dpmpp_1s", 1, 1, 0.0, "Lu et al. 2022, eqs. (9), (18)",
           coefficients=coefficients.dpmpp_1s),
    Method("dpm_1s", 1, 1, 1.0, "Lu et al. 2022, SDE-DPM-Solver-1",
           coefficients=coefficients.dpm_1s),
    Method("deis", 3, 1, 0.0, "Zhang, Chen 2023, log-rho DEIS of order 3", stochastic=False,
           build=_deis, memory=True),
    Method("ddim", 1, 1, 0.0, "Song, Meng, Ermon 2021, eq. (12)",
           coefficients=coefficients.ddim),
    _ANCESTRAL,
    Method("euler", 1, 1, 0.0, "Karras et al. 2022, table 1",
           coefficients=coefficients.euler_maruyama),
    Method("exponential", 1, 1, 0.0, "Gao, Zhu 2025; Zhang, Chen 2023",
           coefficients=coefficients.exponential),
    Method("integrated_euler", 1, 1, 1.0, "Gao, Nguyen, Zhu 2025, eq. (2.7)",
           coefficients=coefficients.integrated_euler),
    Method("euler_maruyama", 1, 1, 1.0, "Song et al. 2021, appendix D",
           coefficients=coefficients.euler_maruyama),
    predictor_corrector(_ANCESTRAL),
)  # fmt: skip
_ADAPTIVE = adaptive()
_BY_NAME = {entry.name: entry for entry in (*_ALL, _ADAPTIVE)}


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
    """The solvers of fixed cost, one row each; prints as a table, the adaptive one below."""

    solvers: tuple[Solver, ...]

    def __iter__(self) -> Iterator[Solver]:
        return iter(self.solvers)

    def __len__(self) -> int:
        return len(self.solvers)

    def __repr__(self) -> str:
        rows = [
            ("solver", "order", "evaluations", "eta", "source"),
            *map(_row, (*self.solvers, _ADAPTIVE)),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(entry: Solver) -> tuple[str, ...]:
    eta = f"0 to 1 ({entry.default_eta:g})" if entry.stochastic else "0"
    evaluations = f"{entry.evaluations_per_step} per step"
    if entry is _ADAPTIVE:
        evaluations = "by tolerance"
    return entry.name, str(entry.order), evaluations, eta, entry.source


def solvers() -> SolverTable:
    """Every solver: order, evaluations per step, the eta it takes (and its default), source."""
    return SolverTable(_ALL)
