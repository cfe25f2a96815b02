"""Start, steps and score kept apart."""

import pytest
import torch

from wasserscore.data import Scaling
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.recursion import gaussian_recursion
from wasserscore.planner.response import error_response
from wasserscore.planner.split import split, start_error
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM, VP
from wasserscore.sampling import solver, solvers, time_grid
from wasserscore.score import GaussianScore


def surrogate(mean, values, scale=1.0):
    values = torch.tensor(values, dtype=torch.float64)
    mean = torch.tensor(mean, dtype=torch.float64)
    return Surrogate(mean, values, scale**2 * torch.ones_like(values), None, "a test", scale)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_start_error_is_the_limit_of_many_steps(eta):
    """Signed, for mean and standard deviation, at a horizon short enough to see it."""
    data = surrogate([0.3, -1.0], [0.2, 2.0])
    process = VP.constant(beta=1.0, horizon=2.0)
    grid = time_grid(process, 40000, "uniform")
    mean, variance = gaussian_recursion(
        process, "exponential", grid, data.mean, data.eigenvalues, eta=eta
    )
    ratio = float(process.noise_to_signal(2.0))
    mean_error, std_error = start_error(data, ratio, eta)
    torch.testing.assert_close(mean - data.mean, mean_error, rtol=1e-3, atol=1e-5)
    std = variance.sqrt() - data.eigenvalues.sqrt()
    torch.testing.assert_close(std, std_error, rtol=1e-3, atol=1e-4)


def test_a_spurious_zero_is_not_taken_for_accuracy():
    """K9: at S_T = 1.6 start and steps cancel to 2.5e-5, against 4.6e-2 at 1e4."""
    data, method = surrogate([0.0], [0.25]), solver("integrated_euler")

    def at(ratio):
        end = float(VP.constant(beta=1.0).time_at(ratio))
        process = VP.constant(beta=1.0, horizon=end)
        return split(data, process, method, time_grid(process, 100, "uniform"))

    far = at(1e4)
    assert far.w2 == pytest.approx(4.6e-2, rel=0.02)
    zero = min((at(r) for r in torch.linspace(1.4, 1.8, 201).tolist()), key=lambda part: part.w2)
    assert zero.w2 < 1e-4
    assert zero.apart > 100 * zero.w2
    assert zero.apart > 0.007


def test_the_whole_is_at_most_its_parts_and_weights_are_data_units():
    data = surrogate([0.5, 0.1], [0.2, 2.0])
    process = VP.linear(a=19.9, b=0.1, horizon=0.6)
    grid = time_grid(process, 30, "uniform")
    parts = split(data, process, solver("ddim"), grid, score_error=0.01)
    assert parts.w2 <= parts.start + parts.discretisation + parts.score
    assert parts.score > 0
    tripled = surrogate([0.5, 0.1], [0.2, 2.0], scale=3.0)
    scaled = split(tripled, process, solver("ddim"), grid, score_error=0.01)
    for name in ("start", "discretisation", "score", "w2"):
        assert getattr(scaled, name) == pytest.approx(3 * getattr(parts, name), rel=1e-12)


def test_score_part_is_the_shift_of_a_constant_error():
    data = surrogate([0.0], [0.25])
    process = VP.linear(a=19.9, b=0.1, horizon=1.0)
    grid, method = time_grid(process, 50, "uniform"), solver("integrated_euler")
    biased, _ = gaussian_recursion(
        process, method, grid, data.mean, data.eigenvalues, score_bias=0.02
    )
    parts = split(data, process, method, grid, score_error=0.02)
    assert parts.score == pytest.approx(float(biased), rel=1e-12)


@pytest.mark.parametrize("method", list(solvers()), ids=lambda method: method.name)
def test_responses_add_up_to_the_shift_of_a_constant_error(method):
    """The recursion with a bias, which knows nothing of single evaluations."""
    process, values = VP.linear(a=19.9, b=0.1, horizon=1.0), torch.tensor([2.0, 0.2]).double()
    grid, eta = time_grid(process, 12, "karras"), method.default_eta
    response = error_response(process, method, grid, values, eta)
    assert len(response) == method.evaluations(grid)
    shift, _ = gaussian_recursion(process, method, grid, 0 * values, values, score_bias=1.0)
    torch.testing.assert_close(response.sum(0), shift, rtol=1e-12, atol=0)


def coarse():
    """Four steps from 80, so large that the factors of Euler-Maruyama are negative (-0.9)."""
    process, values = EDM(sigma_max=80.0), [0.01, 1.0, 100.0]
    times = torch.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), 4).double() ** 7
    return process, values, TimeGrid(torch.cat([times, torch.zeros(1)]))


def test_no_score_error_shifts_further_than_the_score_part():
    """The worst sequence of errors, by alternating maximisation: more than any constant one."""
    process, values, grid = coarse()
    method, data = solver("euler_maruyama"), surrogate([0.0] * 3, values)
    t, s = grid.times[:-1], grid.times[1:]
    e, q, _ = (c.unsqueeze(-1) for c in method.coefficients(process, t, s, 1.0))
    factor = e - q / (data.eigenvalues + t[:, None] ** 2)
    later = torch.cat([factor[1:].flip(0).cumprod(0).flip(0), torch.ones(1, 3).double()])
    response = error_response(process, method, grid, data.eigenvalues, 1.0)
    torch.testing.assert_close(response, later * q, rtol=1e-12, atol=0)
    errors = torch.nn.functional.normalize(torch.ones(4, 3).double(), dim=1)
    for _ in range(300):
        errors = torch.nn.functional.normalize(response * (response * errors).sum(0), dim=1)
    worst = float((response * errors).sum(0).norm())
    assert worst > 1.03 * float(response.sum(0).abs().max())
    bound = split(data, process, method, grid, score_error=1.0).score
    assert worst <= bound <= 1.01 * worst


def test_the_score_part_under_a_scaling_is_a_bound():
    """A constant error shifts by the operator norm of D V diag(a), in data units."""
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    process, scale = VP.constant(beta=1.0, horizon=0.8), torch.tensor([10.0, 0.1]).double()
    scaling = Scaling(torch.zeros(2, dtype=torch.float64), scale)
    law = GaussianScore(torch.zeros(2).double(), covariance, process, scaling=scaling)
    method, grid = solver("ddim"), time_grid(process, 8, "uniform")
    values, vectors = torch.linalg.eigh(covariance)
    response = error_response(process, method, grid, values, 0.0)
    moved = 0.1 * float(torch.linalg.matrix_norm(scale[:, None] * vectors * response.sum(0), 2))
    found = split(Surrogate.of(law), process, method, grid, score_error=0.1)
    assert moved == pytest.approx(0.3916, abs=1e-4)
    assert moved <= found.score
    assert found.score == pytest.approx(0.1 * 10 * float(response.abs().amax(1).sum()))
