"""C12 for every solver on every process: the order it promises, K = 128 to 1024, set up as K2."""

import pytest
import torch
from tests.problems.orders import (
    MEAN,
    PROCESSES,
    SPECTRUM,
    STEPS,
    WINDOWS,
    fitted,
    smooth_grid,
)

from wasserscore.planner import gaussian_recursion
from wasserscore.sampling import solvers, time_grid

IN_TIME = {"integrated_euler", "euler_maruyama", "exponential", "euler"}
"""Methods measured on equal steps in time; the others on a grid smooth in the noise level (K3)."""
BY_RATIOS = {"deis"}
"""Measured on the Karras grid: it takes polynomials in the logarithm of the noise level."""
FINER = {"dpm_1s": 8}
"""Factor on the steps: its error of first order is a thirtieth of ddim's, and shows later."""
EVERY = [method for method in solvers() if method.name != "pc"]
"""A corrector's own bias crosses zero in this range."""


def w2(process, method, grid, eta=None):
    mean, variance = gaussian_recursion(
        process, method, grid, MEAN, SPECTRUM, eta=eta, start="marginal"
    )
    return float(((mean - MEAN) ** 2 + (variance.sqrt() - SPECTRUM.sqrt()) ** 2).sum().sqrt())


def order(process, method, eta):
    def grid(k):
        kind = "uniform" if method.name in IN_TIME else "karras"
        spaced = method.name in IN_TIME | BY_RATIOS
        return time_grid(process, k, kind) if spaced else smooth_grid(process, k)

    steps = [FINER.get(method.name, 1) * k for k in STEPS]
    return fitted(steps, [w2(process, method, grid(k), eta) for k in steps])


@pytest.mark.parametrize(
    "which",
    [n if n == "vp_linear" else pytest.param(n, marks=pytest.mark.slow) for n in PROCESSES],
)
@pytest.mark.parametrize("method", EVERY, ids=lambda method: method.name)
def test_c12_every_solver_has_the_order_it_promises(method, which):
    low, high = WINDOWS[method.order]
    for eta in {0.0, method.default_eta}:
        assert low <= order(PROCESSES[which], method, eta) <= high


def test_no_solver_is_left_out():
    """A new solver is measured, or says here why it cannot be."""
    assert {method.name for method in solvers()} - {method.name for method in EVERY} == {"pc"}


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_corrector_by_its_recursion_written_out(eta):
    """A step of DDIM or DDPM, then m' = m + e (mu - m)/v, V' = (1 - e/v)^2 V + 2 e."""
    process = PROCESSES["ve_exp"]
    grid = smooth_grid(process, 40)
    mean, spread = MEAN, SPECTRUM + process.variance(grid.start)
    for _, t, s in grid.pairs():
        high, low = float(process.variance(t)), float(process.variance(s))
        v, fresh = SPECTRUM + high, eta**2 * low * (1 - low / high)
        weight = high - (high * (low - fresh)) ** 0.5
        mean, spread = (
            mean + weight * (MEAN - mean) / v,
            (1 - weight / v) ** 2 * spread + fresh,
        )
        size, v = 2 * 0.16**2 * low, SPECTRUM + low
        mean, spread = mean + size * (MEAN - mean) / v, (1 - size / v) ** 2 * spread + 2 * size
    found = gaussian_recursion(process, "pc", grid, MEAN, SPECTRUM, eta=eta, start="marginal")
    torch.testing.assert_close(found[0], mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(found[1], spread, rtol=1e-12, atol=0)
