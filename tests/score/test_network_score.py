import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.network import MLP
from wasserscore.process import EDM, OU, VE, VP, SubVP
from wasserscore.score import DenoiserScore, NetworkScore
from wasserscore.score.guidance import Guided, Posterior

PROCESSES = {
    "VE": VE.from_sigmas(sigma_min=0.01, sigma_max=50.0),
    "VP": VP.from_betas(beta_min=0.1, beta_max=20.0),
    "cosine": VP.cosine(),
    "sub-VP": SubVP.linear(a=19.9, b=0.1),
    "OU": OU(alpha=0.7, sigma=1.3),
    "EDM": EDM(),
}
MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
VARIANCE = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64)
S = 1.4  # any data_std is exact here, also one that is not the data's


class ExactF(nn.Module):
    """The optimal network for Gaussian data, from nothing but its two inputs.

    With EDM preconditioning it inverts the published c_in and c_noise by itself (r = e^{4 c},
    x_hat = u sqrt(r^2 + s^2)), so that any other c_in or c_noise gives another score.
    """

    def __init__(self, prediction, preconditioning, process):
        super().__init__()
        self.prediction, self.process = prediction, process
        self.edm = preconditioning == "edm"
        self.unused = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, u, c):
        c = c[:, None]
        if self.edm:
            r = torch.exp(4 * c)
            y, sigma, s = u * (r**2 + S**2).sqrt(), None, S
        else:
            alpha, sigma = self.process.alpha(c), self.process.sigma(c)
            y, r, s = u / alpha, sigma / alpha, 1.0
        x0 = MEAN + VARIANCE / (VARIANCE + r**2) * (y - MEAN)
        z = (y - x0) / r
        return {
            "noise": z,
            "data": x0 / s,
            "velocity": (s * z - r * x0 / s) / (r**2 + s**2).sqrt(),
            "score": -z if self.edm else None if sigma is None else -z / sigma,
        }[self.prediction]


def exact_score(process, x, t):
    t = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1)
    alpha, sigma = process.alpha(t), process.sigma(t)
    return -(x - alpha * MEAN) / (alpha**2 * VARIANCE + sigma**2)


GRID = list(product(["velocity", "noise", "data", "score"], ["edm", "none"], PROCESSES))


@pytest.mark.parametrize(("prediction", "preconditioning", "name"), GRID)
def test_the_exact_network_is_the_closed_form(prediction, preconditioning, name, generator):
    process = PROCESSES[name]
    network = ExactF(prediction, preconditioning, process)
    score = NetworkScore(network, process, prediction, preconditioning, S, shape=(3,))
    t = process.horizon * torch.tensor([0.01, 0.1, 0.3, 0.7, 1.0], dtype=torch.float64)
    z = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    x = process.alpha(t)[:, None] * MEAN + process.sigma(t)[:, None] * z + 0.5 * z
    torch.testing.assert_close(score(x, t), exact_score(process, x, t), rtol=1e-7, atol=1e-9)
    alone = torch.cat([score(x[i : i + 1], float(t[i])) for i in range(5)])
    torch.testing.assert_close(alone, score(x, t), rtol=1e-12, atol=1e-13)


def test_denoise_is_the_posterior_mean(generator):
    process = PROCESSES["VP"]
    score = NetworkScore(ExactF("velocity", "edm", process), process, data_std=S, shape=(3,))
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    alpha, s2 = float(process.alpha(0.3)), float(process.variance(0.3))
    expected = MEAN + alpha * VARIANCE / (alpha**2 * VARIANCE + s2) * (x - alpha * MEAN)
    torch.testing.assert_close(score.denoise(x, 0.3), expected, rtol=1e-10, atol=1e-12)


def test_the_same_network_serves_every_process(generator):
    home = NetworkScore(ExactF("noise", "edm", EDM()), EDM(), "noise", data_std=S, shape=(3,))
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    for process in PROCESSES.values():
        t = process.horizon / 3
        away = home.under(process)
        assert away.process is process
        torch.testing.assert_close(away(x, t), exact_score(process, x, t), rtol=1e-8, atol=1e-10)


def test_a_network_without_preconditioning_knows_one_process():
    score = NetworkScore(MLP(3, 4, 1), EDM(), "noise", "none")
    with pytest.raises(InputError, match="change its process"):
        score.under(VP.cosine())


def test_the_untrained_network_is_the_best_linear_denoiser():
    score = NetworkScore(MLP(3, 4, 1).double(), EDM(), data_std=2.0)
    x = torch.ones(2, 3, dtype=torch.float64)
    torch.testing.assert_close(score(x, 1.5), -x / (1.5**2 + 2.0**2), rtol=1e-12, atol=0)


def test_points_may_be_images_or_flat_and_keep_their_dtype(generator):
    network = MLP(6, 8, 1)
    nn.init.normal_(network.last.weight, generator=generator)
    score = NetworkScore(network, EDM(), shape=(2, 3))
    x = torch.randn(4, 2, 3, generator=generator, dtype=torch.float64)
    assert score(x, 1.0).shape == (4, 2, 3)
    assert score(x, 1.0).dtype == torch.float64
    assert torch.equal(score(x, 1.0).flatten(1), score(x.flatten(1), 1.0))
    with pytest.raises(InputError, match=r"shape \(b, 2, 3\)"):
        score(torch.zeros(4, 5), 1.0)
    with pytest.raises(InputError, match=r"shape \(b, 2, 3\), got \(4, 3, 2\)"):
        score(x.mT, 1.0)


class Turned(nn.Module):
    """A layer whose channels are last, which is not where they were."""

    def forward(self, x, c_noise):
        return x.movedim(1, -1)


def test_what_a_network_gives_is_not_taken_in_another_order(generator):
    score = NetworkScore(Turned(), EDM(), shape=(2, 3, 3))
    with pytest.raises(InputError, match=r"a network must return points .*got \(4, 3, 3, 2\) for"):
        score(torch.randn(4, 2, 3, 3, generator=generator), 1.0)
    one = NetworkScore(Turned(), EDM(), shape=(1, 3, 3))  # axes of length one change nothing
    assert one(torch.randn(4, 1, 3, 3, generator=generator), 1.0).shape == (4, 1, 3, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_score_has_the_type_of_its_points(dtype):
    score = NetworkScore(MLP(3, 4, 1).to(dtype), EDM())
    assert score(torch.zeros(2, 3, dtype=dtype), 1.0).dtype == dtype


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", ["network", "denoiser", "posterior", "guided"])
def test_points_may_be_arrays(kind, generator):
    network = NetworkScore(MLP(3, 4, 1), EDM())
    score = {
        "network": network,
        "denoiser": DenoiserScore(lambda y, r: y / (1 + r[:, None] ** 2), EDM(), (3,)),
        "posterior": Posterior(network, torch.eye(3), torch.zeros(3), 0.1),
        "guided": Guided(network, network, 2.0),
    }[kind]
    x = torch.randn(4, 3, generator=generator)
    for ask in [score, getattr(score, "denoise", score)]:
        assert torch.equal(ask(x.numpy(), np.float64(1.0)), ask(x, 1.0))
        assert torch.equal(ask(x.double().tolist(), 1.0), ask(x.double(), 1.0))


def test_float32_agrees_with_float64_where_sampling_goes(generator):
    network = MLP(6, 16, 2)
    nn.init.normal_(network.last.weight, generator=generator)
    score = NetworkScore(network.requires_grad_(False), EDM())
    z = torch.randn(32, 6, generator=generator, dtype=torch.float64)
    for t in (80.0, 1.0, 0.002):
        error = t * (score((t * z).float(), t) - score(t * z, t)).abs().max()
        assert float(error) < 2e-4


def test_gradients_flow_in_training_and_not_in_inference(generator):
    score = NetworkScore(MLP(3, 4, 1), EDM())
    x = torch.randn(2, 3, generator=generator)
    assert score(x, 1.0).requires_grad
    score.network.requires_grad_(False)
    assert not score(x, 1.0).requires_grad
    assert score(x.requires_grad_(), 1.0).requires_grad


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prediction": "epsilon"}, "prediction must be one of"),
        ({"preconditioning": "karras"}, "preconditioning must be one of"),
        ({"data_std": 0.0}, "data_std must be positive"),
        ({"data_std": math.inf}, "data_std must be positive"),
        ({"scaling": Scaling(torch.zeros(2), torch.tensor(1.0))}, "each of 3 coordinates, got 2"),
    ],
)
def test_settings_are_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        NetworkScore(MLP(3, 4, 1), EDM(), **given)


@pytest.mark.usefixtures("unchecked")
def test_a_process_by_its_name_is_refused():
    with pytest.raises(InputError, match="the process must be one of wasserscore's, got 'vp'"):
        NetworkScore(MLP(3, 4, 1), "vp")


def test_no_score_without_noise_and_no_shape_without_a_dim():
    with pytest.raises(InputError, match="t > 0"):
        NetworkScore(MLP(3, 4, 1), EDM())(torch.zeros(1, 3), 0.0)
    with pytest.raises(InputError, match="shape must be given"):
        NetworkScore(nn.Identity(), EDM())


def test_state_round_trip_keeps_the_scaling(generator):
    scaling = Scaling(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(0.5))
    score = NetworkScore(MLP(3, 4, 1), VP.cosine(), "noise", data_std=0.7, scaling=scaling)
    nn.init.normal_(score.network.last.weight, generator=generator)
    again = NetworkScore.from_state(*score.state())
    x = torch.randn(2, 3, generator=generator)
    assert torch.equal(again(x, 0.5), score(x, 0.5))
    assert torch.equal(again.scaling.undo(x), scaling.undo(x))
    assert not again(x, 0.5).requires_grad
