import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.network import MLP, describe, rebuild
from wasserscore.process import EDM
from wasserscore.sampling import sample
from wasserscore.score import NetworkScore, load, save
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


def test_points_of_a_vector_are_drawn_at_it(tmp_path):
    """Points of a circle lie at their own vectors; of one that is told, points are there."""
    angles = 2 * torch.pi * torch.arange(256) / 256
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    score = train_score(MLP(2, 32, 1, condition=2), vectors, EDM(), conditions=vectors,
                        steps=300, batch_size=64, ema=0.9, label_dropout=0.2)  # fmt: skip
    for aim in ([0.6, -0.8], [-0.8, 0.6]):
        save(score.conditioned(aim), tmp_path / "model")
        again = load(tmp_path / "model")
        x = sample(again, 40)
        assert torch.equal(x, sample(score.conditioned(torch.tensor(aim)), 40))
        assert float((x - torch.tensor(aim)).abs().mean()) < 0.2
        assert f"condition ({aim[0]:.1f}" in repr(again)
    untold = sample(score, 400)  # it is a score of all together
    assert float((untold.std(0) - vectors.std(0)).abs().max()) < 0.2


@pytest.mark.parametrize(
    ("condition", "given", "message"),
    [
        (0, torch.zeros(8, 2), "conditions need a network that knows vectors"),
        (2, torch.zeros(8, 1), r"conditions must have shape \(8, 2\), got \(8, 1\)"),
        (2, torch.full((8, 2), float("nan")), "conditions must be finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(condition, given, message):
    network = MLP(3, 4, 1, condition=condition)
    with pytest.raises(InputError, match=message):
        train_score(network, torch.eye(8, 3), EDM(), conditions=given, steps=1)
    with pytest.raises(InputError, match=f"knows vectors of length {condition}"):
        NetworkScore(network, EDM()).conditioned([0.0])


def test_a_resumed_run_with_vectors_draws_what_a_whole_one_does(tmp_path):
    points = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    given = {"conditions": points[:, :2], "steps": 6, "batch_size": 8, "checkpoint_every": 3}
    whole = train_score(MLP(3, 4, 1, condition=2), points, EDM(), **given)

    def stop(step, logs):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_score(MLP(3, 4, 1, condition=2), points, EDM(), **given, out=tmp_path,
                    callbacks=[stop])  # fmt: skip
    with pytest.raises(InputError, match="conditions_sha256 was"):
        train_score(MLP(3, 4, 1, condition=2), points, EDM(), out=tmp_path,
                    **given | {"conditions": points[:, 1:]})  # fmt: skip
    rest = train_score(MLP(3, 4, 1, condition=2), points, EDM(), **given, out=tmp_path)
    assert torch.equal(rest.network.last.weight, whole.network.last.weight)
