"""Proved constants: exact for Gaussians, never below what a search finds elsewhere."""

import pytest
import torch
from torch import nn

from wasserscore.certificate.closed import SLOPES, certified, layer_product
from wasserscore.certificate.concavity import LogConcave, Smoothed
from wasserscore.certificate.constants import from_concavity
from wasserscore.certificate.jacobian import local
from wasserscore.certificate.search import highest
from wasserscore.core.errors import InputError
from wasserscore.process import VE, VP
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore, NetworkScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)
TIMES = torch.tensor([0.005, 0.1, 0.4, 1.0], dtype=F64)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_a_gaussians_constant_is_exact_to_ten_digits():
    root = draw(4, 4)
    score = GaussianScore(draw(4), root @ root.mT, VP_LINEAR)
    found = certified(score).value(TIMES)
    for t, value in zip(TIMES.tolist(), found.tolist(), strict=True):
        assert value == pytest.approx(float(local(score, draw(1, 4), t)), rel=1e-10)
    top = float(torch.linalg.eigvalsh(root @ root.mT)[-1])
    law = from_concavity(LogConcave(1 / top, 1e9), VP_LINEAR)
    assert torch.allclose(found, law.value(TIMES), rtol=1e-10)


def test_two_points_have_the_ball_bound():
    score = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), VP_LINEAR, bandwidth=0.2)
    ball = from_concavity(Smoothed(1.0, 0.2), VP_LINEAR)
    assert torch.allclose(certified(score).value(TIMES), ball.value(TIMES), rtol=1e-12)


def test_points_far_from_zero_have_the_same_constant():
    points = (draw(100, 2) * 2**20).round() / 2**20
    here, far = (
        certified(EmpiricalScore(points + shift, VP_LINEAR, bandwidth=0.2)).value(TIMES)
        for shift in (0.0, 2.0**30)
    )
    assert torch.allclose(here, far, rtol=1e-6)


@pytest.mark.parametrize("kind", ["points", "isotropic", "full"])
@pytest.mark.parametrize("process", [VP_LINEAR, VE.constant(a=1.0, horizon=4.0)])
def test_a_mixtures_constant_is_above_every_search(kind, process):
    means, root = draw(6, 3), draw(3, 3, seed=1) / 2
    weights = torch.arange(1, 7, dtype=F64)
    score = {
        "points": EmpiricalScore(means, process, bandwidth=0.3),
        "isotropic": MixtureScore(weights, means, torch.full((6,), 0.2, dtype=F64), process),
        "full": MixtureScore(weights, means, (root @ root.mT).expand(6, 3, 3), process),
    }[kind]
    bound = certified(score)
    assert bound.kind == "certified"
    assert bound.of is score
    for t, value in zip(TIMES.tolist(), bound.value(TIMES).tolist(), strict=True):
        x = score.sample_marginal(12, t, generator=torch.Generator().manual_seed(2))
        pairs = torch.cat([x, (x + x.roll(1, 0)) / 2])
        assert highest(score, pairs, t, steps=4).value <= value * (1 + 1e-9 * (value > 0)) + 1e-9


def test_components_of_different_widths_have_no_proof():
    score = MixtureScore(torch.ones(2), torch.zeros(2, 1), torch.tensor([1.0, 2.0]), VP_LINEAR)
    with pytest.raises(InputError, match="no proved one-sided constant"):
        certified(score)
    with pytest.raises(InputError, match="no proved one-sided constant"):
        certified(lambda x, t: -x)


def linear(weight):
    """A linear layer with this weight and no bias, without a draw."""
    layer = nn.Linear(*weight.shape[::-1], bias=False, device="meta")
    layer.weight = nn.Parameter(weight)
    return layer


class Plain(nn.Module):
    """Two layers that the points pass through beside the noise label."""

    def __init__(self, seed, dim=3, width=16):
        super().__init__()
        self.dim = dim
        first, last = (
            draw(width, dim + 1, seed=10 * seed) / 2,
            draw(dim, width, seed=1 + 10 * seed) / 2,
        )
        self.layers = nn.Sequential(linear(first), nn.SiLU(), linear(last))

    def forward(self, x, c_noise):
        return self.layers(torch.cat([x, c_noise[:, None]], 1))

    def lipschitz_layers(self):
        return [self.layers]


@pytest.mark.parametrize("prediction", ["velocity", "noise", "data", "score"])
def test_a_plain_networks_constant_is_above_every_search(prediction):
    for seed in range(4):
        score = NetworkScore(Plain(seed), VP_LINEAR, prediction=prediction)
        bound = certified(score)
        for t in (0.01, 0.5):
            value = float(bound.value(torch.tensor([t], dtype=F64)))
            found = highest(score, draw(8, 3, seed=seed), t, steps=2).value
            assert found <= value + 1e-9 * abs(value)


def test_one_linear_layer_with_a_known_norm_is_met():
    net = Plain(0)
    net.layers = nn.Sequential(
        linear(torch.cat([2 * torch.eye(3), torch.zeros(3, 1)], 1).double())
    )
    score = NetworkScore(net, VP_LINEAR, prediction="data")
    t = torch.tensor([0.3], dtype=F64)
    assert float(certified(score).value(t)) == pytest.approx(
        float(local(score, draw(1, 3), 0.3)), rel=1e-10
    )


def test_a_layer_of_unknown_slope_is_refused():
    assert layer_product([nn.ReLU(), nn.Sequential(nn.Tanh())]) == 1.0
    with pytest.raises(InputError, match="LayerNorm"):
        layer_product([nn.LayerNorm(3)])
    assert layer_product([nn.Softplus()]) == 1.0
    with pytest.raises(InputError, match="Softplus"):
        layer_product([nn.Softplus(threshold=0.5)])  # it jumps where it becomes the identity
    with pytest.raises(InputError, match="lipschitz_layers"):
        certified(NetworkScore(linear(torch.eye(3)), VP_LINEAR, shape=(3,)))


OPTIONS = {
    nn.GELU: [{}, {"approximate": "tanh"}],
    nn.Softplus: [{}, {"beta": 3.0}],
    nn.Unflatten: [{"dim": 1, "unflattened_size": (1, 1)}],
}


@pytest.mark.parametrize(
    ("kind", "options"),
    [(kind, options) for kind in SLOPES for options in OPTIONS.get(kind, [{}])],
)
def test_slopes_of_activations_are_rounded_up_and_no_further(kind, options):
    # straight lines have slope 1 to the last bit, curves are seen on a grid
    x = torch.linspace(-20, 20, 400_001, dtype=F64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(kind(**options)(x).sum(), x)
    top = float(slope.abs().max())
    assert SLOPES[kind] - 1e-4 < top <= SLOPES[kind]
