"""What a way to draw pairs saves: variance of the mean square at the same number of pairs."""

import math
from collections.abc import Callable, Iterator

import torch
from tests.problems import affine, gaussian, line
from tests.problems.base import Problem
from torch import Tensor

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.proposal import squares
from wasserscore.certificate.variance import controlled, gaussian_end
from wasserscore.core.random import Streams
from wasserscore.data import embedded
from wasserscore.process import VP
from wasserscore.sampling import solver
from wasserscore.score import EmpiricalScore

Row = dict[str, object]
PAIRS, REPEATS = 256, 4


class Antithetic(Streams):
    """Rows 2i and 2i + 1 of every Gaussian are z and -z."""

    def normal(self, purpose: str, start: int, stop: int, shape: tuple[int, ...],
               like: Tensor) -> Tensor:  # fmt: skip
        """See :class:`Streams`."""
        z = super().normal(purpose, start // 2, -(-stop // 2), shape, like)
        return torch.stack([z, -z], 1).flatten(0, 1)[start % 2 :][: stop - start]


class Stratified(Streams):
    """The starts' first coordinate has one point in each of n strata."""

    def normal(self, purpose: str, start: int, stop: int, shape: tuple[int, ...],
               like: Tensor) -> Tensor:  # fmt: skip
        """See :class:`Streams`."""
        z = super().normal(purpose, start, stop, shape, like)
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
    """Variance of the mean, plain over each way; above 1 it pays, pairs being equally many."""
    plain, antithetic, means, stratified, control = [], [], [], [], []
    for seed in range(REPEATS):
        v = pair_squares(problem, Streams(seed))
        plain.append(v.var() / PAIRS)
        means.append(v.mean())
        paired = pair_squares(problem, Antithetic(seed)).reshape(-1, 2).mean(1)
        antithetic.append(paired.var() / (PAIRS / 2))
        stratified.append(_within_neighbours(problem, seed))
        u = gaussian_end(coupling(problem, Streams(seed)), PAIRS)
        control.append(controlled(v, u).var() / PAIRS)
    base = torch.stack(plain).mean()
    gain = lambda found: float(base / torch.stack(found).mean())
    return {
        "problem": problem.name,
        "eta": problem.noise_level,
        "antithetic": f"{gain(antithetic):.2f}",
        "stratified": f"{gain(stratified):.2f}",
        "control variate": f"{gain(control):.2f}" if gain(control) < 1e4 else "> 10000",
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
