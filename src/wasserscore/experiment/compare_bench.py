"""The cells of a comparison: each is computed once, kept by what decides its number."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from torch import Tensor

from wasserscore import __version__
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, plain
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.distance import NoiseFloor, energy, noise_floor, w2
from wasserscore.dynamics import TimeGrid
from wasserscore.experiment.compare_config import Forward, Method
from wasserscore.experiment.compare_records import Cell, Yardstick, mean_over_seeds
from wasserscore.experiment.compare_subject import Subject, fingerprint
from wasserscore.experiment.copies import copy_rate
from wasserscore.experiment.folder import RunFolder
from wasserscore.planner import Surrogate
from wasserscore.planner.split import split
from wasserscore.process import Process
from wasserscore.sampling import sample, time_grid
from wasserscore.score.base import ClosedFormScore

FORMAT = 1
"""Of what is kept; raised when a cell holds other numbers than before."""


@dataclass(frozen=True, eq=False)
class Bench:
    """One score, one hold-out, one place to keep results.

    Args:
        subject: The fitted law and its rows.
        grid: Where the steps go.
        folder: Where results are kept; None keeps nothing.
    """

    subject: Subject
    grid: str
    folder: RunFolder | None
    _added: dict[tuple[str, str, int], float | None] = field(default_factory=dict, repr=False)

    def cell(self, forward: Forward, method: Method, steps: int, seed: int) -> Cell:
        """One cell, from the folder if it is there."""
        found = self._kept(
            f"cell-{method.solver.name}-{steps}-{seed}",
            lambda: self._measure(forward, method, steps, seed),
            process=forward.process, grid=self.grid, solver=method.solver.name, eta=method.eta,
            steps=steps, seed=seed,
        )  # fmt: skip
        return Cell(process=forward.label, solver=method.label, eta=method.eta, steps=steps,
                    seed=seed, **found)  # fmt: skip

    def yardsticks(self, resplits: int, seed: int, seeds: range) -> tuple[Yardstick, Yardstick]:
        """What W2 and energy distances must be read beside, at the size of the hold-out.

        Args:
            resplits: Resplits behind the floors.
            seed: Of the resplits.
            seeds: Of the exact draws, one cloud each.
        """
        exact = [
            self._kept(f"exact-{s}", partial(self._exact, s), seed=s)
            for s in seeds
            if isinstance(self.subject.score, ClosedFormScore)
        ]
        found = self._kept("floor", lambda: self._floors(resplits, seed), resplits=resplits,
                           seed=seed)  # fmt: skip
        w2_, energy_ = (
            Yardstick(
                floor=Estimate(**found[name]["floor"]),
                bootstrap=Estimate(**found[name]["bootstrap"]),
                exact_draws=mean_over_seeds([draw[name] for draw in exact], name),
            )
            for name in ("w2", "energy")
        )
        return w2_, energy_

    @cached_property
    def spread_error(self) -> float:
        """Relative standard error of the spread of the held-out rows: half of the variance's."""
        squares = _squares(self.subject.holdout.points)
        return float(squares.std() / len(squares) ** 0.5 / (2 * squares.mean()))

    # Inside -------------------------------------------------------------------------------------

    def _measure(self, forward: Forward, method: Method, steps: int, seed: int) -> dict[str, Any]:
        score, holdout = self.subject.under(forward.process), self.subject.holdout
        grid = time_grid(forward.process, steps, self.grid)
        out: dict[str, Any] = {
            "evaluations": method.solver.evaluations(grid), "w2": None, "energy": None,
            "spread": None, "copy_rate": None,
            "gaussian_added_w2": self._predict(forward, method, grid),
        }  # fmt: skip
        began = time.perf_counter()
        try:
            points = sample(score, holdout.n, solver=method.solver, grid=grid, eta=method.eta,
                            seed=seed)  # fmt: skip
        except InputError as error:  # everything else was checked before: not finite
            return {**out, "seconds": time.perf_counter() - began, "status": str(error)}
        seconds, rows = time.perf_counter() - began, self.subject.rows(points)
        found = w2(rows, holdout.points)
        spread = (_squares(rows).mean() / _squares(holdout.points).mean()).sqrt()
        return {
            **out, "w2": found.value, "energy": energy(rows, holdout.points).value,
            "spread": float(spread), "copy_rate": copy_rate(self.subject.train, rows).value,
            "seconds": seconds, "status": found.status,
        }  # fmt: skip

    def _predict(self, forward: Forward, method: Method, grid: TimeGrid) -> float | None:
        key = (forward.label, method.label, grid.steps)
        if key not in self._added:
            try:
                found = split(self._surrogate, forward.process, method.solver, grid,
                              eta=method.eta).w2  # fmt: skip
            except InputError:  # a solver that is not affine on Gaussian data
                found = None
            self._added[key] = found
        return self._added[key]

    def _floors(self, resplits: int, seed: int) -> dict[str, NoiseFloor]:
        train, holdout = self.subject.train.points, self.subject.holdout.points
        return {
            name: noise_floor(distance, train=train, holdout=holdout, n=len(holdout),
                              resplits=resplits, seed=seed)
            for name, distance in (("w2", w2), ("energy", energy))
        }  # fmt: skip

    def _exact(self, seed: int) -> dict[str, float]:
        score, holdout = self.subject.score, self.subject.holdout
        generator = Streams(seed).generator("compare/exact")
        points = score.sample_marginal(holdout.n, generator=generator)
        if score.scaling is not None:
            points = score.scaling.undo(points)
        rows = self.subject.rows(points)
        return {"w2": w2(rows, holdout.points).value,
                "energy": energy(rows, holdout.points).value}  # fmt: skip

    def _kept(self, name: str, compute: Callable[[], Any], **decides: Any) -> Any:
        """The result of ``compute`` as JSON types; from the folder where all is as it was."""
        if self.folder is None:
            return plain(compute())
        calls = {k: v.to_dict() if isinstance(v, Process) else v for k, v in decides.items()}
        key = {
            "version": __version__, "format": FORMAT, "model": self._fingerprint,
            "train": self.subject.train.sha256, "holdout": self.subject.holdout.sha256, **calls,
        }  # fmt: skip
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        kept = self.folder.stage(f"{name}-{digest}", lambda: {"key": key, "found": compute()})
        return kept["found"]

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.subject.score)

    @cached_property
    def _surrogate(self) -> Surrogate:
        """The moments of the model, or of its training rows where it has none."""
        score, train = self.subject.score, self.subject.train
        if isinstance(score, ClosedFormScore):
            return Surrogate.of(score)
        points = train.points if score.dim == train.d else train.varying
        scaling = score.scaling
        return Surrogate.of(points if scaling is None else scaling.apply(points), scaling)


def _squares(points: Cloud) -> PerPoint:
    """Squared distance of each row to the mean; their mean is the total variance."""
    squares: Tensor = (points - points.mean(0)).square().sum(1)
    return squares
