"""C15: what the Gaussian theory says about a law that is far from Gaussian."""

import math

import numpy as np
import pytest
import torch
from tests.problems.base import Problem
from tests.problems.line import chain_truth, mixture

from wasserscore.planner import gaussian_recursion
from wasserscore.process import VP
from wasserscore.sampling import time_grid

DEVIATION = 0.15
LAW = ([0.5, 0.5], [-1.0, 1.0], [DEVIATION, DEVIATION])
EXPONENTIAL = VP.exponential(a=0.2, b=1.0, horizon=math.log1p(math.log1p(2e4) / 0.2))
LINEAR = VP.linear(a=1.0, b=0.1, horizon=(0.01 + 20) ** 0.5 - 0.1)  # B = 10
STEPS = (25, 50, 100, 200)


def exact(process, steps):
    """W2 of scheme (2.7) with the exact score, by its density: no sampling noise (K4)."""
    score = mixture(*LAW, process)
    problem = Problem("two modes", score, score, chain_truth(LAW), "integrated_euler", steps,
                      "uniform", 1.0)  # fmt: skip
    return problem.w2()


def gaussian(process, steps, variance):
    """What the recursion predicts for N(0, variance)."""
    value = torch.tensor([variance], dtype=torch.float64)
    grid = time_grid(process, steps, "uniform")
    _, end = gaussian_recursion(process, "integrated_euler", grid, 0 * value, value)
    return abs(float(end) ** 0.5 - variance**0.5)


def test_c15_the_spread_within_a_mode_decides():
    """Not the spread of the whole: N(0, 1.0225) would be off by a factor of several."""
    w2 = exact(EXPONENTIAL, 100)
    assert w2 == pytest.approx(0.0162, rel=0.1)
    assert gaussian(EXPONENTIAL, 100, DEVIATION**2) == pytest.approx(w2, rel=0.15)
    assert not 0.5 < gaussian(EXPONENTIAL, 100, 1 + DEVIATION**2) / w2 < 2


@pytest.mark.slow
@pytest.mark.parametrize("process", [EXPONENTIAL, LINEAR], ids=lambda process: process.family)
def test_c15_the_order_is_one_and_the_prediction_holds(process):
    errors = [exact(process, steps) for steps in STEPS]
    assert 0.95 <= -np.polyfit(np.log(STEPS), np.log(errors), 1)[0] <= 1.25
    for steps, w2 in zip(STEPS[1:], errors[1:], strict=True):
        assert gaussian(process, steps, DEVIATION**2) == pytest.approx(w2, rel=0.15)


def test_the_density_is_that_of_a_gaussian_where_the_recursion_is_exact():
    """The reference itself: density propagation of N(0, .15^2) against its recursion."""
    law = ([1.0], [0.0], [DEVIATION])
    score = mixture(*law, EXPONENTIAL)
    problem = Problem("one mode", score, score, chain_truth(law), "integrated_euler", 30,
                      "uniform", 1.0)  # fmt: skip
    assert problem.w2() == pytest.approx(gaussian(EXPONENTIAL, 30, DEVIATION**2), rel=1e-3)
