"""C14: the processes at equal steps, shape and horizon tuned for K = 1000 on N(.3, .25)."""

import math
from itertools import pairwise

import pytest
import torch

from wasserscore.planner import gaussian_recursion
from wasserscore.process import OU, VE, VP
from wasserscore.sampling import time_grid

MEAN, VALUE = (torch.tensor([v], dtype=torch.float64) for v in (0.3, 0.25))

RANKING = {
    "ou matched": (lambda _: OU(alpha=0.5, sigma=0.5), None, 657, 6.41e-4),
    "vp_exp": (lambda a: VP.exponential(a=a, b=1.0), 0.0598, 853, 6.48e-4),
    "vp_poly rho=5": (lambda b: VP.polynomial(a=1.0, b=b, rho=5.0), 0.747, 641, 7.39e-4),
    "vp_linear": (lambda b: VP.linear(a=1.0, b=b), 0.0590, 315, 9.25e-4),
    "ve_exp": (lambda a: VE.exponential(a=a, b=1.0), 0.256, 178, 1.29e-3),
    "ve_poly c=4.5": (lambda b: VE.polynomial(a=1.0, b=b, c=4.5), 0.841, 132, 1.67e-3),
    "ve_poly c=2": (lambda b: VE.polynomial(a=1.0, b=b, c=2.0), 0.530, 98.2, 1.73e-3),
    "ve_poly c=1": (lambda b: VE.polynomial(a=1.0, b=b, c=1.0), 0.189, 66.3, 2.21e-3),
    "vp_const": (lambda _: VP.constant(beta=1.0), None, 77.6, 2.31e-3),
    "ve_sqrt": (lambda _: VE.sqrt(a=1.0), None, 41.3, 3.12e-3),
    "ve_const": (lambda _: VE.constant(a=1.0), None, 11.9, 8.59e-3),
}
"""Best first: maker, best shape, best S_T (benchmarks/forward_processes.py), published W2."""


def w2(make, shape, ratio, steps=1000):
    process = make(shape)
    grid = time_grid(process, steps, "uniform", start=float(process.time_at(ratio)))
    mean, variance = gaussian_recursion(process, "integrated_euler", grid, MEAN, VALUE)
    return math.hypot(float(mean) - 0.3, float(variance) ** 0.5 - 0.5)


def test_c14_the_order_of_the_processes():
    errors = [w2(make, shape, ratio) for make, shape, ratio, _ in RANKING.values()]
    for (name, better), (_, worse) in pairwise(zip(RANKING, errors, strict=True)):
        assert better < worse, name


@pytest.mark.parametrize("name", RANKING)
def test_c14_each_is_at_its_best(name):
    """As small as published or smaller, and no better a little way off in any direction."""
    make, shape, ratio, published = RANKING[name]
    best = w2(make, shape, ratio)
    assert best < 1.01 * published
    assert best > 0.85 * published
    for factor in (0.9, 1.1):
        assert w2(make, shape, factor * ratio) > best
        if shape is not None:
            assert w2(make, factor * shape, ratio) > best


def test_c14_standardised_data_are_worth_a_factor_of_three_and_a_half():
    """The constant rate with the data's own variance as stationary variance, and with 1."""
    matched, plain = (w2(*RANKING[name][:3]) for name in ("ou matched", "vp_const"))
    assert plain / matched == pytest.approx(3.6, abs=0.1)
