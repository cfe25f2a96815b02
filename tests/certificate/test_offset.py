"""What the start costs: the smallest of the bounds, near the distance itself."""

import math

import pytest
import torch

from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.offset import limited_start, start_bounds, start_limit
from wasserscore.core.random import Streams
from wasserscore.process import VE, VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)


def coupling(reference, *, start="prior"):
    grid = time_grid(reference.process, 4)
    return Coupling(reference, reference, solver("heun"), grid, 0.0, start, 1, Streams(0))


def mixture(process, *, one=False):
    means = torch.zeros(2, 1) if one else torch.tensor([[-1.0], [1.0]])
    return MixtureScore(torch.ones(2, dtype=F64), means.to(F64), torch.full((2,), 0.04).to(F64),
                        process)  # fmt: skip


@pytest.mark.parametrize(
    "process", [VP.constant(beta=1.0, horizon=2.0), VE.constant(a=2.0, horizon=2.0)]
)
def test_two_equal_components_cost_what_their_gaussian_does(process):
    reference = mixture(process, one=True)
    top = process.horizon
    alpha, sigma = float(process.alpha(top)), float(process.sigma(top))
    exact = math.sqrt(0.04 * alpha**2 + sigma**2) - sigma
    found = start_limit(coupling(reference), 256, 0.95)
    assert exact <= found <= 1.3 * exact
    common = start_bounds(reference, top, sigma)["coupling"]
    assert common == pytest.approx(0.2 * alpha)
    assert found < 0.4 * common  # the common noise alone pays for the whole signal


def test_two_modes_under_a_long_process():
    reference = mixture(VP_LINEAR)
    sigma = float(VP_LINEAR.sigma(1.0))
    known = start_bounds(reference, 1.0, sigma)
    found = start_limit(coupling(reference), 128, 0.95)
    # W2 is of second order in alpha: alpha^2 E|x|^2 / (2 sigma)
    assert 0.95 * 4.3e-5 * 1.04 / 2 <= found <= 0.2 * min(known.values())


def test_no_limit_is_drawn_where_the_distance_is_known():
    narrow = GaussianScore(torch.zeros(1, dtype=F64), torch.full((1,), 0.25, dtype=F64), VP_LINEAR)
    assert not limited_start(coupling(narrow))
    bounds = start_bounds(narrow, 1.0, float(VP_LINEAR.sigma(1.0)))
    assert start_limit(coupling(narrow), 8, 0.95) == min(bounds.values())
    assert limited_start(coupling(mixture(VP_LINEAR)))
    from_reference = coupling(mixture(VP_LINEAR), start="reference")
    assert not limited_start(from_reference)
    assert start_limit(from_reference, 8, 0.95) == 0.0
