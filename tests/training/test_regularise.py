"""Limits on weights: what they do to a matrix, after every update, and what that proves."""

import math

import pytest
import torch
from torch import nn

from wasserscore.certificate import certify
from wasserscore.certificate.closed import certified, layer_product
from wasserscore.certificate.expansion import Expansion
from wasserscore.core.errors import InputError
from wasserscore.network import MLP, Perceptron
from wasserscore.process import EDM
from wasserscore.score import GaussianScore, NetworkScore
from wasserscore.training import LogNormal, SpectralCap, WeightClip, train_score
from wasserscore.training.denoising import Denoising
from wasserscore.training.regularise import regulariser_named
from wasserscore.training.schedule import Schedule

SETTINGS = {"steps": 25, "batch_size": 32, "learning_rate": 0.05, "ema": 0.5, "seed": 3}


def data(n=200):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(9)) * torch.tensor([2.0, 0.2])


def linears(network):
    named = getattr(network, "lipschitz_layers", network.modules)
    return [m for m in named() if isinstance(m, nn.Linear)]


def sizes(network):
    return torch.stack(
        [torch.linalg.matrix_norm(m.weight.detach().double(), 2) for m in linears(network)]
    )


def large(network):
    """The same network with weights far too large."""
    generator = torch.Generator().manual_seed(1)
    for module in linears(network):
        nn.init.normal_(module.weight, std=5.0, generator=generator)
    return network


def test_singular_values_above_the_cap_are_cut_and_others_stay():
    network = large(Perceptron(2, 6, 1))
    before = [m.weight.detach().double() for m in linears(network)]
    SpectralCap(9.0)(network)
    for old, module in zip(before, linears(network), strict=True):
        u, s, v = torch.linalg.svd(old, full_matrices=False)
        assert s.max() > 9 > s.min()
        nearest = u @ torch.diag(s.clamp_max(9.0)) @ v
        torch.testing.assert_close(module.weight.detach().double(), nearest, rtol=0, atol=1e-5)


def test_a_small_matrix_keeps_its_bits():
    network = Perceptron(2, 6, 1, seed=1)
    before = [m.weight.detach().clone() for m in linears(network)]
    SpectralCap(10.0)(network)
    WeightClip(10.0)(network)
    assert all(torch.equal(a, m.weight) for a, m in zip(before, linears(network), strict=True))


def test_entries_are_clipped():
    network = large(Perceptron(2, 6, 1))
    before = [m.weight.detach().clone() for m in linears(network)]
    WeightClip(0.1)(network)
    for old, module in zip(before, linears(network), strict=True):
        assert torch.equal(module.weight, old.clamp(-0.1, 0.1))


@pytest.mark.parametrize(
    "network", [Perceptron(2, 16, 2), MLP(2, 16, 1)], ids=lambda n: type(n).__name__
)
def test_after_training_no_layer_stretches_by_more_than_the_cap(network):
    free = train_score(network, data(), EDM(), **SETTINGS)
    capped = train_score(network, data(), EDM(), regularise=SpectralCap(0.7), **SETTINGS)
    assert float(sizes(free.network).max()) > 1
    assert float(sizes(capped.network).max()) <= 0.7 * (1 + 1e-6)
    clipped = train_score(network, data(), EDM(), regularise="clip", **SETTINGS)
    assert max(float(m.weight.abs().max()) for m in linears(clipped.network)) <= 0.1
    assert max(float(m.weight.abs().max()) for m in linears(free.network)) > 0.2


def test_every_step_ends_inside_and_so_does_the_average(generator):
    task = Denoising(NetworkScore(large(Perceptron(2, 8, 2)), EDM()), LogNormal(),
                     Schedule(10, 0.1, 0.9), 0.0, SpectralCap(1.0))  # fmt: skip
    for k in range(5):
        for network in (task.score.network, task.average):
            assert float(sizes(network).max()) <= 1 + 1e-6
        task.step(data(16), torch.Generator().manual_seed(k))


def test_a_cap_proves_a_constant():
    """Three layers of at most c: |F'| <= c^3, and with it L at every time."""
    score = train_score(Perceptron(2, 16, 2), data(), EDM(), regularise=SpectralCap(1.2),
                        **SETTINGS)  # fmt: skip
    product = layer_product(score.network.lipschitz_layers())
    assert product <= 1.2**3 * (1 + 1e-6)
    r, s = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64), score.data_std
    expected = (s * product - r) / (r * (r * r + s * s))
    found = certified(score).value(EDM().time_at(r.square()))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    stop = float(EDM().time_at((1e-3 * s) ** 2))
    growth = Expansion.along(EDM(), certified(score), eta=1.0, start=EDM().horizon, stop=stop)
    highest = 2 * product * math.atan(product) - math.log1p(product**2)
    assert float(growth.log_growth.max()) == pytest.approx(highest, abs=0.01)


def test_gradients_are_clipped_where_asked(generator):
    task = Denoising(NetworkScore(Perceptron(2, 8, 1), EDM()), LogNormal(),
                     Schedule(10, 0.1, 0.9), 0.0, clip=1e-3)  # fmt: skip
    logs = task.step(50 * data(16), generator)
    norm = torch.stack([p.grad.norm() for p in task.weights.values() if p.grad is not None]).norm()
    assert logs["gradient_norm"] > 1e-2
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_names_give_the_regularisers():
    own = SpectralCap(2.0)
    assert regulariser_named(own) is own
    assert regulariser_named(None) is None
    assert regulariser_named("spectral") == SpectralCap(1.0)
    assert regulariser_named("clip") == WeightClip(0.1)
    for message, make in {
        "regularise must be one of": lambda: regulariser_named("weights"),
        "cap must be positive": lambda: SpectralCap(0.0),
        "bound must be positive": lambda: WeightClip(-1.0),
    }.items():
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.slow
def test_the_theorem_holds_for_a_capped_network_with_a_proved_constant():
    """No estimate is left in the rung, and it is of the data's own size (1.31 when written)."""
    variances = torch.tensor([1.0, 0.25], dtype=torch.float64)
    reference = GaussianScore(torch.zeros(2, dtype=torch.float64), variances.diag(), EDM())
    points = reference.sample_marginal(2000, generator=torch.Generator().manual_seed(1)).float()
    score = train_score(Perceptron(2, 32, 2), points, EDM(), regularise=SpectralCap(1.2),
                        steps=300)  # fmt: skip
    found = certify(score, reference, solver="exponential", eta=1.0, steps=20, stop=0.05, n=64,
                    start="reference", constant=certified(score))  # fmt: skip
    rung = next(r for r in found.rungs if r.name == "theorem, integral")
    assert rung.valid
    assert rung.upper.kind == "asymptotic"
    assert float(found.lower) - 3 * found.lower.stderr < rung.upper.value < 2
