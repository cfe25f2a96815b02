"""Exact W2 of scheme (2.7) on one-dimensional Gaussian data, and how a table shows it."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from wasserscore.dynamics import TimeGrid
from wasserscore.planner import gaussian_recursion
from wasserscore.process import Process
from wasserscore.process.families import from_dict
from wasserscore.sampling import time_grid

Row = dict[str, object]
MEAN, VALUE = 0.3, 0.25


def vector(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def at(process: Process, ratio: float) -> Process:
    """The same process with the horizon where S reaches ``ratio``."""
    return from_dict({**process.to_dict(), "horizon": float(process.time_at(ratio))})


def errors(process: Process, grid: TimeGrid, mean: float, value: float) -> tuple[float, float]:
    """Signed errors of mean and standard deviation of scheme (2.7), exact score, one dimension."""
    m, v = gaussian_recursion(
        process, "integrated_euler", grid, vector(mean), vector(value), start="prior"
    )
    return float(m) - mean, float(v) ** 0.5 - value**0.5


def w2(process: Process, steps: int, mean: float = MEAN, value: float = VALUE) -> float:
    return math.hypot(*errors(process, time_grid(process, steps, "uniform"), mean, value))


def start_plus_steps(process: Process, steps: int) -> float:
    """Start and step errors without letting them cancel: W2 at K -> infinity, plus the rest."""
    left = VALUE / (VALUE + float(process.noise_to_signal(process.horizon)))
    start = -MEAN * left, math.sqrt(VALUE * (1 - left**2)) - math.sqrt(VALUE)
    whole = errors(process, time_grid(process, steps, "uniform"), MEAN, VALUE)
    return math.hypot(*start) + math.hypot(whole[0] - start[0], whole[1] - start[1])


def best_horizon(process: Process, steps: int) -> float:
    """Smallest W2 over the horizon."""
    scan = [0.3 + 0.25 * i for i in range(34)]

    def loss(log_ratio: float) -> float:
        return w2(at(process, 10**log_ratio), steps)

    near = min(scan, key=loss)
    return float(minimize_scalar(loss, bounds=(near - 0.25, near + 0.25), method="bounded").fun)


def word(agrees: bool) -> str:
    return "yes" if agrees else "no"


def beside(value: float, expected: float) -> str:
    return f"{value:.3f} ({expected:.3f})"
