"""One-step generators: the gradient, the average, resuming, units, and what is measured."""

from dataclasses import dataclass

import pytest
import torch
from tests.flow.clouds import draw

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.distance import w2
from wasserscore.flow import (
    Annealing,
    Drifting,
    PrincipalComponents,
    ScoreDifference,
    SinkhornDivergence,
    identity,
    train_generator,
)
from wasserscore.flow.annealing import spacing
from wasserscore.flow.difference import Drift
from wasserscore.flow.generator import DriftTask, View, drift_loss
from wasserscore.flow.named import DRIFTS
from wasserscore.flow.progress import Progress
from wasserscore.flow.sides import CloudSide
from wasserscore.network import LatentMLP
from wasserscore.score import Pushforward
from wasserscore.training.schedule import Schedule

Y = draw(60, seed=1, scale=0.5, shift=3)
STREAMS = Streams(5)
SETTINGS = {"steps": 20, "batch_size": 16, "checkpoint_every": 7, "seed": 3}


def network(seed=1, shape=2):
    return LatentMLP(4, shape, 8, 1, seed=seed)


def task(drift=None, views=None, **settings):
    settings = {"step": 1.0, "weight_decay": 0.0, "clip": 1e9} | settings
    views = views or [View(identity, [0.8] * 9, 1.0)]
    schedule = settings.pop("schedule", Schedule(9, 0.05, 0.5))
    return DriftTask(
        network().double(), 4, drift or ScoreDifference(), views, schedule, **settings
    )


def gradient(loss, module):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, module.parameters())])


def latents(n=16):
    return draw(n, 4, seed=7)


@pytest.mark.parametrize("name", list(DRIFTS))
@pytest.mark.parametrize("step", [1.0, 0.3])
def test_C16_the_gradient_is_the_drift_pulled_back(name, step):
    made = task(DRIFTS[name], step=step)
    loss, _ = made.loss(latents(), Y, 0, STREAMS)
    points = made.network(latents())
    move = DRIFTS[name](points.detach(), CloudSide(Y), 0.8, STREAMS.child("0")).move
    truth = -step / 16 * gradient((points * move).sum(), made.network)
    torch.testing.assert_close(gradient(loss, made.network), truth, rtol=0, atol=1e-9)
    assert float(truth.norm()) > 0.01


def test_C16_without_the_stop_it_is_another_gradient():
    """The same loss with the drift inside the graph: what the stop keeps out is not small."""
    made = task()
    stopped, _ = made.loss(latents(), Y, 0, STREAMS)
    points = made.network(latents())
    move = sum(
        sign * (-torch.cdist(points, cloud).square() / (2 * 0.8**2)).softmax(1) @ cloud
        for sign, cloud in ((1, Y), (-1, points))
    )
    inside = gradient(move.square().sum(1).mean() / 2, made.network)
    with_stop = gradient(stopped, made.network)
    assert float((inside - with_stop).norm()) > 0.05 * float(with_stop.norm())
    loss = float(drift_loss(points, move).detach())
    assert loss == pytest.approx(float(stopped.detach()), rel=1e-9)


def test_every_feature_map_counts_in_its_own_unit():
    axes = PrincipalComponents.fit(Y, 1)
    views = [View(identity, [0.8] * 9, 2.0), View(axes, [0.3] * 9, 0.5)]
    both, _ = task(views=views).loss(latents(), Y, 0, STREAMS)
    points = task().network(latents())
    total = 0.0
    for i, (feature, width, unit) in enumerate([(identity, 0.8, 2.0), (axes, 0.3, 0.5)]):
        x, y = feature(points).detach(), feature(Y)
        move = ScoreDifference()(x, CloudSide(y), width, STREAMS.child(f"{i}")).move
        total += float(move.square().sum(1).mean()) / 2 / unit**2
    assert float(both.detach()) == pytest.approx(total, rel=1e-9)


def test_the_width_is_that_of_the_step():
    made = task(views=[View(identity, [2.0, 0.5], 1.0)])
    x = made.network(latents()).detach()
    for k, width in enumerate((2.0, 0.5)):
        loss, logs = made.loss(latents(), Y, k, STREAMS)
        move = ScoreDifference()(x, CloudSide(Y), width, STREAMS).move
        assert float(loss.detach()) == pytest.approx(float(move.square().sum(1).mean()) / 2)
        assert logs["bandwidth"] == width


def test_the_average_forgets_as_the_schedule_says():
    made = task()
    weight = "last.weight"
    average = made.average.state_dict()[weight].clone()
    for k, keep in enumerate((0.1, 2 / 11, 0.25)):
        made.step(Y[:16], torch.Generator().manual_seed(k))
        average = keep * average + (1 - keep) * made.network.state_dict()[weight]
        torch.testing.assert_close(made.average.state_dict()[weight], average)


@dataclass(frozen=True)
class Towards:
    """A drift that is known: half way to a point."""

    point: float

    def __call__(self, x, target, sigma, streams):
        return Drift((self.point - x) / 2)


def test_a_generator_arrives_where_a_known_drift_points():
    found = train_generator(network(), Y.float(), drift=Towards(2.0), steps=150, batch_size=16,
                            learning_rate=0.03, weight_decay=0.0)  # fmt: skip
    assert float((found.sample(50) - 2.0).abs().max()) < 0.1


@pytest.mark.parametrize(
    "drift",
    [ScoreDifference(self_interaction="noised"), "drifting", SinkhornDivergence(5, 0.1)],
    ids=["score_difference", "drifting", "sinkhorn"],
)
def test_every_drift_brings_the_moments_home(drift):
    y = draw(400, seed=1, scale=0.5, shift=3).float()
    found = train_generator(LatentMLP(2, 2, 32, 1), y, drift=drift, steps=100, batch_size=64,
                            learning_rate=0.02, ema=0.9, bandwidths=0.3)  # fmt: skip
    x = found.sample(400)
    assert float((x.mean(0) - 3).abs().max()) < 0.2
    assert x.std(0).tolist() == pytest.approx([0.5, 0.5], abs=0.15)


def interrupt_at(step):
    def callback(k, logs):
        if k == step:
            raise KeyboardInterrupt

    return callback


def same(one, other):
    one, other = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stop", [1, 7, 18])
def test_a_resumed_run_ends_bit_equal(stop, tmp_path):
    settings = SETTINGS | {"drift": ScoreDifference(self_interaction="noised"),
                           "bandwidths": "random"}  # fmt: skip
    whole = train_generator(network(), Y, **settings)
    with pytest.raises(KeyboardInterrupt):
        train_generator(network(), Y, **settings, out=tmp_path, callbacks=[interrupt_at(stop)])
    seen = []
    note = [lambda k, _: seen.append(k)]
    resumed = train_generator(network(), Y, **settings, out=tmp_path, callbacks=note)
    assert seen == list(range(stop + 1, 21))
    assert same(whole, resumed)
    assert not same(whole, train_generator(network(), Y, **{**settings, "seed": 4}))


@pytest.mark.parametrize(
    ("name", "other"),
    [("drift", {"drift": Drifting()}), ("step", {"step": 0.5}), ("seed", {"seed": 4}),
     ("bandwidths_sha256", {"bandwidths": 0.3}), ("data_sha256", {"target": Y[:-1]}),
     ("features", {"features": [identity, PrincipalComponents.fit(Y, 1)]}),
     ("network", {"network": network(shape=(2, 1)), "target": Y[..., None]})],
)  # fmt: skip
def test_another_run_does_not_continue_this_one(name, other, tmp_path):
    first = {"network": network(), "target": Y, **SETTINGS, "steps": 8}
    train_generator(**first, out=tmp_path)
    with pytest.raises(InputError, match=f"{name} was"):
        train_generator(**{**first, **other}, out=tmp_path)


def test_the_result_is_saved_and_images_keep_their_shape(tmp_path):
    images = torch.randn(40, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    scaling = Scaling(torch.arange(6.0), torch.tensor(2.0))
    found = ws.train_generator(LatentMLP(3, (1, 2, 3), 8, 1), images, bandwidths=1.0, steps=3,
                               scaling=scaling)  # fmt: skip
    ws.save(found, tmp_path)
    assert found.sample(5).shape == (5, 1, 2, 3)
    assert torch.equal(ws.load(tmp_path).sample(5), found.sample(5))


def test_progress_is_measured_from_outside_in_data_units():
    y = Y.float()
    holdout = draw(50, seed=4, scale=0.5, shift=3).float()
    scaling = Scaling(torch.zeros(2), torch.tensor(3.0))
    logs = []
    found = train_generator(network(), y, holdout=holdout, measure_every=8, scaling=scaling,
                            callbacks=[lambda *seen: logs.append(seen)], **SETTINGS)  # fmt: skip
    assert [k for k, log in logs if "w2" in log] == [8, 16, 20]
    last = logs[-1][1]
    x = found.sample(50, seed=Streams(3).key("progress"))
    assert last["w2"] == pytest.approx(w2(x, 3 * holdout).value, rel=1e-6)
    perfect = Progress(y, holdout, 4, scaling, 3)
    generator = Streams(3).generator("progress/train")
    chosen = y[torch.randperm(60, generator=generator)[:50]]
    assert last["w2_floor"] == pytest.approx(w2(3 * chosen, 3 * holdout).value, rel=1e-6)
    assert perfect(network())["w2"] > last["w2"]
    assert 0 <= last["coverage"] <= 1


def test_bandwidths_come_from_the_data_unless_given():
    def widths(bandwidths, **settings):
        seen = []
        train_generator(network(), Y, bandwidths=bandwidths, steps=5, batch_size=16,
                        callbacks=[lambda k, log: seen.append(log["bandwidth"])])  # fmt: skip
        return seen

    assert widths(0.3) == [0.3] * 5
    assert widths(Annealing("geometric", 99, 2.0, 0.125)) == pytest.approx(
        [2, 1, 0.5, 0.25, 0.125]
    )
    streams = Streams(0).child("bandwidths")
    start = Pushforward(network(), 4, (2,)).sample(16, seed=streams.key("start"))
    fallen = Annealing("geometric", 5).widths(start, Y.float(), streams)
    assert widths("geometric") == pytest.approx(fallen, rel=1e-6)
    assert fallen[-1] > 1.5 * spacing(Y)


def test_a_network_that_drops_half_is_asked_whole_where_widths_come_from():
    seen = []
    for made in (network(), torch.nn.Sequential(network(), torch.nn.Dropout(0.5))):
        train_generator(made, Y, latent=4, steps=1, batch_size=16,
                        callbacks=[lambda k, log: seen.append(log["bandwidth"])])  # fmt: skip
    assert seen[0] == seen[1]


class Pair(torch.nn.Module):
    """A network that gives what it made and something else."""

    latent = 4

    def __init__(self):
        super().__init__()
        self.made = network()

    def forward(self, z):
        return self.made(z), z


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"drift": "sinkhorm"}, "unknown drift"), ({"steps": 0}, "steps must be a positive integer"),
     ({"step": 0.0}, "step must be positive"), ({"ema": 1.0}, "ema must lie"),
     ({"latent": 3}, "latent must fit"), ({"bandwidths": 0.0}, "bandwidth must be positive"),
     ({"target": Y * 0}, "target must vary"), ({"holdout": Y[:, :1]}, "holdout must be like"),
     ({"network": torch.nn.Identity(), "latent": 2}, "needs weights, got none in Identity"),
     ({"network": LatentMLP(4, 3, 8, 1)}, r"must return .* points \(2,\) .*, got \(\d+, 3\)"),
     ({"network": Pair()}, "must return a tensor, got tuple"),
     ({"network": network().half()}, "must be float32 or float64.*, got torch.float16"),
     ({"holdout": Y[:5]}, "more than 5 points of the target and of the holdout, got 5")],
)  # fmt: skip
def test_what_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        train_generator(**{"network": network(), "target": Y, "steps": 2, **settings})


def test_a_sinkhorn_drift_with_fewer_iterations_is_named_in_the_checkpoint(tmp_path):
    quick = {**SETTINGS, "steps": 3, "out": tmp_path}
    train_generator(network(), Y, drift="sinkhorn", **quick)
    with pytest.raises(InputError, match="iterations=20"):
        train_generator(network(), Y, drift=SinkhornDivergence(20), **quick)
