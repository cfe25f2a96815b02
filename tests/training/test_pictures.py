"""Training networks of images: classes, precision, held-out losses, logs, drawing ahead."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from tests.training.exact_posterior import exact
from torch import nn

from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.network import MLP, DiT, UNet
from wasserscore.process import EDM
from wasserscore.sampling import sample
from wasserscore.score import NetworkScore, load, save
from wasserscore.training import JsonLines, LogNormal, train_score
from wasserscore.training.denoising import Denoising
from wasserscore.training.heldout import HeldOut
from wasserscore.training.labelled import Labelled
from wasserscore.training.schedule import Schedule

LABELS = torch.arange(24) % 3


def images(n=24):
    noise = torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(9))
    return noise + (torch.arange(n) % 3).reshape(-1, 1, 1, 1)


def unet(**more):
    return UNet((1, 4, 4), 4, (1, 2), 1, (2,), **more)


SETTINGS = {
    "steps": 9, "batch_size": 8, "seed": 3, "labels": LABELS, "warmup": 4,
    "precision": "bfloat16", "checkpoint_every": 4,
}  # fmt: skip


def interrupt_at(step):
    def callback(k, logs):
        if k == step:
            raise KeyboardInterrupt

    return callback


def test_a_resumed_run_with_classes_and_halves_ends_bit_equal(tmp_path):
    whole = train_score(unet(classes=3), images(), EDM(), **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        train_score(unet(classes=3), images(), EDM(), **SETTINGS, out=tmp_path,
                    callbacks=[interrupt_at(5)])  # fmt: skip
    rest = train_score(unet(classes=3), images(), EDM(), **SETTINGS, out=tmp_path)
    one, other = whole.network.state_dict(), rest.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert float(one["told.table.weight"].abs().amax(1).min()) > 0


OTHERS = {
    "warmup": {"warmup": 3},
    "decay": {"decay": "constant"},
    "precision": {"precision": "float32"},
    "compile": {"compile": True},
    "label_dropout": {"label_dropout": 0.2},
    "labels_sha256": {"labels": LABELS.flip(0)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_different_setting_is_refused_by_name(name, tmp_path, monkeypatch):
    monkeypatch.setattr(nn.Module, "compile", lambda network, **how: None)
    with pytest.raises(KeyboardInterrupt):
        train_score(unet(classes=3), images(), EDM(), **SETTINGS, out=tmp_path,
                    callbacks=[interrupt_at(1)])  # fmt: skip
    with pytest.raises(InputError, match=f"of a different run, got.*{name} was"):
        train_score(unet(classes=3), images(), EDM(), **SETTINGS | OTHERS[name], out=tmp_path)


def test_halves_are_of_products_only():
    seen, logs = {}, {}
    for precision in ("float32", "bfloat16"):
        network = unet()
        task = Denoising(
            NetworkScore(network, EDM(), shape=(1, 4, 4)), LogNormal(), Schedule(9, 1e-3, 0.9),
            0.0, precision=precision,
        )  # fmt: skip
        task.network.first.register_forward_hook(
            lambda module, x, out, p=precision: seen.__setitem__(p, out.dtype)
        )
        logs[precision] = task.step(images(), torch.Generator().manual_seed(0))
        assert {p.dtype for p in task.network.parameters()} == {torch.float32}
    assert seen == {"float32": torch.float32, "bfloat16": torch.bfloat16}
    one, other = (logs[p]["gradient_norm"] for p in seen)
    assert 0 < abs(one - other) < 0.02 * one


def test_compiling_is_asked_of_the_trained_network_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda network, **how: asked.append((network, how)))
    score = NetworkScore(unet(), EDM(), shape=(1, 4, 4))
    task = Denoising(score, LogNormal(), Schedule(9, 1e-3, 0.9), 0.0, compiled=True)
    assert asked == [(task.network, {"dynamic": False})]


def test_the_learning_rate_falls_as_it_is_told_to():
    rates = {decay: [Schedule(100, 2.0, 0.9, warmup=2, decay=decay).rate(k) for k in (0, 50, 99)]
             for decay in ("cosine", "linear", "constant")}  # fmt: skip
    assert rates["cosine"][:2] == pytest.approx([1.0, 1.0])
    assert rates["linear"] == pytest.approx([1.0, 1.0, 0.02])
    assert rates["constant"] == [1.0, 2.0, 2.0]
    logs = []
    train_score(MLP(16, 8, 1), images().flatten(1), EDM(), steps=4, batch_size=8, decay="linear",
                learning_rate=0.01, callbacks=[lambda k, log: logs.append(log)])  # fmt: skip
    assert [log["learning_rate"] for log in logs] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    with pytest.raises(InputError, match="decay must be one of cosine, linear, constant"):
        train_score(MLP(16, 8, 1), images().flatten(1), EDM(), decay="step")


def test_the_rate_rises_in_proportion_then_falls():
    plain, warm = Schedule(100, 2.0, 0.9), Schedule(100, 2.0, 0.9, warmup=10)
    assert [warm.rate(k) / plain.rate(k) for k in (0, 4, 9, 10, 60)] == pytest.approx(
        [0.1, 0.5, 1, 1, 1]
    )


def test_classes_travel_with_their_points_and_some_are_hidden():
    points = torch.arange(3.0).repeat(2000)[:, None, None, None].expand(-1, 1, 4, 4)
    batch = Labelled.build(points, unet(classes=3), torch.arange(3).repeat(2000))[torch.randperm(
        6000, generator=torch.Generator().manual_seed(1))]  # fmt: skip
    task = Denoising(NetworkScore(unet(classes=3), EDM(), shape=(1, 4, 4)), LogNormal(),
                     Schedule(9, 1e-3, 0.9), 0.0, label_dropout=0.25)  # fmt: skip
    drawn = task.draw(batch, torch.Generator().manual_seed(0))
    hidden = drawn.labels == 3
    assert float(hidden.double().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(drawn.x0[~hidden, 0, 0, 0], drawn.labels[~hidden].float())


@pytest.mark.slow
def test_a_class_is_learned_and_saved(tmp_path):
    """Two classes, two images: far out in the noise only the class tells which."""
    pattern = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(4))
    labels, size = torch.arange(32) % 2, float(pattern.square().mean())
    data = (2.0 * labels - 1).reshape(-1, 1, 1, 1) * pattern
    network = DiT((1, 4, 4), 2, 16, 1, 2, classes=2)
    score = train_score(
        network, data, EDM(), labels=labels, steps=400, batch_size=32, label_dropout=0.2,
        weighting=LogNormal(1.3, 0.3), learning_rate=1e-2,
    )  # fmt: skip
    x = 4.0 * torch.randn(32, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    for k, aim in ((0, -pattern), (1, pattern)):
        found = score.conditioned(k).denoise(x, 4.0)
        assert float((found - aim).square().mean()) < 0.3 * size
        assert float((found + aim).square().mean()) > 2 * size
        assert float((score.denoise(x, 4.0) - aim).square().mean()) > 0.5 * size
        save(score.conditioned(k), tmp_path / "model")
        again = load(tmp_path / "model")
        assert again.label == k
        assert torch.equal(again(x, 4.0), score.conditioned(k)(x, 4.0))


@pytest.mark.parametrize("kind", ["labels", "conditions"])
def test_a_holdout_is_asked_without_classes_only_where_these_were_left_out(kind):
    """What stands for no class is not trained otherwise: 2.2 beside a loss of 0.13."""
    points = torch.randn(24, 3, generator=torch.Generator().manual_seed(2))
    network = MLP(3, 8, 1, classes=3) if kind == "labels" else MLP(3, 8, 1, condition=2)
    told = {kind: LABELS if kind == "labels" else points[:, :2]}
    settings = {"steps": 2, "batch_size": 8, "label_dropout": 0.0, **told}
    with pytest.raises(InputError, match=r"label_dropout must be positive beside .*, got 0\.0"):
        train_score(network, points, EDM(), **settings, holdout=points)
    train_score(network, points, EDM(), **settings)
    train_score(network, points, EDM(), **settings | {"label_dropout": 0.1}, holdout=points)


def test_labels_of_every_integer_type_are_the_same(tmp_path):
    """With ``out``, a run of other labels would be another run."""
    numbers = LABELS.numpy()
    kinds = [LABELS, LABELS.to(torch.uint16), numbers.astype(np.uint64), numbers.astype(">i4"),
             numbers.tolist(), pd.Series(numbers), pd.Series(numbers).astype("category"),
             np.ma.masked_array(numbers, mask=False)]  # fmt: skip
    for kind in kinds:
        train_score(unet(classes=3), images(), EDM(), labels=kind, steps=1, out=tmp_path)
    hidden = np.ma.masked_array(numbers, mask=numbers == 1)
    with pytest.raises(InputError, match="every point must have a label, got masked ones"):
        train_score(unet(classes=3), images(), EDM(), labels=hidden, steps=1)


@pytest.mark.parametrize(
    ("network", "labels", "message"),
    [
        (unet(), LABELS, "labels need a network that knows classes"),
        (unet(classes=3), LABELS[:5], r"labels must have shape \(24,\), got \(5,\)"),
        (unet(classes=3), LABELS + 0.0, "labels must be integers"),
        (unet(classes=3), ["a"] * 24, "labels must be integers, got <U1"),
        (unet(classes=2), LABELS, "labels must lie in 0 to 1, got 0 to 2"),
        (unet(classes=3), LABELS - 1, "labels must lie in 0 to 2, got -1"),
    ],
)
def test_labels_are_refused(network, labels, message):
    with pytest.raises(InputError, match=message):
        train_score(network, images(), EDM(), labels=labels, steps=1)


def test_a_class_that_the_network_does_not_know_is_refused():
    with pytest.raises(InputError, match=r"the class must be an integer from 0 to 2, got 3"):
        NetworkScore(unet(classes=3), EDM(), shape=(1, 4, 4)).conditioned(3)
    with pytest.raises(InputError, match=r"knows no classes, got 0; build it with classes="):
        NetworkScore(MLP(2, 4, 1), EDM()).conditioned(0)


# On the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_held_out_loss_of_a_gaussian_is_closed_form_at_every_level(error, generator):
    """1 for the exact posterior; off by a factor 1 + e it is 1 + e^2 v / r^2.

    The points are in an order: half of them are asked, and not the first half.
    """
    variance = 1.7
    score = exact(EDM(), variance, variance**0.5, error=error)
    points = variance**0.5 * torch.randn(2000, 4, generator=generator, dtype=torch.float64)
    points = points[points.norm(dim=1).argsort()]
    logs = HeldOut(score, LogNormal(), points, seed=1)(score.network)
    levels = {name: value for name, value in logs.items() if "=" in name}
    assert len(levels) == 8
    for name, value in levels.items():
        r = float(name.split("=")[1])
        expected = 1 + error**2 * variance / r**2
        assert value == pytest.approx(expected, rel=0.15)
    assert logs["holdout_loss"] == pytest.approx(sum(levels.values()) / 8, rel=1e-12)


def test_training_measures_the_average_now_and_then():
    seen, score = {}, None
    score = train_score(
        MLP(3, 8, 1), torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), EDM(),
        steps=7, batch_size=8, holdout=torch.ones(30, 3), measure_every=3,
        callbacks=[lambda k, logs: seen.update({k: logs})],
    )  # fmt: skip
    assert [k for k in seen if "holdout_loss" in seen[k]] == [3, 6, 7]
    again = HeldOut(score, LogNormal(), torch.ones(30, 3), seed=0)(score.network)
    assert {k: v for k, v in seen[7].items() if k.startswith("holdout")} == again


def test_as_many_checkpoints_stay_as_are_asked_for(tmp_path):
    train_score(MLP(16, 8, 1), images().flatten(1), EDM(), steps=8, batch_size=8, out=tmp_path,
                checkpoint_every=2, keep=3)  # fmt: skip
    kept = sorted(folder.name for folder in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000006", "step-00000008"]


@pytest.mark.parametrize("another", [True, False], ids=["another process", "the same callback"])
def test_lines_of_a_resumed_run_are_those_of_a_whole_one(another, tmp_path):
    whole, parts = tmp_path / "a" / "whole.jsonl", tmp_path / "parts.jsonl"
    data = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    settings = {"steps": 12, "batch_size": 8, "checkpoint_every": 5}
    train_score(MLP(3, 8, 1), data, EDM(), **settings, callbacks=[JsonLines(whole, every=2)])

    class Killed(Exception):
        pass

    def kill(k, logs):
        if k == 9:
            raise Killed

    lines = JsonLines(parts, every=2)
    with pytest.raises(Killed):
        train_score(MLP(3, 8, 1), data, EDM(), **settings, out=tmp_path / "run",
                    callbacks=[lines, kill])  # fmt: skip
    with parts.open("a") as file:
        file.write('{"step": 9, "lo')
    train_score(MLP(3, 8, 1), data, EDM(), **settings, out=tmp_path / "run",
                callbacks=[JsonLines(parts, every=2) if another else lines])  # fmt: skip
    assert parts.read_text() == whole.read_text()
    steps = [json.loads(line)["step"] for line in whole.read_text().splitlines()]
    assert steps == [2, 4, 6, 8, 10, 12]


def test_lines_go_to_no_file_of_another_kind(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    (tmp_path / "model.bin").write_bytes(b"\xff\xfe\n")
    for place, message in ((path, "must hold lines of a training, got 'hello'"),
                           (tmp_path / "model.bin", "must hold lines of a training"),
                           (tmp_path, "must be a file, got a folder")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            JsonLines(place)(1, {"loss": 1.0})
    assert path.read_text() == "hello\n"


def test_grey_levels_go_in_and_come_out():
    """A single picture, learned in [-1, 1], is sampled in the units of its file."""
    picture = torch.linspace(0, 255, 32).reshape(1, 2, 4, 4)
    scaling = Scaling.span(0.0, 255.0, 32)
    data = scaling.apply(picture.expand(16, -1, -1, -1))
    assert (float(data.min()), float(data.max())) == (-1.0, 1.0)
    network = UNet((2, 4, 4), 8, (1,), 1, ())
    score = train_score(network, data, EDM(sigma_max=20.0), scaling=scaling, steps=120,
                        batch_size=16, learning_rate=1e-2)  # fmt: skip
    drawn = sample(score, 4, steps=12)
    assert drawn.shape == (4, 2, 4, 4)
    assert float((drawn - picture).abs().mean()) < 20
