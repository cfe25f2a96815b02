"""A run with a generator that has samples and no score: what is left out, what is refused."""

import pytest
import torch
from tests.experiment import tiny

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.experiment import revisit
from wasserscore.experiment.config import OneStepConfig
from wasserscore.experiment.one_step import fit_one_step
from wasserscore.experiment.run import start
from wasserscore.flow import train_generator
from wasserscore.network import LatentMLP

SMALL = OneStepConfig(latent=2, width=8, depth=1, steps=6, batch_size=16)


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "one-step"
    made = start(tiny.config(table, models=("one-step",), one_step=SMALL), out)
    made.fit()
    made.generate("one-step")
    return out, made


def test_a_run_measures_and_audits_it_without_a_certificate(folder):
    out, journey = folder
    entry = journey.measure("one-step")
    assert entry["certificate"] is None
    assert journey.steps() is None
    assert entry["metrics"]["log_likelihood"] is None
    assert entry["metrics"]["w2"]["value"] > 0
    assert (out / "one-step" / "checkpoints").is_dir()
    rows = revisit.fitted(out, "one-step")[1].sample(4, seed=0)
    assert rows.shape == (4, 4)
    again = fit_one_step(journey.train, seed=0, **SMALL.model_dump())
    assert torch.equal(again.sample(4, seed=0), rows)
    assert set(rows[:, 2].tolist()) == {7.0}


def test_a_bandwidth_holds_at_all_steps(folder):
    train = folder[1].train
    one = SMALL.model_copy(update={"drift": "sinkhorn", "bandwidth": 0.7})
    found = fit_one_step(train, seed=0, **one.model_dump()).score
    points = found.scaling.apply(train.varying).float()
    start = LatentMLP(2, 3, 8, 1, seed=Streams(0).key("one-step") % 2**31)
    for width, same in ((0.7, True), ("geometric", False)):
        expected = train_generator(start, points, drift="sinkhorn", bandwidths=width, steps=6,
                                   batch_size=16, scaling=found.scaling)  # fmt: skip
        assert torch.equal(found.sample(5), expected.sample(5)) is same


def test_what_needs_a_score_says_so(folder):
    with pytest.raises(InputError, match="must have a score"):
        revisit.certify_model(folder[0], "one-step")
