"""A learnt score difference: closed forms, GAN losses by autograd, and runs that resume."""

import numpy as np
import pytest
import torch
from tests.flow.clouds import STREAMS, draw
from tests.flow.test_generator import gradient, interrupt_at, latents, network, same, task

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.flow import Adversary, Annealing, FlowState, ParticleFlow, train_generator
from wasserscore.flow.generator import View
from wasserscore.flow.sides import PlainSide
from wasserscore.network import LatentMLP, LogitMLP, describe, rebuild

MEANS = {"p": torch.tensor([1.0, -0.5]).double(), "q": torch.tensor([0.0, 0.4]).double()}
SPREADS = {"p": torch.tensor([[1.0, 0.3], [0.3, 0.5]]).double(), "q": torch.eye(2).double()}
SIGMA = 0.7


def law(name, sigma):
    covariance = SPREADS[name] + sigma**2 * torch.eye(2).double()
    return torch.distributions.MultivariateNormal(MEANS[name], covariance)


def exact_logit(z, sigma):
    return law("p", sigma).log_prob(z) - law("q", sigma).log_prob(z)


def exact_slope(z, sigma):
    z = z.clone().requires_grad_()
    return torch.autograd.grad(exact_logit(z, sigma).sum(), z)[0]


class Exact(torch.nn.Module):
    """The best classifier's logit at one noise level, undoing the scaling of its input."""

    def __init__(self, sigma, spread):
        super().__init__()
        self.sigma, self.spread = sigma, torch.nn.Parameter(torch.tensor(spread).double())

    def forward(self, x, c_noise):
        sigma = self.spread * (4 * c_noise[0]).exp()
        torch.testing.assert_close(float(sigma), self.sigma)
        return exact_logit(x * (self.spread**2 + sigma**2).sqrt(), self.sigma)


def exact(divergence="reverse_kl"):
    return Adversary(Exact(SIGMA, 2.0), divergence=divergence, turns=0, spread=2.0)


D = lambda z: torch.sigmoid(exact_logit(z, SIGMA))
ASCENDED = {
    "gan_saturating": lambda z: -torch.log(1 - D(z)),
    "gan_non_saturating": lambda z: torch.log(D(z)),
    "gan_least_squares": lambda z: -(D(z) - 1).square() / 2,
    "reverse_kl": lambda z: exact_logit(z, SIGMA),
}


def test_the_best_classifier_gives_the_score_difference():
    x = draw(30)
    drift = exact()(x, PlainSide(torch.neg), SIGMA, STREAMS)
    z = x + SIGMA * STREAMS.normal("query", 0, 30, (2,), x)
    score = lambda name: (MEANS[name] - z) @ law(name, SIGMA).precision_matrix
    difference = score("p") - score("q")
    torch.testing.assert_close(drift.move, SIGMA**2 * difference, rtol=1e-9, atol=1e-12)
    assert drift.fisher == pytest.approx(float(difference.square().sum(1).mean()))


@pytest.mark.parametrize("name", ASCENDED)
def test_a_generator_ascends_the_loss_of_the_GAN(name):
    """The parameters' gradient is that of the loss itself, through the noised points."""
    made = task(exact(name), [View(lambda x: x, [SIGMA] * 9, 1.0)])
    loss, _ = made.loss(latents(), draw(9), 0, STREAMS)
    x = made.network(latents())
    noise = STREAMS.child("0").normal("query", 0, 16, (2,), x.detach())
    ascended = ASCENDED[name](x + SIGMA * noise).mean()
    truth = -(SIGMA**2) * gradient(ascended, made.network)
    torch.testing.assert_close(gradient(loss, made.network), truth, rtol=1e-8, atol=1e-10)
    assert float(truth.norm()) > 0.01


class Quadratic(torch.nn.Module):
    """Between Gaussians the best logit is quadratic; coefficients of second order in log sigma."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(6, 3).double())

    def forward(self, x, c_noise):
        a, b = x.T
        features = torch.stack([torch.ones_like(a), a, b, a * a, a * b, b * b], 1)
        powers = (4 * c_noise)[:, None] ** torch.arange(3)
        return (features @ self.weight * powers).sum(1)


def test_a_classifier_learns_the_score_difference_at_every_noise_level():
    """Within 10 % (root mean square) of the closed form of two Gaussians at three levels."""
    sample = lambda name, seed: MEANS[name] + draw(4000, seed=seed) @ law(name, 0.0).scale_tril.T
    x, y, levels = sample("q", 1), sample("p", 2), (1.6, 0.8, 0.4)
    learner = Adversary(Quadratic(), batch_size=1024, learning_rate=0.05)
    for step in range(240):
        learner.learn(x, y, levels[step % 3], STREAMS.child(f"{step}"))
    for sigma in levels:
        z = sample("q", 3) + sigma * draw(4000, seed=4)
        _, slope = learner.slope(z, sigma)
        truth = exact_slope(z, sigma)
        assert float((slope - truth).norm() / truth.norm()) < 0.1


@pytest.mark.slow
def test_a_flow_learns_its_way_and_can_be_cut(tmp_path):
    x, y = draw(200), draw(300, seed=1, scale=0.5, shift=2)
    drift = Adversary(LogitMLP(2, 32, 1), turns=4, batch_size=128, learning_rate=1e-2)
    flow = ParticleFlow([0.8] * 40 + [0.4] * 20, drift=drift, step=0.5)
    whole = flow.run(x, y, seed=3)
    assert float((whole.particles.mean(0) - 2).abs().max()) < 0.25
    assert whole.particles.std(0).tolist() == pytest.approx([0.5, 0.5], abs=0.2)
    half = flow.resume(flow.start(x, y, seed=3), y, steps=25)
    half.state.save(tmp_path / "half.safetensors")
    for state in (FlowState.load(tmp_path / "half.safetensors"), half.state):
        assert torch.equal(flow.resume(state, y).particles, whole.particles)
    assert drift.count == 0  # what was given is as it was


@pytest.mark.slow
def test_a_generator_learns_beside_its_classifier_and_resumes_bit_equal(tmp_path):
    y = draw(400, seed=1, scale=0.5, shift=1).float()
    settings = {"drift": Adversary(LogitMLP(2, 32, 1), turns=2, learning_rate=5e-3),
                "steps": 200, "batch_size": 64, "learning_rate": 3e-3, "ema": 0.9,
                "bandwidths": Annealing(sigma_max=1.0, sigma_min=0.3),
                "checkpoint_every": 40}  # fmt: skip
    build = lambda: LatentMLP(2, 2, 32, 1)
    whole = train_generator(build(), y, **settings)
    with pytest.raises(KeyboardInterrupt):
        train_generator(build(), y, **settings, out=tmp_path, callbacks=[interrupt_at(55)])
    assert same(whole, train_generator(build(), y, **settings, out=tmp_path))
    x = whole.sample(400)
    assert float((x.mean(0) - 1).abs().max()) < 0.25
    assert 0.25 < float(x.std(0).min()) < float(x.std(0).max()) < 0.65
    again = Adversary(LogitMLP(2, 32, 1, seed=1), turns=2, learning_rate=5e-3)  # other weights
    with pytest.raises(InputError, match="drift was"):
        train_generator(build(), y, **settings | {"drift": again}, out=tmp_path)


def test_the_network_is_rebuilt_and_starts_undecided():
    made = LogitMLP(2, 8, 1, seed=1)
    x, labels = draw(5).float(), torch.zeros(5)
    assert made(x, labels).tolist() == [0.0] * 5
    torch.nn.init.ones_(made.last.weight)
    again = rebuild(describe(made), dict(made.state_dict()))
    assert torch.equal(again(x, labels), made(x, labels))
    assert made(x, labels).unique().numel() == 5
    assert not torch.equal(made(x, labels), made(x, labels + 1))


@pytest.mark.usefixtures("unchecked")
def test_numpys_integers_make_the_same_adversary():
    counts = {"turns": 2, "batch_size": 8}
    theirs = Adversary(LogitMLP(2), **{name: np.int64(n) for name, n in counts.items()})
    assert repr(theirs) == repr(Adversary(LogitMLP(2), **counts))  # what a checkpoint compares


def test_what_is_refused():
    for settings, words in (
        ({"divergence": "wasserstein"}, "unknown divergence"),
        ({"turns": -1}, "turns must be an integer of at least 0"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"spread": 0.0}, "spread must be positive"),
    ):
        with pytest.raises(InputError, match=words):
            Adversary(LogitMLP(2), **settings)
    with pytest.raises(InputError, match="needs points of the target"):
        Adversary(LogitMLP(2))(draw(4), PlainSide(torch.neg), 1.0, Streams(0))
    with pytest.raises(InputError, match="must have 3 entries each"):
        train_generator(network(), draw(9).float(), drift=Adversary(LogitMLP(3)), steps=1)
    with pytest.raises(InputError, match="dim must be an integer from 1"):
        LogitMLP(0)
