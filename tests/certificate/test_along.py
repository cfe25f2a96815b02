"""Effective and pathwise constants: what a coupling says of the theorem's size."""

import math

import pytest
import torch

from wasserscore.certificate.along import effective_bound, pathwise_bound
from wasserscore.certificate.coupling import Coupling
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
STANDARD = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)


def coupling(score, reference=STANDARD, *, eta=1.0, steps=50, start="reference", kind="uniform"):
    grid = time_grid(reference.process, steps, kind)
    return Coupling(score, reference, solver("exponential"), grid, eta, start, 1, Streams(1))


@pytest.mark.parametrize(("eta", "expected"), [(1.0, 0.379272), (0.0, 0.3)])
def test_a_bias_has_the_constant_it_has_everywhere(eta, expected):  # A1, A2
    biased = lambda x, t: STANDARD(x, t) + 0.3
    found, constants = effective_bound(coupling(biased, eta=eta), 16)
    assert found.value == pytest.approx(expected, rel=3e-3)
    assert constants[:-1].tolist() == pytest.approx([-1.0] * 49)  # the last pair coincides
    assert pathwise_bound(coupling(biased, eta=eta), 16).value == pytest.approx(expected, rel=3e-3)


def test_the_offset_is_part_of_both():  # A6 and K6
    narrow = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1,), 0.25, dtype=F64), UNIT)
    v, v_T = 0.25, 0.25 * math.exp(-2) + 1 - math.exp(-2)
    start = abs(math.sqrt(v_T) - math.sqrt(1 - math.exp(-2)))
    one = coupling(narrow, narrow, start="prior", steps=80)
    # the same starts as the coupling's: optimal, so their distance is that of the laws
    expected = math.exp(-1) * v / v_T * start
    for found in (effective_bound(one, 256)[0], pathwise_bound(one, 64)):
        assert found.value == pytest.approx(expected, rel=0.2)


@pytest.mark.slow
def test_two_modes():  # A15
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    mix = MixtureScore(torch.ones(2, dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64),
                       torch.full((2,), 0.04, dtype=F64), process)  # fmt: skip
    wavy = lambda x, t: mix(x, t) + 0.1 + 0.15 * torch.sin(2 * x)
    one = coupling(wavy, mix, steps=400, kind="karras")
    assert effective_bound(one, 4096)[0].value == pytest.approx(0.75, abs=0.05)
    # every pair in the valley counts with its own exponent: the mean is ruled by a few
    assert pathwise_bound(one, 256).value > 10
