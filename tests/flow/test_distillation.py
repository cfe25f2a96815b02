"""Distillation: what the two losses descend, by closed forms, and that a run can be cut."""

import pytest
import torch
from tests.flow.clouds import draw

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.flow import distil_generator
from wasserscore.flow.distillation import identity_loss, matching_loss
from wasserscore.network import MLP, LatentMLP
from wasserscore.process import EDM
from wasserscore.score import GaussianScore, NetworkScore

PROCESS = EDM(sigma_max=80.0)
R = 0.7
SETTINGS = {"steps": 12, "batch_size": 16, "checkpoint_every": 5, "seed": 3}


def gaussian(mean, variance, **settings):
    covariance = torch.diag(torch.tensor(variance, dtype=torch.float64))
    return GaussianScore(torch.tensor(mean, dtype=torch.float64), covariance, PROCESS, **settings)


P = gaussian([1.0, -0.5], [0.5, 1.5])
Q = gaussian([0.0, 0.0], [1.0, 0.4])


def noised(n):
    """Generated points of q, and what both laws make of them at noise-to-signal R."""
    x = Q.sample_marginal(n, generator=torch.Generator().manual_seed(0))
    t = PROCESS.time_at(torch.tensor(R**2, dtype=torch.float64))
    x_t = PROCESS.alpha(t) * (x + R * draw(n, seed=1))
    return x, x_t, t


@pytest.mark.parametrize("alpha", [0.0, 1.2])
def test_C24_the_identity_loss_is_the_fisher_divergence(alpha):
    """Its mean at exact denoisers is (1 - alpha) E|f - g|^2, and nothing at equal laws."""
    x, x_t, t = noised(400_000)
    f, g = P.denoise(x_t, t), Q.denoise(x_t, t)
    truth = (1 - alpha) * float((f - g).square().sum(1).mean())
    assert float(identity_loss(x, f, g, alpha).mean()) == pytest.approx(truth, rel=0.01)
    assert abs(truth) > 0.05
    assert float(identity_loss(x, g, g, alpha).abs().max()) == 0


def test_C25_the_matching_loss_follows_the_score_difference():
    x, x_t, t = noised(50)
    x = x.requires_grad_()
    loss = matching_loss(x, P.denoise(x_t, t), Q.denoise(x_t, t))
    (gradient,) = torch.autograd.grad(loss, x)
    difference = R**2 * PROCESS.alpha(t) * (P(x_t, t) - Q(x_t, t))
    weight = (x - P.denoise(x_t, t)).abs().mean(1, keepdim=True)
    torch.testing.assert_close(gradient, -difference / weight / 50, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["dmd", "sid"])
def test_the_generator_finds_the_teacher_in_its_units(method):
    scaling = Scaling(torch.tensor([10.0, 0.0]), torch.tensor(2.0))
    teacher = gaussian([0.5, -0.5], [0.25, 0.25], scaling=scaling)
    found = distil_generator(
        LatentMLP(2, 2, 16, 1), teacher, critic=MLP(2, 16, 1), method=method, steps=90,
        batch_size=32, learning_rate=0.01, critic_rate=0.01, ema=0.9,
    )  # fmt: skip
    x = found.sample(300)
    assert x.mean(0).tolist() == pytest.approx([11.0, -1.0], abs=0.4)
    assert 0.4 < float(x.std(0).min()) < float(x.std(0).max()) < 1.6


def teacher():
    return NetworkScore(MLP(2, 8, 1, seed=5), PROCESS, data_std=0.8)


def run(**settings):
    return distil_generator(LatentMLP(3, 2, 8, 1), teacher(), **{**SETTINGS, **settings})


def same(one, other):
    one, other = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", ["dmd", "sid"])
def test_a_resumed_run_ends_bit_equal(method, tmp_path):
    def stop(k, logs):
        if k == 7:
            raise KeyboardInterrupt

    whole = run(method=method)
    with pytest.raises(KeyboardInterrupt):
        run(method=method, out=tmp_path, callbacks=[stop])
    seen = []
    note = [lambda k, logs: seen.append(k)]
    resumed = run(method=method, out=tmp_path, callbacks=note)
    assert seen == list(range(8, 13))
    assert same(whole, resumed)
    with pytest.raises(InputError, match="turns was 2 and is now 3"):
        run(method=method, out=tmp_path, turns=3)


def test_teacher_and_critic_start_the_same_and_the_teacher_stays():
    made = teacher()
    before = {name: w.clone() for name, w in made.network.state_dict().items()}
    logs = []
    distil_generator(LatentMLP(3, 2, 8, 1), made, **SETTINGS,
                     callbacks=[lambda k, log: logs.append(log)])  # fmt: skip
    assert all(torch.equal(w, before[name]) for name, w in made.network.state_dict().items())
    assert all("critic_loss" in log for log in logs)


def test_progress_is_measured(tmp_path):
    logs = []
    found = run(train=draw(40).float(), holdout=draw(40, seed=2).float(), measure_every=5,
                callbacks=[lambda k, log: logs.append((k, log))])  # fmt: skip
    assert [k for k, log in logs if "w2" in log] == [5, 10, 12]
    ws.save(found, tmp_path)
    assert torch.equal(ws.load(tmp_path).sample(5), found.sample(5))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"method": "dmd2"}, "method must be one of"), ({"turns": 0}, "turns must be a positive"),
     ({"teacher": P}, "needs a critic"), ({"holdout": draw(9)}, "holdout needs train"),
     ({"critic_rate": 0.0}, "critic_rate must be positive")],
)  # fmt: skip
def test_what_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        distil_generator(**{"network": LatentMLP(3, 2, 8, 1), "teacher": teacher(), **settings})
