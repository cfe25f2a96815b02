"""Models that come from elsewhere: functions, denoisers of azula, EDM's networks."""

import math
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch import nn

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.network import MLP, UNet
from wasserscore.process import EDM, OU, VP

MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
VARIANCE = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64)
PROCESSES = {
    "EDM": EDM(), "VP": VP.from_betas(beta_min=0.1, beta_max=20.0), "OU": OU(alpha=0.7, sigma=1.3)
}  # fmt: skip


def denoise(y, r):
    """E[x_0 | x_0 + r z = y] of a Gaussian."""
    return MEAN + VARIANCE / (VARIANCE + r[:, None] ** 2) * (y - MEAN)


def points(n=5, d=3):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def exact(process):
    return ws.GaussianScore(MEAN, torch.diag(VARIANCE), process)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_function_that_denoises_is_a_score(name):
    process = PROCESSES[name]
    score = ws.DenoiserScore(denoise, process, (3,))
    times = torch.linspace(0.1, 0.9, 5, dtype=torch.float64) * process.horizon
    for t in (times, float(times[2])):
        torch.testing.assert_close(score(points(), t), exact(process)(points(), t))
    other = PROCESSES["OU"]
    torch.testing.assert_close(score.under(other)(points(), 0.3), exact(other)(points(), 0.3))


def test_a_function_samples_in_data_units():
    scaling = Scaling(
        torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), torch.tensor(2.0).double()
    )
    plain = ws.DenoiserScore(denoise, EDM(), (3,))
    score = ws.DenoiserScore(denoise, EDM(), (3,), scaling)
    draw = lambda s: ws.sample(s, 4, steps=6, dtype=torch.float64)
    torch.testing.assert_close(draw(score), scaling.undo(draw(plain)))
    torch.testing.assert_close(draw(plain), draw(exact(EDM())), rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("unchecked")
def test_what_a_denoiser_gives_is_not_taken_in_another_order():
    process, x = EDM(), torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    mean = lambda y, r: y / (1 + r**2).reshape(-1, 1, 1)
    score = lambda given: ws.DenoiserScore(lambda y, r: given(mean(y, r)), process, (2, 3))(x, 1.0)
    whole = score(lambda m: m)
    for same in (lambda m: m.flatten(1), lambda m: m[:, None], torch.Tensor.double):
        assert torch.equal(score(same), whole)
    for other in (lambda m: m.mT, lambda m: m[:, :, :2], lambda m: m.flatten(), lambda m: m[:1]):
        with pytest.raises(InputError, match="must return points like those it is given, got"):
            score(other)
    for other in (lambda m: None, lambda m: (m,), torch.Tensor.numpy):
        with pytest.raises(InputError, match="a denoiser must return a tensor, got"):
            score(other)
    with pytest.raises(InputError, match="a denoiser must be a function or a module, got int"):
        ws.DenoiserScore(3, process, (3,))
    with pytest.raises(InputError, match="shape must name the sizes of a point"):
        ws.DenoiserScore(mean, process, ())


def test_no_score_without_noise():
    score = ws.DenoiserScore(denoise, EDM(), (3,))
    with pytest.raises(InputError, match="without noise"):
        score(points(), 0.0)
    with pytest.raises(InputError, match=r"\(b, 3\)"):
        score(points(d=2), 1.0)


class Schedule:
    """Variance preserving, as azula's: alpha = exp(t^2 ln 0.01)."""

    def __call__(self, t):
        alpha = torch.exp(math.log(0.01) * t**2)
        return alpha, torch.sqrt(1 - alpha**2 + 1e-6)


class Stranger(nn.Module):
    """What azula's denoisers look like: a schedule, and a posterior with a mean."""

    def __init__(self):
        super().__init__()
        self.schedule = Schedule()

    def forward(self, x_t, t):
        alpha, sigma = (part.expand(len(x_t)) for part in self.schedule(t))
        return SimpleNamespace(mean=denoise(x_t / alpha[:, None], sigma / alpha))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_denoiser_of_azula_is_a_score_of_every_process(name):
    process = PROCESSES[name]
    score = ws.from_azula(Stranger(), (3,), process=process)
    times = process.time_at(torch.tensor([0.01, 0.3, 1.0, 7.0, 90.0], dtype=torch.float64) ** 2)
    for t in (times, float(times[2])):
        torch.testing.assert_close(score(points(), t), exact(process)(points(), t), rtol=1e-6,
                                   atol=1e-9)  # fmt: skip


def test_the_default_process_ends_where_the_schedule_does():
    score = ws.from_azula(Stranger(), (3,))
    alpha, sigma = Schedule()(torch.ones((), dtype=torch.float64))
    assert score.process.sigma_max == pytest.approx(float(sigma / alpha), rel=1e-12)
    with pytest.raises(InputError, match=r"noise from 0\.001 to 100"):
        score(points(), 101.0)
    with pytest.raises(InputError, match="schedule"):
        ws.from_azula(denoise, (3,))


@pytest.mark.parametrize("schedule", ["VPSchedule", "VESchedule", "RectifiedSchedule"])
def test_a_denoiser_from_azula_itself(schedule):
    azula = pytest.importorskip("azula")
    from azula import denoise as theirs
    from azula import noise

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = MLP(3, 16, 2, seed=1)

        def forward(self, x, c):
            return self.network(x, c.expand(len(x)))

    assert azula.__name__ == "azula"
    model = theirs.KarrasDenoiser(Backbone(), getattr(noise, schedule)()).double()
    nn.init.normal_(model.backbone.network.last.weight, generator=torch.Generator().manual_seed(0))
    t = torch.tensor(0.4, dtype=torch.float64)
    alpha, sigma = model.schedule(t)
    score = ws.from_azula(model, (3,))
    x = points()
    mean = model(alpha * x, t).mean
    expected = (alpha * mean - alpha * x) / sigma**2  # at x_t = alpha x
    torch.testing.assert_close(score(x, float(sigma / alpha)) / alpha, expected, rtol=1e-6,
                               atol=1e-9)  # fmt: skip


def shaken(network):
    """A network whose every weight matters."""
    generator = torch.Generator().manual_seed(3)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    return network.double()


class OneHot(nn.Module):
    """A network of EDM's kind: told the class as a one-hot row."""

    def __init__(self):
        super().__init__()
        self.body = shaken(MLP(3, 16, 2))
        self.told = nn.Parameter(torch.arange(12, dtype=torch.float64).reshape(4, 3) / 7)

    def forward(self, x, c_noise, told):
        return self.body(x, c_noise) + told @ self.told


def karras(network, x, sigma, s, *told):
    """Table 1 of Karras et al. as it stands there."""
    total = sigma**2 + s**2
    c_noise = torch.full((len(x),), math.log(sigma) / 4, dtype=x.dtype)
    output = network(x / total**0.5, c_noise, *told)
    return s**2 / total * x + sigma * s / total**0.5 * output


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_state_dict_of_edm_becomes_a_score(tmp_path, prefix):
    trained = shaken(UNet((1, 4, 4), width=4, multipliers=(1,), attention=(4,)))
    file = tmp_path / "edm.safetensors"
    weights = {prefix + name: value for name, value in trained.state_dict().items()}
    safetensors.torch.save_file(weights, file)
    fresh = UNet((1, 4, 4), width=4, multipliers=(1,), attention=(4,), seed=9)
    score = ws.from_edm(fresh, file, (1, 4, 4), sigma_data=0.7)
    x, sigma = points(5, 16).reshape(5, 1, 4, 4), 0.6
    expected = (karras(trained, x, sigma, 0.7) - x) / sigma**2
    torch.testing.assert_close(score(x, sigma), expected, rtol=1e-6, atol=1e-9)
    assert fresh.last.weight.abs().max() == 0  # the module given is as it was
    ws.save(score, tmp_path / "ours")
    assert torch.equal(ws.load(tmp_path / "ours")(x, sigma), score(x, sigma))


def test_classes_of_edm_are_rows():
    network = OneHot()
    score = ws.from_edm(network, network.state_dict(), (3,), classes=4)
    x, row = points(), torch.eye(4, dtype=torch.float64)[2].expand(5, 4)
    for found, told in ((score, 0 * row), (score.conditioned(2), row)):
        torch.testing.assert_close(found.denoise(x, 0.6), karras(network, x, 0.6, 0.5, told),
                                   rtol=1e-6, atol=1e-9)  # fmt: skip


def test_a_network_of_edm_that_is_not_registered_is_not_saved(tmp_path):
    with torch.random.fork_rng():
        network = nn.Linear(3, 3)
    score = ws.from_edm(network, network.state_dict(), (3,))
    with pytest.raises(InputError, match=r"^only registered networks can be saved, got Linear"):
        ws.save(score, tmp_path)


def test_what_does_not_fit_is_named(tmp_path):
    network = MLP(3, 16, 2)
    weights = network.state_dict()
    first = next(iter(weights))
    with pytest.raises(InputError, match=first):
        ws.from_edm(network, {k: v for k, v in weights.items() if k != first}, (3,))
    with pytest.raises(InputError, match=f"weights must be finite, got NaN or .*{first}"):
        ws.from_edm(network, weights | {first: weights[first] / 0}, (3,))
    with pytest.raises(InputError, match="classes must be an integer of at least 0, got -1"):
        ws.from_edm(network, weights, (3,), classes=-1)
    pickle = tmp_path / "network.pkl"
    pickle.write_bytes(b"\x80\x04" + bytes(100))
    with pytest.raises(InputError, match="looks like a pickle"):
        ws.from_edm(network, pickle, (3,))
