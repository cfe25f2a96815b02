"""What is compared: processes x solvers x steps x seeds, and nothing that decides no number."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from wasserscore.core.errors import require
from wasserscore.experiment.config import HoldoutConfig, Steps
from wasserscore.process import PRESETS, Process, from_text
from wasserscore.sampling import Solver, solvers
from wasserscore.sampling import solver as solver_named

PROCESSES = ("edm", "vp-linear", "vp-cosine")
SOLVERS = ("heun", "dpmpp_2m", "ddim", "euler_maruyama")
STEPS = (5, 10, 20)
ModelName = Literal["proximal", "empirical", "gaussian", "network"]


@dataclass(frozen=True)
class Forward:
    """A forward process and what tables call it."""

    label: str
    process: Process

    @classmethod
    def of(cls, given: Any) -> "Forward":
        """From a process, its spelling, or a pair of a label and either."""
        if isinstance(given, Forward):
            return given
        if isinstance(given, str):
            return cls(given, from_text(given))
        if isinstance(given, Process):
            named = (name for name, preset in PRESETS.items() if preset == given)
            return cls(next(named, repr(given)), given)
        pair = isinstance(given, tuple) and len(given) == 2
        require(pair, "a process is a spelling or a process of ours", got=repr(given)[:80])
        return cls(str(given[0]), cls.of(given[1]).process)


@dataclass(frozen=True)
class Method:
    """A solver with its stochasticity and what tables call it."""

    label: str
    solver: Solver
    eta: float

    @classmethod
    def of(cls, given: Any) -> "Method":
        """From ``"ddim"``, or ``"ddim:0.5"`` with a stochasticity other than the default."""
        if isinstance(given, Method):
            return given
        name, mark, eta = str(given).partition(":")
        method = solver_named(name)
        require(method in tuple(solvers()), "a comparison needs solvers of fixed cost", got=name,
                do="the number of its evaluations does not follow from the steps")  # fmt: skip
        try:
            return cls(str(given), method, method.eta(float(eta) if mark else None))
        except ValueError as error:
            raise ValueError(f"solver {given!r}: {error}") from None


def listed(given: Any) -> Any:
    """A comma-separated string, one thing or several as a tuple; commas in brackets are kept."""
    if isinstance(given, str):
        parts = re.split(r",(?![^(]*\))", given)
        return tuple(part.strip() for part in parts if part.strip())
    if isinstance(given, Mapping):
        return tuple(given.items())
    return tuple(given) if isinstance(given, list | tuple) else (given,)


Several = BeforeValidator(listed)
Process_ = Annotated[InstanceOf[Forward], BeforeValidator(Forward.of)]
Solver_ = Annotated[InstanceOf[Method], BeforeValidator(Method.of)]


class CompareConfig(HoldoutConfig):
    """A comparison; its seed is also that of the fit and the floor, and the first of sampling.

    Args:
        model: Whose score all cells share; None takes "proximal" for data and the last fitted
            model of a run folder.
        processes: Names of presets, calls such as ``VP.linear(a=19.9, b=0.1)``, or processes.
        solvers: Names, with ``:eta`` for another stochasticity than the solver's own.
        steps: Numbers of steps.
        seeds: How many sampling seeds, from ``seed`` on; error bars are over them.
        grid: Where the steps go; see :func:`wasserscore.sampling.time_grid`.
        n: Points in every cloud; None takes as many as both halves have, at most ``LARGEST``.
        resplits: Resplits behind the floor's error bar.
    """

    model: ModelName | None = None
    processes: Annotated[tuple[Process_, ...], Several] = Field(
        default=PROCESSES, validate_default=True
    )
    solvers: Annotated[tuple[Solver_, ...], Several] = Field(
        default=SOLVERS, validate_default=True
    )
    steps: Annotated[tuple[Steps, ...], Several] = STEPS
    seeds: int = Field(default=3, ge=1, le=1000)
    grid: Literal["karras", "logsnr", "uniform"] = "karras"
    n: int | None = Field(default=None, ge=2)
    resplits: int = Field(default=10, ge=2, le=1000)

    @model_validator(mode="after")
    def _each_once(self) -> "CompareConfig":
        for name in ("processes", "solvers", "steps"):
            values = [getattr(value, "label", value) for value in getattr(self, name)]
            if not values or len(set(values)) < len(values):
                raise ValueError(f"name at least one of {name}, and each only once")
        return self

    @property
    def sampling_seeds(self) -> range:
        """The seeds of every row of cells."""
        return range(self.seed, self.seed + self.seeds)

    def describe(self) -> dict[str, Any]:
        """The settings as JSON types, processes by label and call."""
        return {
            **self.model_dump(mode="json", exclude={"processes", "solvers"}),
            "processes": {forward.label: repr(forward.process) for forward in self.processes},
            "solvers": [method.label for method in self.solvers],
        }

    def command(self, source: Any, holdout: Any = None) -> str:
        """The command line that asks for the same cells."""
        known = [f.label if f.label in PRESETS else repr(f.process) for f in self.processes]
        words = ["--processes", ",".join(known)]
        words += ["--solvers", ",".join(method.label for method in self.solvers)]
        words += ["--steps", ",".join(map(str, self.steps)), "--seeds", str(self.seeds)]
        words += ["--grid", self.grid, "--seed", str(self.seed)]
        for name, value in (("model", self.model), ("n", self.n), ("holdout", holdout),
                            ("schema", self.table_schema), ("group", self.group),
                            ("order", self.order)):  # fmt: skip
            if value is not None:
                words += [f"--{name}", str(value)]
        if self.resplits != type(self)().resplits:
            words += ["--set", f"resplits={self.resplits}"]
        line = ["wasserscore", "compare", str(source), *words]
        return shlex.join(line) + " --out DIR"
