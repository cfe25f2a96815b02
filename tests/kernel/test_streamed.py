"""Keys that come in parts: the sums of all of them."""

import pytest
import torch
from tests.kernel.test_softmax import draw

from wasserscore.core.errors import InputError
from wasserscore.kernel import softmax_mean, streamed

F64 = torch.float64


@pytest.mark.parametrize("sigma", [0.05, 0.7, 30.0])
def test_parts_give_the_sums_of_all_keys(monkeypatch, sigma):
    y, x, v = draw(500, 4), draw(30, 4, seed=1), 5 + draw(500, 3, seed=2)
    b = draw(500, 1, seed=3)[:, 0]
    b[100:200] = -torch.inf  # a part of which nothing is seen
    widths = torch.full((30,), sigma, dtype=F64)
    monkeypatch.setattr(streamed, "PART_BYTES", 100 * 7 * 8)
    mean, log_sum = streamed.streamed_sums(x, y, widths, v, b)
    expected = softmax_mean(x, y, sigma, values=v, log_weights=b)
    assert torch.allclose(mean, expected.mean, rtol=1e-10)
    assert torch.allclose(log_sum, expected.log_sum, rtol=1e-10)
    monkeypatch.setattr(streamed, "PART_BYTES", 120 * 4 * 8)
    mean, log_sum = streamed.streamed_sums(x, y, widths, None, None)
    expected = softmax_mean(x, y, sigma)
    assert torch.allclose(mean, expected.mean, rtol=1e-10)
    assert torch.allclose(log_sum, expected.log_sum, rtol=1e-10)


def test_what_cannot_be_summed_is_named():
    y, x, one = draw(5, 2), draw(3, 3), torch.ones(3, dtype=F64)
    with pytest.raises(InputError, match="the same dimension, got 3 and 2"):
        streamed.streamed_sums(x, y, one, None, None)
    hidden = torch.full((5,), -torch.inf, dtype=F64)
    with pytest.raises(InputError, match="at least one key must have a finite log weight"):
        streamed.streamed_sums(x[:, :2], y, one, None, hidden)
