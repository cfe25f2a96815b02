"""What a score in training generates, looked at every so many steps."""

import pytest
import torch

from wasserscore.audit import Watch, audit
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.sampling import sample
from wasserscore.score import EmpiricalScore, GaussianScore
from wasserscore.training import train_score

PROCESS = EDM(sigma_max=80.0)


def cloud(n, seed):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_score_that_copies_is_seen_and_the_truth_is_not():
    train, fresh = cloud(150, 0), cloud(150, 1)
    watch = Watch(train, fresh, steps=20)
    copier = watch(EmpiricalScore(train, PROCESS))
    truth = watch(GaussianScore(torch.zeros(2).double(), torch.eye(2).double(), PROCESS))
    assert copier["copies"] == 1.0
    assert copier["w2_floor"] == truth["w2_floor"]
    assert copier["copies_fresh"] == truth["copies_fresh"] < 0.05 + truth["copies"] < 0.15
    assert truth["w2"] == pytest.approx(truth["w2_floor"], rel=0.5)
    shifted = watch(GaussianScore(3 * torch.ones(2).double(), torch.eye(2).double(), PROCESS))
    assert shifted["w2"] == pytest.approx(18**0.5, rel=0.1)


def test_copies_are_those_of_an_audit():
    train, fresh = cloud(60, 0), cloud(40, 1)
    score = EmpiricalScore(train, PROCESS, bandwidth=0.05)
    found = Watch(train, fresh, seed=4)(score)
    kept = sample(score, 40, solver="heun", steps=18, seed=Streams(4).key("watch"))
    known = audit(train=train, generated=kept, holdout=fresh)
    assert found["copies"] == known.copy_rate.value
    assert found["copies_fresh"] == known.copy_rate_holdout.value


def test_training_asks_it_of_the_averaged_score_in_data_units():
    scaling = Scaling(torch.full((2,), 7.0).double(), torch.tensor(2.0).double())
    rows, seen = cloud(40, 0) * 2 + 7, {}
    asked = []

    def measure(score):
        asked.append(score.scaling)
        return Watch(rows, rows, n=30, steps=4)(score)

    score = train_score(
        MLP(2, 8, 1), scaling.apply(rows), PROCESS, steps=5, batch_size=8, scaling=scaling,
        holdout=scaling.apply(rows), measure=measure, measure_every=3,
        callbacks=[lambda k, logs: seen.update({k: logs})],
    )  # fmt: skip
    for name in ("w2", "holdout_loss"):
        assert [k for k in seen if name in seen[k]] == [3, 5]
    assert asked == [scaling, scaling]
    last = {k: v for k, v in seen[5].items() if k in ("w2", "w2_floor", "copies", "copies_fresh")}
    assert last == Watch(rows, rows, n=30, steps=4)(score)
    assert last["w2_floor"] < 3


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="holdout must be like train"):
        Watch(cloud(9, 0), torch.zeros(4, 3))
    with pytest.raises(InputError, match="n must"):
        Watch(cloud(9, 0), cloud(9, 1), n=10_001)
