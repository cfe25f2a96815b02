import numpy as np
import pytest
import torch
from torch import nn

from wasserscore.core.errors import InputError
from wasserscore.network import Perceptron, describe, rebuild


def awake(**sizes) -> Perceptron:
    """A network in float64 whose output layer is not zero."""
    network = Perceptron(**sizes, seed=3).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator).double())
    return network


def test_forward_is_the_written_formula(generator):
    network = awake(dim=3, width=5, depth=2)
    p = {name: value.numpy() for name, value in network.state_dict().items()}
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    c = torch.tensor([-1.5, -0.2, 0.3, 1.1], dtype=torch.float64)
    angle = c.numpy()[:, None] * np.geomspace(0.5, 32.0, 16).astype(np.float32)
    waves = np.concatenate([np.cos(angle), np.sin(angle)], 1)
    e = waves @ p["embedding.linear.weight"].T + p["embedding.linear.bias"]
    e, h = e / (1 + np.exp(-e)), x.numpy()
    for k in range(2):
        inner = h @ p[f"hidden.{k}.weight"].T + p[f"hidden.{k}.bias"]
        h = np.log1p(np.exp(inner + e @ p[f"shifts.{k}.weight"].T))
    expected = h @ p["last.weight"].T + p["last.bias"]
    np.testing.assert_allclose(network(x, c).detach().numpy(), expected, rtol=1e-6, atol=1e-7)


def test_no_two_points_are_stretched_by_more_than_the_norms_product(generator):
    network = awake(dim=3, width=8, depth=3)
    layers = [m for m in network.lipschitz_layers() if isinstance(m, nn.Linear)]
    assert [tuple(m.weight.shape) for m in layers] == [(8, 3), (8, 8), (8, 8), (3, 8)]
    product = float(torch.stack([m.weight.detach().svd().S[0] for m in layers]).prod())
    x, y = torch.randn(2, 500, 3, generator=generator, dtype=torch.float64)
    c = torch.randn(500, generator=generator, dtype=torch.float64)
    stretch = (network(x, c) - network(y, c)).detach().norm(dim=1) / (x - y).norm(dim=1)
    assert 0.01 * product < float(stretch.max()) < product


def test_it_comes_back_bit_for_bit(generator):
    network = Perceptron(2, 8, 2, seed=7)
    nn.init.normal_(network.last.weight, generator=generator)
    again = rebuild(describe(network), network.state_dict())
    x, c = torch.randn(3, 2, generator=generator), torch.tensor([-1.0, 0.0, 1.0])
    assert torch.equal(again(x, c), network(x, c))


def test_weights_depend_on_the_seed_only_and_the_output_starts_at_zero():
    one, same, other = (Perceptron(3, 8, seed=s) for s in (1, 1, 2))
    pairs = zip(one.state_dict().values(), same.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.hidden[0].weight, other.hidden[0].weight)
    assert torch.equal(one(torch.ones(2, 3), torch.zeros(2)), torch.zeros(2, 3))


@pytest.mark.parametrize("sizes", [{"dim": 0}, {"dim": 2, "width": -1}, {"dim": 2, "depth": 0}])
def test_sizes_are_refused_by_name(sizes):
    with pytest.raises(InputError, match=r"^(dim|width|depth) must be a positive integer"):
        Perceptron(**sizes)
