"""Start, steps and score kept apart."""

import pytest
import torch

from wasserscore.planner.recursion import gaussian_recursion
from wasserscore.planner.split import split, start_error
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid


def surrogate(mean, values, weights=None):
    values = torch.tensor(values, dtype=torch.float64)
    mean = torch.tensor(mean, dtype=torch.float64)
    return Surrogate(mean, values, torch.ones_like(values) if weights is None else weights,
                     None, "a test")  # fmt: skip


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
    tripled = surrogate([0.5, 0.1], [0.2, 2.0], weights=torch.full((2,), 9.0).double())
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
