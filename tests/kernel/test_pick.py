"""Picks follow the softmax weights exactly: the inverse of their cumulative sum."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.kernel import softmax_pick, stream


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile", [1, 2**21])
@pytest.mark.parametrize("sigma", [1e-5, 0.3, 1.0, 1e3])
def test_frequencies_are_the_weights(sigma, tile, dtype, monkeypatch):
    monkeypatch.setattr(stream, "TILE_BYTES", tile)
    g = torch.Generator().manual_seed(0)
    y = torch.randn(600, 2, generator=g).to(dtype)
    b = torch.randn(600, generator=g).to(dtype)
    x, n = y[3] + 0.1, 5000
    grid = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    picked = softmax_pick(x.expand(n, 2), y, sigma, grid, log_weights=b)
    assert bool((picked.diff() >= 0).all())
    logits = b.double() - (x.double() - y.double()).square().sum(1) / (2 * sigma**2)
    share = torch.bincount(picked, minlength=600) / n
    assert float((share - logits.softmax(0)).abs().max()) <= 1.5 / n


def test_a_hidden_key_is_never_drawn():
    y = torch.zeros(5, 1, dtype=torch.float64)
    hidden = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]).double()
    edges = torch.tensor([0.0, 0.49, 0.51, 1.0]).double()
    picked = softmax_pick(torch.zeros(4, 1).double(), y, 1.0, edges, log_weights=hidden)
    assert picked.tolist() == [1, 1, 3, 3]


def test_uniform_outside_is_refused():
    y = torch.zeros(5, 1, dtype=torch.float64)
    with pytest.raises(InputError, match="between 0 and 1"):
        softmax_pick(y[:1], y, 1.0, 1.5 * torch.ones(1).double())
