import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.dynamics import TimeGrid


def grid(*times):
    return TimeGrid(torch.tensor(times))


@pytest.mark.usefixtures("unchecked")
def test_times_may_be_a_list():
    assert TimeGrid([4.0, 1.0, 0.0]).times.tolist() == [4.0, 1.0, 0.0]
    with pytest.raises(InputError, match="times must be numbers"):
        TimeGrid(["late", "early"])


def test_steps_go_down():
    times = grid(4.0, 1.0, 0.0)
    assert (times.steps, times.start, times.stop) == (2, 4.0, 0.0)
    assert list(times.pairs()) == [(0, 4.0, 1.0), (1, 1.0, 0.0)]
    assert times.times.dtype == torch.float64
    assert repr(times) == "TimeGrid(2 steps, 4 to 0)"


@given(st.integers(1, 6), st.lists(st.floats(0.001, 100), min_size=2, max_size=9, unique=True))
def test_refining_keeps_the_old_times_bit_for_bit(factor, times):
    coarse = grid(*sorted({round(t, 3) for t in times} | {0.0}, reverse=True))
    fine = coarse.refine(factor)
    assert fine.steps == factor * coarse.steps
    assert torch.equal(fine.times[::factor], coarse.times)
    lengths = -fine.times.diff().reshape(-1, factor)
    assert torch.allclose(lengths, lengths.mean(1, keepdim=True).expand_as(lengths), rtol=1e-9)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((1.0,), "at least two"),
        ((1.0, 1.0), "strictly decreasing.*step 0"),
        ((2.0, 1.0, 1.5), "strictly decreasing.*1.0 then 1.5 at step 1"),
        ((1.0, -0.5), "non-negative"),
        ((float("inf"), 0.0), "finite"),
        ((1.0, float("nan")), "finite"),
    ],
)
def test_what_is_not_a_grid_is_refused(times, message):
    with pytest.raises(InputError, match=message):
        grid(*times)


def test_refining_needs_a_positive_factor():
    with pytest.raises(InputError, match="factor"):
        grid(1.0, 0.0).refine(0)
