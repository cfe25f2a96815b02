import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import pandas as pd
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.network import MLP, registry
from wasserscore.process import EDM, VP, LinearSDE
from wasserscore.score import NetworkScore, load
from wasserscore.training import DivergedError, LogNormal, ScoreMatching, train_score
from wasserscore.training.denoising import denoising_loss
from wasserscore.training.weighting import weighting_named

SETTINGS = {"steps": 30, "batch_size": 16, "checkpoint_every": 7, "seed": 3}


def data(n=50):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(9))


def images():
    return torch.randn(6, 2, 3, 2, generator=torch.Generator().manual_seed(9))


def frame(columns):
    return pd.DataFrame(data().numpy(), columns=list("abc"))[list(columns)]


def network(seed=1):
    return MLP(3, 8, 1, seed=seed)


def weights(score):
    return score.network.state_dict()


def same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def interrupt_at(step):
    def callback(k, logs):
        if k == step:
            raise KeyboardInterrupt

    return callback


def test_same_seed_same_bits_other_seed_other_bits():
    one = train_score(network(), data(), EDM(), **SETTINGS)
    same(weights(one), weights(train_score(network(), data(), EDM(), **SETTINGS)))
    other = train_score(network(), data(), EDM(), **{**SETTINGS, "seed": 4})
    assert not torch.equal(one.network.last.weight, other.network.last.weight)


@pytest.mark.parametrize("stop", [1, 7, 18, 29])
def test_a_resumed_run_ends_bit_equal(stop, tmp_path):
    whole = train_score(network(), data(), EDM(), **SETTINGS)
    mine = network()
    with pytest.raises(KeyboardInterrupt):
        train_score(mine, data(), EDM(), **SETTINGS, out=tmp_path, callbacks=[interrupt_at(stop)])
    seen = []
    resumed = train_score(
        mine, data(), EDM(), **SETTINGS, out=tmp_path, callbacks=[lambda k, _: seen.append(k)]
    )
    assert seen == list(range(stop + 1, 31))
    same(weights(whole), weights(resumed))
    again = train_score(mine, data(), EDM(), **SETTINGS, out=tmp_path)
    same(weights(whole), weights(again))


OTHERS = {
    "steps": {"steps": 31},
    "batch_size": {"batch_size": 8},
    "learning_rate": {"learning_rate": 1e-4},
    "ema": {"ema": 0.5},
    "weight_decay": {"weight_decay": 0.5},
    "gradient_clip": {"gradient_clip": 2.0},
    "regularise": {"regularise": "spectral"},
    "bound": {"regularise": "clip"},
    "seed": {"seed": 4},
    "weighting": {"weighting": "likelihood"},
    "mean": {"weighting": LogNormal(0.0)},
    "prediction": {"prediction": "noise"},
    "data_std": {"data_std": 2.0},
    "process": {"process": VP.cosine()},
    "network": {"network": MLP(3, 9, 1)},
    "initial_weights_sha256": {"network": network(seed=2)},
    "data_sha256": {"data": data(49), "data_std": 1.0},
    "scaling": {"scaling": Scaling(torch.zeros(3), torch.tensor(2.0))},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_different_configuration_is_refused_by_name(name, tmp_path):
    base = {
        "network": network(), "data": data(), "process": EDM(), "out": tmp_path, "data_std": 1.0,
        **SETTINGS,
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train_score(**base, callbacks=[interrupt_at(2)])
    with pytest.raises(InputError, match=f"of a different run, got.* ?{name} was"):
        train_score(**{**base, **OTHERS[name]})
    train_score(**base)


def test_data_that_gather_gradients_gather_none_here():
    """What comes out of another network says so, until it is detached."""
    rows = data().requires_grad_()
    same(*(weights(train_score(network(), x, EDM(), **SETTINGS)) for x in (rows, data())))
    assert rows.grad is None


def test_training_within_no_grad_is_the_same_and_within_inference_mode_refused():
    with torch.no_grad():
        within = train_score(network(), data(), EDM(), **SETTINGS)
    same(weights(within), weights(train_score(network(), data(), EDM(), **SETTINGS)))
    with torch.inference_mode(), pytest.raises(InputError, match="training needs gradients"):
        train_score(network(), data(), EDM(), **SETTINGS)


class Dropping(torch.nn.Module):
    """A perceptron half of whose output is dropped while it trains."""

    def __init__(self):
        super().__init__()
        self.whole, self.drop = network(), torch.nn.Dropout(0.5)
        torch.nn.init.ones_(self.whole.last.weight)

    def config(self):
        return {"class": "Dropping"}

    def forward(self, x, c_noise):
        return self.drop(self.whole(x, c_noise))


def test_layers_that_draw_are_of_the_seed_and_of_a_resumed_run_too(tmp_path, monkeypatch):
    """Dropout knows no generator but the global one, which stays as it is."""
    monkeypatch.setattr(registry, "_CLASSES", registry._CLASSES | {"Dropping": Dropping})
    whole = weights(train_score(Dropping(), data(), EDM(), **SETTINGS))
    settings = {**SETTINGS, "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        train_score(Dropping(), data(), EDM(), callbacks=[interrupt_at(11)], **settings)
    with torch.random.fork_rng():
        torch.rand(7)  # another process has another state
        same(weights(train_score(Dropping(), data(), EDM(), **settings)), whole)
    other = weights(train_score(Dropping(), data(), EDM(), **{**SETTINGS, "seed": 4}))
    assert any(not torch.equal(other[name], whole[name]) for name in whole)


def test_it_learns_the_law_of_a_gaussian():
    """With a linear target the trained score comes near the closed form, at every level."""
    mean = torch.tensor([1.5, -0.5, 0.0])
    points = mean + torch.tensor([1.0, 0.5, 0.2]) * data(2000)
    score = train_score(
        MLP(3, 32, 1), points, VP.from_betas(beta_min=0.1, beta_max=20.0), steps=250
    )
    variance = torch.tensor([1.0, 0.25, 0.04])
    z = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    for t in (0.05, 0.2, 0.5):
        alpha, s2 = float(score.process.alpha(t)), float(score.process.variance(t))
        x = alpha * mean + (alpha**2 * variance + s2).sqrt() * z
        exact = -(x - alpha * mean) / (alpha**2 * variance + s2)
        error = s2 * (score(x, t) - exact).square().sum(1).mean()  # of 3 in units of the noise
        assert float(error) < 0.05


def test_the_score_carries_shape_scaling_and_the_data_s_size():
    scaling = Scaling(torch.zeros(6), torch.tensor(2.0))
    images = 3.0 * data(40).repeat(1, 2).reshape(40, 2, 3)
    score = train_score(MLP(6, 8, 1), images, EDM(), scaling=scaling, steps=2)
    assert score.shape == (2, 3)
    assert score.scaling is scaling
    assert score.data_std == pytest.approx(float(images.square().mean().sqrt()), rel=1e-5)
    assert score(images, 1.0).shape == images.shape
    assert not score(images, 1.0).requires_grad


@pytest.mark.parametrize("weighting", ["likelihood", "certificate", ScoreMatching(smallest=0.1)])
def test_other_weightings_train(weighting):
    """The objective falls; the noise is the same before and after, so its constant cancels."""
    points = data(500) * torch.tensor([3.0, 0.3, 0.1])
    trained = train_score(network(), points, VP.cosine(), weighting=weighting, steps=200)
    untrained = replace(trained, network=network())
    uniform = (torch.arange(500).double() + 0.5) / 500
    noise = torch.randn(500, 3, generator=torch.Generator().manual_seed(2))

    def loss(score):
        chosen = weighting_named(weighting)
        return float(denoising_loss(score, chosen, points, uniform, noise).detach())

    assert loss(trained) < loss(untrained)


def test_divergence_is_named_and_the_checkpoint_stays_readable(tmp_path):
    points = data()
    points[7] = 1e30
    with pytest.raises(DivergedError, match=r"is (inf|nan) at step \d+; lower learning_rate"):
        train_score(network(), points, EDM(), **SETTINGS, data_std=1.0, out=tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_refused(dtype):
    """A thousandth of their way is less than their last digit: the average stayed behind."""
    with pytest.raises(InputError, match=rf"float32 or float64, got {dtype}; pass network.float"):
        train_score(network().to(dtype), data(), EDM(), **SETTINGS)


def test_a_process_that_cannot_be_saved_is_refused_before_training(tmp_path):
    own = LinearSDE(f=lambda t: 0 * t, g2=lambda t: 1 + t, horizon=9.0)
    with pytest.raises(InputError):
        train_score(network(), data(), own, **SETTINGS, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(train_score(network(), data(), own, steps=2), NetworkScore)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objective": "contrastive"}, "objective must be one of"),
        ({"warmup": -1}, "warmup must be an integer of at least 0"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"label_dropout": 1.0}, "label_dropout must lie in"),
        ({"measure_every": 0}, "measure_every must be a positive integer"),
        ({"weighting": "snr"}, "weighting must be one of"),
        ({"prediction": "epsilon"}, "prediction must be one of"),
        ({"steps": 0}, "steps must be a positive integer"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": float("inf")}, "learning_rate must be positive and finite"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and not negative"),
        ({"weight_decay": float("inf")}, "weight_decay must be finite and not negative"),
        ({"network": torch.nn.Identity()}, "needs weights, got none in Identity"),
        ({"holdout": data()[:, :2], "callbacks": [interrupt_at(1)]}, r"holdout must have shape"),
        (
            {
                "network": MLP(12, 8, 1),
                "data": images(),
                "holdout": images().mT,
                "callbacks": [interrupt_at(1)],
            },
            r"holdout must have the axes of data, \(2, 3, 2\), got \(2, 2, 3\)",
        ),
        (
            {"data": frame("abc"), "holdout": frame("acb")},
            "holdout must have the columns of data in their order, a, b, c, got a, c, b",
        ),
        ({"ema": 1.0}, "ema must lie in"),
        ({"gradient_clip": 0.0}, "gradient_clip must be positive"),
        ({"regularise": "weights"}, "regularise must be one of"),
        ({"checkpoint_every": 0, "out": "x"}, "checkpoint_every must be"),
        ({"data": torch.zeros(5, 3)}, "data must vary"),
        ({"data": torch.full((5, 3), float("nan"))}, "data must be finite"),
        ({"data": torch.zeros(5)}, "data must have one row per point"),
    ],
)
def test_settings_are_refused_by_name(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        train_score(**{"network": network(), "data": data(), "process": EDM(), **given})
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
    import sys, torch
    from wasserscore.network import MLP
    from wasserscore.process import EDM
    from wasserscore.score import save
    from wasserscore.training import train_score
    torch.set_num_threads(1)
    data = torch.randn(50, 3, generator=torch.Generator().manual_seed(9))
    say = lambda k, logs: print(k, flush=True)
    score = train_score(MLP(3, 32, 2, seed=1), data, EDM(), steps=600, batch_size=64,
                        checkpoint_every=20, seed=3, out=sys.argv[1], callbacks=[say])
    save(score, sys.argv[1])
"""


def start(folder):
    code = textwrap.dedent(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process) -> int:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return process.returncode


@pytest.mark.slow
def test_killed_processes_continue_to_the_same_bits(tmp_path):
    """kill -9 at moments spread over the run, during checkpoints too, then once SIGTERM."""
    finish(start(tmp_path / "whole"))
    folder = tmp_path / "killed"
    for steps, wait in ((19, 0.003), (40, 0.01), (77, 0.0)):
        process = start(folder)
        for _ in range(steps):
            assert process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=100) == -signal.SIGKILL
        process.communicate()
    process = start(folder)
    first = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=100)
    assert process.returncode == -signal.SIGTERM
    last = int(rest.split()[-1]) if rest.split() else first
    process = start(folder)
    assert int(process.stdout.readline()) == last + 1
    finish(process)
    same(weights(load(tmp_path / "whole")), weights(load(folder)))
    steps = sorted(p.name for p in (folder / "checkpoints").iterdir())
    assert steps == ["step-00000580", "step-00000600"]
