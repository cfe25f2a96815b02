"""Several widths in one pass: what one width after the other gives."""

import pytest
import torch
from tests.kernel.test_softmax import dense, draw
from torch.utils.flop_counter import FlopCounterMode

from wasserscore.core import products
from wasserscore.core.errors import InputError
from wasserscore.kernel import Keys, schedule, softmax_mean, softmax_means
from wasserscore.kernel.keys import LARGEST_FAST

F32, F64 = torch.float32, torch.float64


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(
    ("d", "columns"), [(3, None), (70, 0), (200, None), (200, 3), (1100, None)]
)
def test_every_width_as_if_it_were_alone(d, columns, dtype, monkeypatch):
    """Wide ones from one product, over several tiles; narrow ones beside them."""
    monkeypatch.setattr(schedule, "ROWS", 64)
    y, x = draw(1500, d, dtype=dtype), draw(37, d, seed=1, dtype=dtype)
    b = draw(1500, 1, seed=3, dtype=dtype)[:, 0]
    b[::7] = -torch.inf
    values = None if columns is None else 100 + draw(1500, columns, seed=2, dtype=dtype)
    sigmas = d**0.5 * torch.tensor([0.01, 3.0, 3.0, 0.5, 30.0, 0.1, 1.0], dtype=F64)
    got = softmax_means(x, y, sigmas, values=values, log_weights=b)
    for i, sigma in enumerate(sigmas.tolist()):
        mean, log_sum, _ = dense(x, y, sigma, values=values, log_weights=b)
        tolerance = 1e-5 if dtype == F32 else 1e-10
        size = 1 if mean.size == 0 else abs(mean).max()
        assert abs(got.mean[i].numpy() - mean).max(initial=0) < tolerance * size
        assert (abs(got.log_sum[i].numpy() - log_sum) / (1 + abs(log_sum))).max() < 2 * tolerance


def test_one_product_for_all_widths(monkeypatch):
    """And one for the values of each, where two for each were made."""
    monkeypatch.setattr(products, "unused", lambda: False)  # counters do not see oneDNN's
    keys, x = Keys(draw(5000, 300, dtype=F32)), draw(64, 300, seed=1, dtype=F32)
    with FlopCounterMode(display=False) as seen:
        softmax_means(x, keys, 17.0 * torch.arange(1, 6))
    assert 6 <= seen.get_total_flops() / (2 * 64 * 5000 * 300) <= 6.3
    with FlopCounterMode(display=False) as seen:
        softmax_means(x, keys, 17.0 * torch.arange(1, 6), values=keys.points[:, :0])
    assert 1 <= seen.get_total_flops() / (2 * 64 * 5000 * 300) <= 1.1


def test_widths_that_float32_gets_wrong_are_not_shared():
    """Those at which a part of a logit may be too large."""
    y = draw(600, 200, dtype=F32)
    b = torch.linspace(-40, 40, 600)
    for keys, heaviest in ((Keys(y), 0.0), (Keys(y, b), 40.0)):
        far = float((y[:9] - keys.centre).norm(dim=1).max())
        parts = (far + keys.radius / 2) * keys.radius
        limit = (parts / (LARGEST_FAST - heaviest)) ** 0.5
        sigmas = limit * torch.tensor([0.999, 1.001, 2.0])
        assert schedule._shared(y[:9], keys, sigmas, None).tolist() == [False, True, True]
    shared = schedule._shared(y[:9], Keys(y), torch.tensor([1e-3, 20.0, 1.0, 14.0]), None)
    assert shared.tolist() == [False, True, False, True]
    alone = schedule._shared(y[:9], Keys(y), torch.tensor([1e-3, 20.0, 1.0]), None)
    assert not alone.any()


def test_widths_at_which_rounding_shows_in_a_log_are_made_alone():
    """Of queries on keys that are one in one column: see ``keys.piled``."""
    y = torch.eye(800)[torch.arange(600) % 300]
    for sigma in (0.14, 0.15, 0.16):
        got = softmax_means(y[:9], y, torch.tensor([sigma, 2.0, 3.0]))
        assert abs(got.log_sum[0].numpy() - dense(y[:9], y, sigma)[1]).max() < 2e-5


def test_gradients_are_those_of_single_sums():
    y, x = draw(300, 200), draw(5, 200, seed=1).requires_grad_()
    sigmas = torch.tensor([14.0, 28.0])
    got = softmax_means(x, y, sigmas)
    own = [softmax_mean(x, y, float(sigma)) for sigma in sigmas]
    loss = lambda sums: sum(s.mean.square().sum() + s.log_sum.sin().sum() for s in sums)
    (mine,), (theirs,) = (torch.autograd.grad(loss(sums), x) for sums in ([got], own))
    assert torch.allclose(mine, theirs, rtol=1e-12)


def test_keys_of_any_size_and_no_queries():
    y, x = 1e20 * draw(300, 200), 1e20 * draw(5, 200, seed=1)
    got = softmax_means(x, y, torch.tensor([1.4e21, 1e22], dtype=F64))
    assert torch.allclose(got.mean[0], softmax_mean(x, y, 1.4e21).mean)
    assert softmax_means(x[:0], y, torch.ones(2)).mean.shape == (2, 0, 200)


def test_widths_must_be_a_vector():
    y = draw(5, 2)
    with pytest.raises(InputError, match="vector of widths"):
        softmax_means(y, y, torch.ones(0))
    with pytest.raises(InputError, match="positive"):
        softmax_means(y, y, torch.tensor([1.0, -1.0]))
