"""Several averages of the weights, and the choice among them."""

import json

import pytest
import torch
from tests.training.test_fit import data, interrupt_at, network, same, weights

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.score import load, save
from wasserscore.training import JsonLines, LogNormal, train_score
from wasserscore.training.heldout import HeldOut

EMAS = (0.0, 0.9, 0.99)
HELD_OUT = torch.randn(60, 3, generator=torch.Generator().manual_seed(5))
SETTINGS = {"batch_size": 16, "checkpoint_every": 7, "seed": 3, "holdout": HELD_OUT,
            "measure_every": 15}  # fmt: skip


@pytest.mark.parametrize(
    ("best", "more"),
    [
        (0.9, {"steps": 60, "learning_rate": 0.1, "decay": "constant"}),  # loud: an average helps
        (0.0, {"steps": 30, "learning_rate": 1e-3, "decay": "constant"}),  # still under way
    ],
)
def test_the_average_with_the_least_held_out_loss_is_kept(best, more, tmp_path):
    lines = tmp_path / "log.jsonl"
    mean = []
    score = train_score(
        network(), data(), EDM(), ema=EMAS, **SETTINGS | more, callbacks=[JsonLines(lines)],
        measure=lambda model: mean.append(model) or {"size": float(model.network.last.bias[0])},
    )  # fmt: skip
    alone = {ema: train_score(network(), data(), EDM(), ema=ema, **SETTINGS | more)
             for ema in EMAS}  # fmt: skip
    judge = HeldOut(score, LogNormal(), HELD_OUT, seed=3)
    losses = {ema: judge(model.network)["holdout_loss"] for ema, model in alone.items()}
    assert score.ema == min(losses, key=losses.get) == best
    assert alone[best].ema is None
    same(weights(score), weights(alone[best]))
    last = json.loads(lines.read_text().splitlines()[-1])
    assert last["ema"] == best
    assert last["holdout_loss"] == losses[best]
    assert [last[f"holdout_loss at ema={ema:g}"] for ema in EMAS] == list(losses.values())
    assert last["size"] == float(score.network.last.bias[0])  # it is what is measured, too
    save(score, tmp_path / "model")
    assert load(tmp_path / "model").ema == best


def test_a_resumed_run_has_all_averages(tmp_path):
    settings = SETTINGS | {"steps": 30, "ema": EMAS}
    whole = train_score(network(), data(), EDM(), **settings)
    with pytest.raises(KeyboardInterrupt):
        train_score(network(), data(), EDM(), **settings, out=tmp_path,
                    callbacks=[interrupt_at(18)])  # fmt: skip
    with pytest.raises(InputError, match=r"ema was \[0.0, 0.9, 0.99\] and is now \[0.0, 0.9\]"):
        train_score(network(), data(), EDM(), **settings | {"ema": EMAS[:2]}, out=tmp_path)
    for _ in range(2):  # the rest, then a finished run
        rest = train_score(network(), data(), EDM(), **settings, out=tmp_path)
        assert rest.ema == whole.ema
        same(weights(rest), weights(whole))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ema": (0.9, 0.99), "holdout": None}, "several ema need a holdout that chooses"),
        ({"ema": (0.9, 0.9)}, "several must differ"),
        ({"ema": (0.9, 1.0)}, "ema must lie in"),
        ({"ema": ()}, "ema must lie in"),
        ({"ema": "0.9"}, "ema must be numbers, got dtype <U3"),
        ({"ema_widths": "0.1"}, "ema_widths must be numbers, got dtype <U3"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_averages_that_cannot_be_chosen_from_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        train_score(network(), data(), EDM(), **SETTINGS | given, steps=1)


class Counting(MLP):
    """A network with one buffer that is filled and one that is replaced."""

    def __init__(self):
        super().__init__(2, 8, 1)
        self.register_buffer("filled", torch.zeros(()))
        self.register_buffer("replaced", torch.zeros(()))

    def forward(self, *given):
        self.filled += 1
        self.replaced = self.replaced + 1
        return super().forward(*given)


def test_averages_have_the_buffers_of_the_network():
    score = train_score(Counting(), torch.randn(16, 2, generator=torch.Generator().manual_seed(0)),
                        EDM(), steps=3, batch_size=8, data_std=1.0)  # fmt: skip
    assert float(score.network.filled) == float(score.network.replaced) == 3
