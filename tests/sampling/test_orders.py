"""Convergence orders on Gaussian data with the exact score, started at the exact noised law.

These run the samplers; tests/planner/test_orders.py has every solver on every process.
"""

import pytest
from tests.problems.orders import WINDOWS

from wasserscore.sampling import solver, time_grid

EULERS = ["integrated_euler", "euler_maruyama", "exponential", "euler"]
DENOISERS = ["ddim", "ancestral", "dpmpp_1s"]
ETAS = [0.0, 0.5, 1.0]


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("name", EULERS)
def test_euler_methods_are_of_first_order(gaussian, process, uniform, name, eta):
    """C12, set up as K2: equal steps in time down to t = 0, every process."""
    assert 0.95 <= gaussian.order(process, name, uniform(process), eta) <= 1.25


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize("which", ["ve_exp", "vp_linear"])
def test_denoising_methods_are_of_first_order(gaussian, processes, smooth, which, name, eta):
    """On a grid that is smooth in the noise level; equal steps in time are not asymptotic (K3)."""
    process = processes[which]
    assert 0.95 <= gaussian.order(process, name, smooth(process), eta) <= 1.25


@pytest.mark.parametrize("which", ["vp_linear", "vp_poly5", "vp_exp"])
def test_heun_is_of_second_order_down_to_zero(gaussian, processes, uniform, which):
    process = processes[which]
    assert 1.9 <= gaussian.order(process, "heun", uniform(process)) <= 2.2


@pytest.mark.slow
def test_heun_is_of_second_order(gaussian, process, uniform):
    """Every process, down to a little noise (S = 0.01).

    Down to zero the last step is Euler's: its own error, also of second order, is still the
    larger one at K = 128 for processes whose rates do not vanish there.
    """
    stop = float(process.time_at(0.01))
    assert 1.9 <= gaussian.order(process, "heun", uniform(process, stop)) <= 2.2


@pytest.mark.parametrize("which", ["ve_exp", pytest.param("vp_linear", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "eta"),
    [("heun", 0.0), ("dpmpp_2m", 0.0), ("dpmpp_2s", 0.0), ("heun_churn", 0.0)],
)
def test_high_order_methods_down_to_zero(gaussian, processes, smooth, which, name, eta):
    process = processes[which]
    slope = gaussian.order(process, name, smooth(process), eta)
    low, high = WINDOWS[solver(name).order]
    assert low <= slope <= high


@pytest.mark.parametrize("which", ["ve_exp", pytest.param("vp_linear", marks=pytest.mark.slow)])
def test_deis_is_of_third_order_down_to_zero(gaussian, processes, which):
    """Polynomials in the logarithm of the noise, so on a grid that goes down by ratios."""
    process = processes[which]
    slope = gaussian.order(process, "deis", lambda k: time_grid(process, k, "karras"))
    assert 2.85 <= slope <= 3.15


@pytest.mark.parametrize("which", ["ve_exp", "vp_linear"])
def test_dpm_1s_is_of_first_order_and_cancels_on_a_geometric_grid(
    gaussian, processes, smooth, which
):
    r"""In r its variance errs by 2 h^2 (r^2 - l)/(r^2 + l) a step, which reaches zero noise times
    l^2/(r^2 + l)^2. With h = c r the integral over all r is zero; otherwise it is not.
    """
    process = processes[which]
    stop = float(process.time_at(1e-4))
    geometric = lambda k: time_grid(process, k, "logsnr", stop=stop)
    assert 1.85 <= gaussian.order(process, "dpm_1s", geometric, 1.0) <= 2.15
    assert 0.8 <= gaussian.order(process, "dpm_1s", smooth(process), 1.0) <= 1.25
    assert 0.9 <= gaussian.order(process, "dpm_1s", smooth(process), 0.0) <= 1.25


@pytest.mark.parametrize(
    ("name", "eta"), [("dpmpp_2m", 0.5), ("dpmpp_2m_sde", 1.0), ("heun_churn", 1.0)]
)
def test_stochastic_methods_of_second_order(gaussian, processes, smooth, name, eta):
    """W2 of the law they sample, their noise included exactly."""
    process = processes["ve_exp"]
    slope = gaussian.order(process, name, smooth(process), eta, steps=(128, 256, 512))
    assert 1.9 <= slope <= 2.2
