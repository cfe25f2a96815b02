r"""Model mode: the user's own score, run coarse and fine on the same start and the same noise.

For any two runs that share their randomness :math:`W_2 \le (E|Y_K - Y_\infty|^2)^{1/2}`, and near
the limit the runs are close, so the coupling is nearly the optimal one: the discretisation error
is read off it, in any dimension and below the noise floor of plug-in distances. Without noise the
fine run is one Heun solution for all solvers; with noise it is the same solver with every step
cut into ``CUTS``, the coarse noise being the sum of the fine ones, and the error that it still has
in common with the coarse run is added back at the solver's order.

Samples that end in a wrong mode count where one of the pairs does; rarer ones go unseen, and
:data:`UNSEEN` says how much that may be. What the start costs is taken from the data's Gaussian
surrogate; the score's own error is not planned for: :func:`wasserscore.certify` measures it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wasserscore.certificate.base import Assumption
from wasserscore.core.random import Streams
from wasserscore.core.typing import Noise, Points, ScoreFn
from wasserscore.data import in_data_units
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.candidate import AROUND, Candidate, Measured
from wasserscore.planner.problem import Problem, silent
from wasserscore.planner.result import Option
from wasserscore.planner.search import options_of, search
from wasserscore.planner.split import Split, start_error
from wasserscore.process import Process
from wasserscore.sampling import RowNoise, Sampler, Solver, time_grid
from wasserscore.sampling import solver as solver_named
from wasserscore.sampling.subject import like_of, scaling_of, shape_of

SOLVERS = ("heun", "dpmpp_2m", "deis", "ddim")
"""Compared unless the user names some: every trial runs the score."""
GRIDS = ("karras", "logsnr")
PAIRS = 256
CUTS = 8
FINE = (64, 128, 256, 512, 1024, 2048)
"""Heun steps of the common fine run, until two differ by little."""
SETTLED = 0.03
"""Accepted difference of two fine runs, in units of the target; the finer errs by a third."""
UNSEEN = 3 / PAIRS
"""Share of samples whose error all of the pairs miss once in twenty times."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of one score from the same starts.

    Args:
        score: Any callable ``(x, t)``.
        process: Its process.
        shape: The shape of a point.
        target: The W2 that is planned for, data units.
        n: How many starts.
        seed: Of starts and noise.
        tell: Told how far the converged run has come.
    """

    score: ScoreFn
    process: Process
    shape: tuple[int, ...]
    target: float
    n: int = PAIRS
    seed: int = 0
    tell: Callable[[str, int, int], object] = silent

    @torch.no_grad()
    def discretisation(self, solver: Solver, grid: TimeGrid, eta: float) -> float:
        """Root-mean-square distance between a run on the grid and the converged one."""
        if eta == 0 and solver.noises == 1:
            return self._distance(self._run(solver, grid, 0.0, None), self.converged)
        fine = grid.refine(CUTS)
        rows = slice(0, self.n)
        noise = RowNoise(Streams(self.seed), rows, self.shape, self._like, solver.noises)
        coarse = self._run(solver, grid, eta, self._sums(noise, fine))
        apart = self._distance(coarse, self._run(solver, fine, eta, noise))
        return float(apart / (1 - CUTS**-solver.order))

    @cached_property
    def converged(self) -> Points:
        """The probability flow of the score from the common starts, by Heun on finer grids."""
        before: Points | None = None
        for level, steps in enumerate(FINE):
            self.tell("converged flow", level, len(FINE))
            ends = self._run("heun", time_grid(self.process, steps), 0.0, None)
            if before is not None and self._distance(before, ends) <= SETTLED * self.target:
                break
            before = ends
        self.tell("converged flow", len(FINE), len(FINE))
        return ends

    def _run(
        self, solver: Solver | str, grid: TimeGrid, eta: float, noise: Noise | None
    ) -> Points:
        z = Streams(self.seed).normal("start", 0, self.n, self.shape, self._like)
        sampler = Sampler(self.score, self.process, solver, grid, eta)
        return sampler.run(sampler.from_noise(z), noise)

    def _sums(self, noise: Noise, fine: TimeGrid) -> Noise:
        """The coarse noise: the fine ones weighted by the variance each adds, natural clock."""
        added = -self.process.noise_to_signal(fine.times).diff().reshape(-1, CUTS)
        weights = (added / added.sum(1, keepdim=True)).sqrt().tolist()

        def total(k: int) -> Tensor:
            parts = [w * noise(k * CUTS + j) for j, w in enumerate(weights[k])]
            return torch.stack(parts).sum(0)

        return total

    @property
    def _like(self) -> Tensor:
        return like_of(self.score, None, None, None)

    def _distance(self, x: Points, y: Points) -> float:
        scaling = scaling_of(self.score)
        gap = in_data_units(scaling, x) - in_data_units(scaling, y)
        value = float(gap.double().flatten(1).square().sum(1).mean().sqrt())
        return value if math.isfinite(value) else math.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class Modelled(Measured):
    """A candidate judged by running the user's score; its horizon is the score's own.

    Args:
        runs: The runs of that score.
    """

    runs: Runs

    @property
    def early(self) -> bool:
        """What needs the fewest evaluations as a rule: each of them runs the user's score."""
        return self.solver.name == "dpmpp_2m"

    @property
    def _around(self) -> tuple[float, ...]:
        return (*AROUND, 2 * AROUND[-1])  # runs are what model mode is about: look further

    @cached_property
    def _range(self) -> tuple[int, int]:
        return self._last, self._last

    def _judge(self, grid: TimeGrid) -> Split:
        ratio = float(self.process.noise_to_signal(grid.start))
        surrogate = self.problem.surrogate
        start = surrogate.norm(*start_error(surrogate, ratio, self.eta))
        steps = self.runs.discretisation(self.solver, grid, self.eta)
        return Split(start, steps, 0.0, start + steps)


def model_options(
    problem: Problem,
    score: ScoreFn,
    process: Process,
    solvers: Sequence[Solver] | None,
    kinds: Sequence[str] | None,
    most: int,
    seed: int,
    *,
    curves: bool = False,
) -> tuple[list[Option], list[TimeGrid | None], list[tuple[Assumption, ...]]]:
    """Every solver and grid with the fewest steps for the user's own score.

    Args:
        problem: The surrogate (for the start) and the target.
        score: The score.
        process: Its process, with the horizon it was trained to.
        solvers: The solvers to compare; :data:`SOLVERS` if None.
        kinds: The grids to compare; :data:`GRIDS` if None.
        most: Give up on a candidate beyond so many steps.
        seed: Of the runs.
        curves: Whether to work out W2 around the steps found.
    """
    flat = None if hasattr(score, "shape") else (problem.surrogate.dim,)
    shape = shape_of(score, flat, None)
    runs = Runs(score, process, shape, problem.target, seed=seed, tell=problem.tell)
    candidates: list[Candidate] = [
        Modelled(problem, process, method, method.default_eta, kind, runs=runs)
        for method in solvers or [solver_named(name) for name in SOLVERS]
        for kind in kinds or GRIDS
    ]
    trials = search(candidates, most)
    options = options_of(candidates, trials, ["not reached"] * len(trials), curves=curves)
    grids = [None if trial is None else trial.grid for trial in trials]
    return options, grids, [_assumptions(problem.surrogate.spread)] * len(options)


def _assumptions(spread: float) -> tuple[Assumption, ...]:
    """What every plan of this mode rests on; a sample in a wrong mode may be any other point."""
    jumps = (2 * UNSEEN) ** 0.5 * spread
    return (
        Assumption(
            "Gaussian surrogate of the start", "assumed", "what the prior costs at the horizon"
        ),
        Assumption(
            "no unseen rare jumps", "assumed",
            f"{PAIRS} samples are run; ends in a wrong mode of fewer than 3 in {PAIRS} may not be "
            f"seen, and make W2 up to about {jumps:.2g}",
        ),
        Assumption("the score's own error is not counted", "assumed", "certify() measures it"),
    )  # fmt: skip
