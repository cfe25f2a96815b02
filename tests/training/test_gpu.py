"""Training on a GPU: the same steps as on the CPU, and checkpoints that change device."""

import math

import pytest
import torch

from wasserscore.network import MLP, UNet
from wasserscore.process import VP
from wasserscore.score import NetworkScore, load, save
from wasserscore.training import DivergedError, LogNormal, train_score
from wasserscore.training.denoising import Denoising
from wasserscore.training.schedule import Schedule

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
SETTINGS = {"batch_size": 32, "steps": 12, "checkpoint_every": 6, "seed": 3}


def data():
    return torch.randn(64, 3, generator=torch.Generator().manual_seed(9))


def weights(score):
    return torch.cat([p.detach().cpu().flatten() for p in score.network.parameters()])


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_a_few_steps_are_those_of_the_cpu(where):
    near = train_score(MLP(3, 16, 1), data(), PROCESS, **SETTINGS)
    far = train_score(MLP(3, 16, 1).cuda(), data().to(where), PROCESS, **SETTINGS)
    assert next(far.network.parameters()).is_cuda
    assert torch.allclose(weights(far), weights(near), rtol=1e-3, atol=1e-4)


class Stopped(Exception):
    """Stands for a machine that goes away."""


def stop(step, logs):
    if step == 8:
        raise Stopped


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_a_run_goes_on_on_another_device(tmp_path, first, then):
    whole = train_score(MLP(3, 16, 1), data(), PROCESS, **SETTINGS)
    with pytest.raises(Stopped):
        train_score(MLP(3, 16, 1).to(first), data(), PROCESS, **SETTINGS, out=tmp_path,
                    callbacks=[stop])  # fmt: skip
    rest = train_score(MLP(3, 16, 1).to(then), data(), PROCESS, **SETTINGS, out=tmp_path)
    assert next(rest.network.parameters()).device.type == then
    assert torch.allclose(weights(rest), weights(whole), rtol=1e-3, atol=1e-4)


def test_a_score_from_the_gpu_is_saved_and_loaded(tmp_path):
    far = train_score(MLP(3, 16, 1).cuda(), data(), PROCESS, **SETTINGS)
    save(far, tmp_path / "model")
    near, x = load(tmp_path / "model"), data()
    assert torch.allclose(near(x, 0.3), far(x.cuda(), 0.3).cpu(), rtol=1e-4, atol=1e-4)


def pictures(n=32):
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(9))


def unet(**more):
    return UNet((1, 8, 8), 8, (1, 2), 1, (4,), classes=3, **more)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_images_with_classes_train_as_on_the_cpu_and_go_on_there(tmp_path, precision):
    settings = {**SETTINGS, "labels": torch.arange(32) % 3, "warmup": 3, "precision": precision}
    near = train_score(unet(), pictures(), PROCESS, **settings)
    with pytest.raises(Stopped):
        train_score(unet().cuda(), pictures(), PROCESS, **settings, out=tmp_path,
                    callbacks=[stop])  # fmt: skip
    far = train_score(unet().cuda(), pictures(), PROCESS, **settings, out=tmp_path)
    close = 2e-3 if precision == "float32" else 2e-2
    assert torch.allclose(weights(far), weights(near), rtol=1e-2, atol=close)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # the compiler's own
def test_compiled_training_is_training(tmp_path):
    logs = {}
    for compiled in (False, True):
        train_score(unet().cuda(), pictures(), PROCESS, **SETTINGS, compile=compiled,
                    callbacks=[lambda k, found, c=compiled: logs.update({c: found})])  # fmt: skip
    assert logs[True]["loss"] == pytest.approx(logs[False]["loss"], rel=1e-2)


@pytest.mark.parametrize(
    "network", [lambda: MLP(3, 16, 1), lambda: UNet((1, 8, 8), 8, (1, 2), 1, (4,))]
)
def test_a_step_is_begun_without_waiting_for_the_device(network):
    model = network().cuda()
    x0 = data() if isinstance(model, MLP) else pictures()
    score = NetworkScore(model, PROCESS, "velocity", "edm", 1.0, tuple(x0.shape[1:]))
    task = Denoising(score, LogNormal(), Schedule(10, 1e-3, 0.9, 0), 0.0)
    drawn = [task.draw(x0, torch.Generator().manual_seed(k)) for k in range(3)]
    for one in drawn[:2]:
        task.start(one)()
    torch.cuda.set_sync_debug_mode("error")
    try:
        logs = task.start(drawn[2])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert math.isfinite(logs()["loss"])


def test_a_step_that_is_not_finite_leaves_the_weights():
    seen = []
    broken = data()
    broken[5] = 1e30
    with pytest.raises(DivergedError, match="at step 1;"):
        train_score(MLP(3, 16, 1).cuda(), broken, PROCESS, **{**SETTINGS, "batch_size": 64},
                    data_std=1.0, callbacks=[lambda k, logs: seen.append(k)])  # fmt: skip
    assert seen == []
    score = NetworkScore(MLP(3, 16, 1).cuda(), PROCESS, "velocity", "edm", 1.0, (3,))
    task = Denoising(score, LogNormal(), Schedule(10, 1e-3, 0.9, 0), 0.0)
    batch = data()
    task.step(batch, torch.Generator().manual_seed(0))
    before = [weight.clone() for weight in task.weights.values()]
    logs = task.step(torch.full_like(batch, torch.inf), torch.Generator().manual_seed(1))
    assert not math.isfinite(logs["loss"])
    assert all(map(torch.equal, before, task.weights.values()))
    assert all(torch.isfinite(weight).all() for weight in task.weights.values())
    task.step(batch, torch.Generator().manual_seed(2))
    assert not any(map(torch.equal, before, task.weights.values()))
