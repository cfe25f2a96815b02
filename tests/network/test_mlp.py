import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.network import MLP, describe, rebuild
from wasserscore.process import EDM
from wasserscore.sampling import sample
from wasserscore.training import train_score


def awake(**sizes) -> MLP:
    """A network in float64 whose output layer is not zero."""
    network = MLP(**sizes, seed=3).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).double())
    return network


def silu(x):
    return x / (1 + np.exp(-x))


def layer_norm(x, weight, bias):
    mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def test_forward_is_the_written_formula(generator):
    network = awake(dim=5, width=7, depth=2)
    p = {name: value.numpy() for name, value in network.state_dict().items()}
    x = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    c = torch.tensor([-1.5, -0.2, 0.3, 1.1], dtype=torch.float64)
    frequencies = np.geomspace(0.5, 32.0, 16).astype(np.float32).astype(np.float64)
    angle = c.numpy()[:, None] * frequencies
    waves = np.concatenate([np.cos(angle), np.sin(angle)], 1)
    e = silu(waves @ p["embedding.linear.weight"].T + p["embedding.linear.bias"])
    h = x.numpy() @ p["first.weight"].T + p["first.bias"]
    for k in range(2):
        own = f"blocks.{k}."
        q = {n.removeprefix(own): value for n, value in p.items() if n.startswith(own)}
        inner = layer_norm(h, q["norm.weight"], q["norm.bias"]) @ q["into.weight"].T
        inner = inner + q["into.bias"] + e @ q["embed.weight"].T
        h = h + silu(inner) @ q["back.weight"].T + q["back.bias"]
    h = silu(layer_norm(h, p["norm.weight"], p["norm.bias"]))
    expected = h @ p["last.weight"].T + p["last.bias"]
    np.testing.assert_allclose(network(x, c).detach().numpy(), expected, rtol=1e-6, atol=1e-7)


@given(shape=st.sampled_from([(6,), (2, 3), (1, 2, 3)]), rows=st.integers(1, 5))
def test_images_are_vectors_with_a_shape(shape, rows):
    network = awake(dim=6, width=8, depth=1)
    x = torch.randn(rows, 6, generator=torch.Generator().manual_seed(rows), dtype=torch.float64)
    c = torch.linspace(-1, 1, rows, dtype=torch.float64)
    assert torch.equal(network(x.reshape(rows, *shape), c), network(x, c).reshape(rows, *shape))


def test_output_starts_at_zero_and_learns(generator):
    network = MLP(3, 8, 2)
    x, c = torch.randn(4, 3, generator=generator), torch.zeros(4)
    assert torch.equal(network(x, c), torch.zeros(4, 3))
    (network(x, c) - x).square().sum().backward()
    assert network.last.weight.grad.abs().max() > 0


def test_weights_depend_on_the_seed_only():
    one, same, other = MLP(3, 8, seed=1), MLP(3, 8, seed=1), MLP(3, 8, seed=2)
    pairs = list(zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.first.weight, other.first.weight)


def test_initial_weights_have_variance_one_third_of_the_fan_in():
    weight = MLP(50, 400, 1).blocks[0].into.weight.detach()
    assert float(weight.var() * 400) == pytest.approx(1 / 3, rel=0.02)
    assert float(weight.abs().max()) <= 400**-0.5


@pytest.mark.parametrize(
    "sizes", [{"dim": 0}, {"dim": 2, "width": -1}, {"dim": 2, "depth": 10**9}]
)
def test_sizes_are_refused_by_name(sizes):
    with pytest.raises(InputError, match=r"^(dim|width|depth) must be an integer from 1"):
        MLP(**sizes)


def test_a_wrong_number_of_coordinates_is_refused():
    with pytest.raises(InputError, match="3 entries"):
        MLP(3, 8)(torch.zeros(2, 4), torch.zeros(2))


def test_a_class_is_told_in_every_block(generator):
    network = awake(dim=3, width=8, depth=2, classes=2)
    x = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    c, labels = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64), torch.tensor([0, 1, 2])
    with torch.no_grad():
        told, nobody = network(x, c, labels), network(x, c)
    assert torch.equal(told[2], nobody[2])
    assert float((told[:2] - nobody[:2]).abs().amin(1).min()) > 0
    again = rebuild(describe(network), dict(network.state_dict()))
    assert torch.equal(again(x, c, labels), network(x, c, labels))
    assert "classes" not in MLP(3).config()


def test_points_of_two_classes_are_drawn_apart():
    labels = torch.arange(64) % 2
    noise = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    points = 0.1 * noise + (2.0 * labels - 1)[:, None]
    score = train_score(MLP(2, 32, 1, classes=2), points, EDM(), labels=labels, steps=300,
                        batch_size=64, ema=0.9)  # fmt: skip
    for k in (0, 1):
        x = sample(score.conditioned(k), 40)
        assert float((x - (2.0 * k - 1)).abs().mean()) < 0.5
