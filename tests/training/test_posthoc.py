"""Averages made after training, from those in checkpoints."""

import pytest
import torch
from tests.training.test_fit import data, interrupt_at, network, same, weights

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.training import post_hoc, train_score
from wasserscore.training.averaged import Averaged
from wasserscore.training.power import exponent

SETTINGS = {"steps": 60, "batch_size": 16, "seed": 3, "learning_rate": 0.05, "decay": "constant",
            "checkpoint_every": 5, "keep": 12, "ema_widths": (0.05, 0.1)}  # fmt: skip


@pytest.fixture
def path(monkeypatch):
    """The weights after every step."""
    seen, begin = [], Averaged.begin

    def kept(self, *given, **options):
        done = begin(self, *given, **options)
        seen.append({name: x.detach().clone() for name, x in self.weights.items()})
        return done

    monkeypatch.setattr(Averaged, "begin", kept)
    return seen


def shared():
    """Two layers with one matrix."""
    out = MLP(3, 8, 2, seed=1)
    one, other = out.blocks
    other.into.weight = one.into.weight
    return out


@pytest.mark.parametrize("width", [0.05, 0.07, 0.1, 0.15])
@pytest.mark.parametrize("network", [network, shared])
def test_it_is_the_average_of_the_weights_on_the_way(network, width, path, tmp_path):
    score = train_score(network(), data(), EDM(), **SETTINGS, out=tmp_path)
    other = post_hoc(score, tmp_path, width=width)
    ends = torch.arange(61, dtype=torch.float64) / 60
    shares = (ends ** (exponent(width) + 1)).diff()
    flat = lambda named: torch.cat([named[name].flatten().double() for name in path[0]])
    steps = torch.stack([flat(weights) for weights in path])
    exact, found = shares @ steps, flat(dict(other.network.named_parameters()))
    assert float((found - exact).norm()) < 5e-3 * float((steps[-1] - exact).norm())
    assert all(x.dtype == torch.float32 for x in other.network.parameters())
    assert not other.network.training
    same(weights(score), weights(train_score(
        network(), data(), EDM(), **SETTINGS | {"ema_widths": ()})))  # fmt: skip


@pytest.mark.parametrize("network", [network, shared])
def test_a_resumed_run_has_the_same_averages(network, tmp_path):
    whole = train_score(network(), data(), EDM(), **SETTINGS, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_score(network(), data(), EDM(), **SETTINGS, out=tmp_path / "parts",
                    callbacks=[interrupt_at(25)])  # fmt: skip
    other = SETTINGS | {"ema_widths": (0.1,)}
    with pytest.raises(InputError, match=r"ema_widths was \[0.05, 0.1\] and is now \[0.1\]"):
        train_score(network(), data(), EDM(), **other, out=tmp_path / "parts")
    parts = train_score(network(), data(), EDM(), **SETTINGS, out=tmp_path / "parts")
    one, two = (post_hoc(score, tmp_path / name, width=0.12)
                for score, name in ((whole, "whole"), (parts, "parts")))  # fmt: skip
    same(weights(one), weights(two))


def test_a_damaged_checkpoint_is_left_out(tmp_path):
    score = train_score(network(), data(), EDM(), **SETTINGS, out=tmp_path)
    flat = lambda made: torch.cat([x.flatten() for x in weights(made).values()])
    made = lambda width: flat(post_hoc(score, tmp_path, width=width))
    best, last = made(0.07), flat(score)

    def damage(*steps):
        for step in steps:
            (tmp_path / f"checkpoints/step-{step:08d}/state.safetensors").write_bytes(b"\0")

    damage(30)
    assert not torch.equal(made(0.07), best)
    assert float((made(0.07) - best).norm()) < 0.01 * float((last - best).norm())
    damage(60)  # the aim is still the average up to the last step
    with pytest.raises(InputError, match=r"misses \d\d% .* without the damaged checkpoints of "
                       r"\[30, 60\]; run the training again, which goes on"):  # fmt: skip
        made(0.07)
    train_score(network(), data(), EDM(), **SETTINGS, out=tmp_path)
    assert float((made(0.07) - best).norm()) < 0.01 * float((last - best).norm())
    damage(35, 40, 45, 50, 55)
    with pytest.raises(InputError, match=r"misses 21% .* of \[30, 35, 40, 45, 50, 55\]; keep"):
        made(0.15)
    damage(*range(5, 61, 5))
    with pytest.raises(InputError, match=r"step-00000060.* is not a safetensors file"):
        made(0.07)


def test_what_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(InputError, match="ema_widths need out="):
        train_score(network(), data(), EDM(), **SETTINGS)
    for widths, message in (((0.4,), "width of an average must lie in"), ((0.1, 0.1), "differ"),
                            (0.0, "width of an average must lie in")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            train_score(network(), data(), EDM(), **SETTINGS | {"ema_widths": widths})
    few = SETTINGS | {"checkpoint_every": 30}
    score = train_score(network(), data(), EDM(), **few, out=tmp_path / "few")
    with pytest.raises(InputError, match=r"steps \[30, 60\] make no width of 0.2, got one"):
        post_hoc(score, tmp_path / "few", width=0.2)
    with pytest.raises(InputError, match="score must be that of the run"):
        post_hoc(train_score(MLP(3, 9, 1), data(), EDM(), steps=1), tmp_path / "few", width=0.1)
    with pytest.raises(InputError, match="needs a run's checkpoints, got none"):
        post_hoc(score, tmp_path / "nowhere", width=0.1)
    train_score(network(), data(), EDM(), **few | {"ema_widths": ()}, out=tmp_path / "plain")
    with pytest.raises(InputError, match="needs a run with ema_widths=, got one without"):
        post_hoc(score, tmp_path / "plain", width=0.1)
