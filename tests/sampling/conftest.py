"""A Gaussian target with its exact score, and the exact law of a sampler run on it.

Every method of ours is affine in its points when the score is; so the law of its output follows
from a few runs: one from 0, one from 1, and one per noise entry with that entry set to 1.
"""

from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from tests.problems.orders import MEAN, PROCESSES, SPECTRUM, STEPS, fitted, smooth_grid

from wasserscore.sampling import Sampler, solver, time_grid


@dataclass(frozen=True)
class Gaussian:
    mean: torch.Tensor
    variance: torch.Tensor

    def score(self, process):
        known = {}

        def gaussian_score(x, t):
            if float(t) not in known:
                known[float(t)] = self.at(process, t)
            mean, variance = known[float(t)]
            return -(x - mean) / variance

        return gaussian_score

    def at(self, process, t):
        alpha = process.alpha(t)
        return alpha * self.mean, alpha**2 * self.variance + process.variance(t)

    def w2(self, mean, variance, process=None, t=0.0):
        exact, spread = (self.mean, self.variance) if process is None else self.at(process, t)
        return float(((mean - exact) ** 2 + (variance.sqrt() - spread.sqrt()) ** 2).sum().sqrt())

    def run(self, process, solver, grid, eta=None, *, start="exact"):
        """Exact mean and variance of the sampler's output, per coordinate.

        ``start`` is "exact" (the noised target itself) or "prior".
        """
        sampler = Sampler(self.score(process), process, solver, grid, eta)
        d, draws = self.mean.numel(), grid.steps * sampler.method.noises
        rows = 2 + (draws if sampler.stochastic else 0)
        x = torch.zeros(rows, d, dtype=torch.float64)
        x[1] = 1

        def noise(k):
            z = torch.zeros(sampler.method.noises, rows, d, dtype=torch.float64)
            for j in range(sampler.method.noises):
                z[j, 2 + k * sampler.method.noises + j] = 1
            return z if sampler.method.noises > 1 else z[0]

        y = sampler.run(x, noise)
        gain, answers = y[1] - y[0], y[2:] - y[0]
        mean, variance = self.at(process, grid.start)
        if start == "prior":
            mean, variance = 0 * mean, torch.ones_like(mean) * process.variance(grid.start)
        return y[0] + gain * mean, gain**2 * variance + (answers**2).sum(0)

    def recursion(self, process, name, grid, eta=None, *, start="exact"):
        """The same for a method with coefficients, by the recursion of moments."""
        method = solver(name)
        e, q, n = method.coefficients(process, grid.times[:-1], grid.times[1:], method.eta(eta))
        at, v = self.at(process, grid.times[:-1, None])
        gain, shift = (e[:, None] - q[:, None] / v), q[:, None] * at / v
        mean, variance = self.at(process, grid.start)
        if start == "prior":
            mean, variance = 0 * mean, torch.ones_like(mean) * process.variance(grid.start)
        for a, b, noise in zip(gain, shift, n.tolist(), strict=True):
            mean, variance = a * mean + b, a**2 * variance + noise
        return mean, variance

    def order(self, process, name, grid, eta=None, steps=STEPS):
        """Minus the fitted slope of log W2 against log K; ``grid(K)`` makes the grids."""
        law = self.run if solver(name).coefficients is None else self.recursion
        errors = []
        for k in steps:
            times = grid(k)
            errors.append(self.w2(*law(process, name, times, eta), process, times.stop))
        return fitted(steps, errors)


class Counting:
    """A score that counts its evaluations by time, and how many rows each had."""

    def __init__(self, score):
        self.score, self.times, self.rows = score, Counter(), Counter()

    def __call__(self, x, t):
        self.times[float(t)] += 1
        self.rows[x.shape[0]] += 1
        return self.score(x, t)

    @property
    def evaluations(self):
        return sum(self.times.values())


@pytest.fixture(params=list(PROCESSES))
def process(request):
    """Every process of the order checks in turn."""
    return PROCESSES[request.param]


@pytest.fixture(scope="session")
def processes():
    return PROCESSES


@pytest.fixture(scope="session")
def counting():
    return Counting


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(scope="session")
def gaussian():
    """The data of the order checks: mean 0.3, variances 0.05, 0.25 and 1.5."""
    return Gaussian(MEAN, SPECTRUM)


@pytest.fixture(scope="session")
def target():
    """``target(mean, variance)`` in one dimension."""
    return lambda mean, variance: Gaussian(column(mean), column(variance))


@pytest.fixture(scope="session")
def uniform():
    """``uniform(process, stop=None)(K)``: K equal steps in time."""
    return lambda process, stop=None: lambda k: time_grid(process, k, "uniform", stop=stop)


@pytest.fixture(scope="session")
def smooth():
    """``smooth(process)(K)``: the grid on which a method keeps its order down to t = 0."""
    return lambda process: lambda k: smooth_grid(process, k)
