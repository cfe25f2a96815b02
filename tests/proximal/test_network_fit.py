"""The precision network: its law, its loss, its floor, and what training and held-out rows do."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.process import VE
from wasserscore.proximal import fit_kernel, fit_proximal, network_fit
from wasserscore.proximal.network_fit import Training
from wasserscore.proximal.objectives import implicit_score_matching
from wasserscore.proximal.precision_network import PrecisionNetwork
from wasserscore.proximal.quadratics import Quadratics
from wasserscore.proximal.sample_rows import Rows, distinct, least_variance
from wasserscore.score.proximal import ProximalScore

CLOCK = VE.constant(a=1.0, horizon=100.0)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def ring(n, seed=0, noise=0.02):
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], 1) + noise * draw(n, 2, seed=seed + 1)


def plain(points) -> Rows:
    return Rows(points, torch.ones(len(points)).double())


def model(d=3, floor=0.1, kernel=None) -> PrecisionNetwork:
    """A network that says something else about every centre."""
    network = network_fit.Triangular(d, 8, 2, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.last.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    kernel = torch.linspace(0.2, 0.5, d).double() if kernel is None else kernel
    return PrecisionNetwork(network, draw(d, seed=3), 1 + draw(d, seed=4).abs(), kernel, floor)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(network_fit, "STEPS", 50)
    monkeypatch.setattr(network_fit, "EVERY", 25)
    monkeypatch.setattr(network_fit, "FLOORS", (0.25,))


def test_quadratic_forms_are_the_mixture():
    a = 0.4 * draw(6, 3, 3)
    precisions = a @ a.mT + 0.8 * torch.eye(3).double()
    weights = (0.5 + torch.arange(6).double()) / 18
    law, x = Quadratics(draw(6, 3, seed=1), precisions, weights.log()), draw(9, 3, seed=2)
    reference = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights),
        torch.distributions.MultivariateNormal(law.centres, precision_matrix=precisions),
    )
    torch.testing.assert_close(law.log_density(x), reference.log_prob(x))


def test_the_model_is_the_proximal_score_of_its_covariances_and_the_loss_is_the_objective():
    net, centres, x = model(), plain(draw(7, 3)), draw(40, 3, seed=5)
    with torch.no_grad():
        score = ProximalScore(centres.points, net.covariance(centres.points), CLOCK)
        torch.testing.assert_close(net.log_density(x, centres), score.log_prob(x))
    even = model(kernel=torch.full((3,), 0.4).double())
    training = Training(even, "network", lambda g: (centres, centres), Streams(0))
    with torch.no_grad():
        score = ProximalScore(centres.points, even.covariance(centres.points), CLOCK)
        found = training.loss(centres, plain(x))
        # both terms of the loss are squared inverse lengths, and lengths are in units of 0.4
        torch.testing.assert_close(found, 0.4**2 * implicit_score_matching(score, x))
        training.objective = "network_likelihood"
        likelihood = training.loss(centres, Rows(x, torch.arange(1, 41).double()))
        mean = torch.arange(1, 41).double() @ score.log_prob(x) / (40 * 41 / 2)
        torch.testing.assert_close(likelihood, -mean - 3 * math.log(0.4))


def test_k1_no_component_is_thinner_than_the_floor_nor_wider_than_the_data():
    net = model(floor=0.05)
    with torch.no_grad():
        net.network.last.bias[:2] = torch.tensor([8.0, -8.0])  # as thin and as wide as can be
        spiked = net.covariance(draw(9, 3, seed=6))
    for i in range(9):
        reduced = spiked.covariance(i) / net.kernel / net.kernel[:, None]
        values = torch.linalg.eigvalsh(reduced)
        assert 0.05 - 1e-9 < float(values[0]) < 0.06
        widest = float((net.spread / net.kernel).square().max())
        assert widest / 2 < float(values[-1]) < widest + 0.06


@pytest.mark.parametrize("method", ["network", "network_likelihood"])
def test_training_explains_held_out_points_better(method, quick):
    x, held = ring(80), ring(1000, seed=50)
    score = fit_proximal(x, CLOCK, method=method)
    kernel = fit_kernel(x, CLOCK, kind="columns")
    gain = float(score.log_prob(held).mean()) - float(kernel.log_prob(held).mean())
    assert gain > 0.1
    report = score.fit_report
    assert report.method == method
    assert report.settings["steps"] in (25, 50)
    assert report.settings["floor"] == 0.25
    assert float(report.notes[-1].split()[-2]) < report.log_likelihood


def test_same_seed_same_model(quick):
    a, b = (fit_proximal(ring(12), CLOCK, method="network", seed=3) for _ in range(2))
    assert torch.equal(a.covariance.factors, b.covariance.factors)
    assert not a.covariance.factors.requires_grad
    with torch.no_grad():
        within = fit_proximal(ring(12), CLOCK, method="network", seed=3)
    assert torch.equal(within.covariance.factors, a.covariance.factors)


def test_every_step_has_another_split_and_no_point_is_its_own_centre():
    rows, seen = plain(draw(21, 2)), []
    split = network_fit._anew(rows)
    for step in range(2):
        centres, fit = split(Streams(0).generator("split", step))
        together = torch.cat([centres.points, fit.points])
        assert torch.equal(together.sort(0).values, rows.points.sort(0).values)
        seen.append(centres.points)
    assert len(seen[0]) == 10
    assert not torch.equal(*seen)


def test_averaged_weights_lag_behind():
    rows, least = distinct(ring(60))[0], 1e-6 * torch.ones(2).double()
    training = network_fit._start("network", rows, None, 0.25, least, Streams(0))
    expected, weight = training.model.network.last.bias.detach().clone(), 1.0
    for step in range(1, 4):
        training.advance(1)
        weight = min(network_fit.AVERAGE, step / (step + 9))
        expected = weight * expected + (1 - weight) * training.model.network.last.bias.detach()
    torch.testing.assert_close(training.averaged.network.last.bias.detach(), expected)


def test_fit_points_on_centres_are_left_out_and_said(quick):
    x = ring(30)
    score = fit_proximal(x, CLOCK, method="network", fit_points=torch.cat([x[:4], ring(90, 5)]))
    assert score.fit_report.notes[0] == "4 fit points that are centres were left out"
    assert torch.equal(score.centres, distinct(x)[0].points)
    with pytest.raises(InputError, match="ten fit points must not be centres"):
        fit_proximal(x, CLOCK, method="network", fit_points=x)
    with pytest.raises(InputError, match="only the networks take fit_points"):
        fit_proximal(x, CLOCK, fit_points=ring(90, 5))
    with pytest.raises(InputError, match="must have 2 columns"):
        fit_proximal(x, CLOCK, method="network", fit_points=draw(30, 3))


def test_the_floor_never_falls_below_the_least_variance(quick):
    lattice = torch.randint(0, 4, (40, 1), generator=torch.Generator().manual_seed(0)).double()
    x = torch.cat([draw(40, 1), lattice], 1)
    score = fit_proximal(x, CLOCK, method="network_likelihood")
    assert bool((score.covariance.floor >= 0.999 * least_variance(distinct(x)[0])).all())


def test_memory_is_asked_for_first(monkeypatch):
    monkeypatch.setattr(network_fit, "FACTOR_BYTES", 8 * 30 * 4 - 1)
    with pytest.raises(InputError, match="would not fit into memory"):
        fit_proximal(draw(30, 2), CLOCK, method="network")
