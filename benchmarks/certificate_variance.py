"""What a way to draw pairs saves: variance of the mean square at the same number of pairs."""

import math
import time
from collections.abc import Callable, Iterator

import torch
from tests.problems import affine, gaussian, line
from tests.problems.base import Problem
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import squares
from wasserscore.certificate.statistics import mean_limit
from wasserscore.certificate.variance import freed
from wasserscore.core.random import Streams
from wasserscore.data import embedded
from wasserscore.process import VP
from wasserscore.sampling import solver
from wasserscore.score import EmpiricalScore

Row = dict[str, object]
PAIRS, REPEATS, LEVEL = 256, 4, 0.999


class Antithetic(Streams):
    """Rows 2i and 2i + 1 of every Gaussian are z and -z."""

    def normal(self, purpose: str, start: int, stop: int, shape: tuple[int, ...],
               like: Tensor, **options: torch.dtype) -> Tensor:  # fmt: skip
        """See :class:`Streams`."""
        z = super().normal(purpose, start // 2, -(-stop // 2), shape, like, **options)
        return torch.stack([z, -z], 1).flatten(0, 1)[start % 2 :][: stop - start]


class Stratified(Streams):
    """The starts' first coordinate has one point in each of n strata."""

    def normal(self, purpose: str, start: int, stop: int, shape: tuple[int, ...],
               like: Tensor, **options: torch.dtype) -> Tensor:  # fmt: skip
        """See :class:`Streams`."""
        z = super().normal(purpose, start, stop, shape, like, **options)
        if purpose == "start":
            generator, n = self.generator("strata"), stop - start
            uniform = torch.rand(n, generator=generator, dtype=torch.float64)
            order = torch.randperm(n, generator=generator)
            z.flatten(1)[:, 0] = math.sqrt(2) * torch.erfinv(2 * (order + uniform) / n - 1)
        return z


def digits(solver_name: str, eta: float, steps: int) -> Problem:
    """The smoothed digits against themselves: what grid and start cost."""
    points = embedded.digits().points
    score = EmpiricalScore(points, VP.linear(a=19.9, b=0.1, horizon=1.0), bandwidth=0.15)
    return Problem(f"digits, exact score, {solver_name}, {steps} steps", score, score,
                   lambda _: math.nan, solver_name, steps, "karras", eta,
                   options={"parts": 2})  # fmt: skip


def coupling(problem: Problem, streams: Streams) -> Coupling:
    return Coupling(problem.score, problem.reference, solver(problem.solver), problem.grid,
                    problem.noise_level, problem.start, problem.options.get("parts", 4),
                    streams)  # fmt: skip


def pair_squares(problem: Problem, streams: Streams) -> Tensor:
    ends = coupling(problem, streams).run(PAIRS)
    return squares(ends.reference, ends.model)


def measured(problem: Problem) -> Row:
    """Variance of the mean, plain over each way; above 1 it pays, pairs being equally many.

    Then what control variates make of the synchronous rung at level .999, and their share of time.
    """
    plain, antithetic, stratified, control, limits = [], [], [], [], []
    seconds = [0.0, 0.0]
    for seed in range(REPEATS):
        begin = time.process_time()
        v = pair_squares(problem, Streams(seed))
        seconds[0] += time.process_time() - begin
        plain.append(v.var() / PAIRS)
        paired = pair_squares(problem, Antithetic(seed)).reshape(-1, 2).mean(1)
        antithetic.append(paired.var() / (PAIRS / 2))
        stratified.append(_within_neighbours(problem, seed))
        begin = time.process_time()
        w = freed(v, coupling(problem, Streams(seed)))
        seconds[1] += time.process_time() - begin
        control.append(w.var() / PAIRS)
        limits.append(math.sqrt(mean_limit(w, LEVEL) / mean_limit(v, LEVEL)))
    base = torch.stack(plain).mean()
    gain = lambda found: float(base / torch.stack(found).mean())
    return {
        "problem": problem.name,
        "eta": problem.noise_level,
        "antithetic": f"{gain(antithetic):.2f}",
        "stratified": f"{gain(stratified):.2f}",
        "control variate": f"{gain(control):.2f}" if gain(control) < 1e4 else "> 10000",
        "its limit over the plain one": f"{sum(limits) / REPEATS:.3f}",
        "its share of the time": f"{seconds[1] / sum(seconds):.0%}",
    }


def _within_neighbours(problem: Problem, seed: int) -> Tensor:
    """Variance of a stratified mean from differences of values in neighbouring strata."""
    streams = Stratified(seed)
    one = coupling(problem, streams)
    z = one.streams.normal("start", 0, PAIRS, problem.reference.shape, torch.empty(0).double())
    order = z.flatten(1)[:, 0].argsort()
    ends = one.run(PAIRS)
    v = squares(ends.reference, ends.model)[order]
    return (v[::2] - v[1::2]).square().mean() / 2 / PAIRS


def problems() -> list[Problem]:
    """Linear Gaussian, on the line, moved mixtures, and digits."""
    return [
        *(gaussian.random_problem(i) for i in (0, 1, 4, 7, 8, 10, 15)),
        *(line.random_problem(i) for i in (0, 3, 9)),
        *(affine.random_problem(i) for i in (0, 4)),
        digits("heun", 0.0, 10),
        digits("exponential", 1.0, 20),
    ]


def cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """All problems by name."""
    for problem in problems():
        yield problem.name, lambda problem=problem: measured(problem)
