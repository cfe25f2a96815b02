"""The measured error of kernel sums, against what was done to them."""

import numpy as np
import pytest
import torch
from tests.kernel.test_softmax import dense, draw

from wasserscore.core.errors import InputError
from wasserscore.kernel import KernelMean, Keys, few, softmax_error, softmax_mean

F32, F64 = torch.float32, torch.float64


def in_extended(x, y, sigma, dtype=F64, **given):
    mean, log_sum, _ = dense(x, y, sigma, **given)
    return KernelMean(*(torch.tensor(np.float64(a)).to(dtype) for a in (mean, log_sum)))


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 30.0])
@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_sums_in_extended_precision_have_no_error(sigma, size):
    y, x = draw(300, 3) * size, draw(20, 3, seed=1) * size
    b, v = draw(300, 1, seed=2)[:, 0], draw(300, 5, seed=3) + 7
    b[::7] = -torch.inf
    for values in (None, v):
        right = in_extended(x, y, sigma * size, values=values, log_weights=b)
        found = softmax_error(right, x, Keys(y, b), sigma * size, values=values)
        assert found.mean < 1e-10
        assert found.log_sum < 1e-12
        assert found.queries == 20
    mask = np.eye(300, dtype=bool)
    right = in_extended(y, y, sigma * size, mask=mask)
    found = softmax_error(right, y, y, sigma * size, leave_one_out=True, queries=300)
    assert max(found[:2]) < 1e-10
    seen = softmax_error(right, y, y, sigma * size, queries=300)
    assert seen.mean > 1e-3 or sigma == 30.0


def test_a_planted_error_is_measured_in_units_of_the_values():
    y, x = draw(50, 2) + 100, draw(8, 2, seed=1) + 100
    right = in_extended(x, y, 0.7)
    radius = float((y - y.mean(0)).norm(dim=1).max())
    moved, raised = right.mean.clone(), right.log_sum.clone()
    moved[5] += torch.tensor([0.3, 0.4])
    raised[2] += 0.1
    found = softmax_error(KernelMean(moved, raised), x, y, 0.7)
    assert found.mean == pytest.approx(0.5 / radius)
    assert found.log_sum == pytest.approx(0.1 / (1 + abs(float(right.log_sum[2]))))
    widths = torch.full((8,), 0.7, dtype=F64)
    assert softmax_error(right, x, y, widths).mean < 1e-14
    widths[1] = 0.9
    assert softmax_error(right, x, y, widths).mean > 1e-3


def test_too_much_left_out_shows(monkeypatch):
    y, x = draw(4000, 8, dtype=F32), draw(300, 8, seed=1, dtype=F32)
    assert softmax_error(softmax_mean(x, y, 0.1), x, y, 0.1).mean < 1e-5
    monkeypatch.setitem(few.DROPPED, F32, -8.0)
    assert softmax_error(softmax_mean(x, y, 0.1), x, y, 0.1).mean > 1e-4


def test_equal_keys_have_no_size_to_divide_by():
    y, x = torch.ones(5, 2), draw(3, 2, dtype=F32)
    assert softmax_error(softmax_mean(x, y, 1.0), x, y, 1.0).mean < 1e-6


def test_what_does_not_fit_is_refused():
    y, x = draw(5, 2), draw(3, 2)
    found = softmax_mean(x, y, 1.0)
    with pytest.raises(InputError, match="3 for 2"):
        softmax_error(found, x[:2], y, 1.0)
    with pytest.raises(InputError, match="positive integer"):
        softmax_error(found, x, y, 1.0, queries=0)
