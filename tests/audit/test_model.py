"""The likelihood gap and the local dimensions that a report holds when it knows the model."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from sklearn.neighbors import KernelDensity
from tests.audit.laws import moons

from wasserscore.audit import audit
from wasserscore.audit.model import NEED_MODEL, asked_of_model, log_density
from wasserscore.core.errors import InputError
from wasserscore.data import Scaling
from wasserscore.process import EDM
from wasserscore.score import EmpiricalScore, MixtureScore

PROCESS = EDM(sigma_max=80.0)


@pytest.fixture(scope="module")
def sets():
    return moons(200, 0), moons(2000, 1), moons(2000, 2)


def kernel(train, bandwidth, **settings):
    return EmpiricalScore(torch.from_numpy(train), PROCESS, bandwidth=bandwidth, **settings)


def asked(sets, model):
    train, generated, holdout = (torch.from_numpy(x) for x in sets)
    return asked_of_model(model, train, generated, holdout, 0)


def test_only_the_gap_with_own_components_sees_memorization(sets):
    """At a bandwidth of .003 the one is a hundred nats, the other negative; K7."""
    thin, tuned = (asked(sets, kernel(sets[0], h)) for h in (0.003, 0.057))
    assert thin["likelihood_gap"].value > 60
    assert 0.05 < tuned["likelihood_gap"].value < 0.5
    assert thin["likelihood_gap_others"].value < -5
    assert -0.5 < tuned["likelihood_gap_others"].value < 0.1


def test_the_gap_is_the_difference_of_means(sets):
    train, _, holdout = sets
    found = asked(sets, kernel(train, 0.1))
    peer = KernelDensity(bandwidth=0.1).fit(train)
    own, fresh = peer.score_samples(train), peer.score_samples(holdout)
    assert found["likelihood_train"].value == pytest.approx(own.mean(), rel=1e-9)
    assert found["likelihood_gap"].value == pytest.approx(own.mean() - fresh.mean(), rel=1e-9)
    error = np.hypot(scipy.stats.sem(own), scipy.stats.sem(fresh))
    assert found["likelihood_gap"].stderr == pytest.approx(error, rel=1e-9)
    peer = KernelDensity(bandwidth=0.1, rtol=1e-12)
    left_out = [
        peer.fit(np.delete(train, i, 0)).score_samples(train[i : i + 1])[0] for i in range(50)
    ]
    others = kernel(train, 0.1).log_prob_of_others(torch.from_numpy(train[:50]))
    assert others.numpy() == pytest.approx(np.array(left_out), rel=1e-9)


def test_estimators_of_scikit_learn_are_models_too(sets):
    peer = KernelDensity(bandwidth=0.1).fit(sets[0])
    own, ours = asked(sets, peer), asked(sets, kernel(sets[0], 0.1))
    assert own["likelihood_gap"].value == pytest.approx(ours["likelihood_gap"].value, rel=1e-9)
    assert own["likelihood_gap_others"] is own["local_dimension"] is None
    named = KernelDensity(bandwidth=0.1).fit(pd.DataFrame(sets[0], columns=["u", "v"]))
    assert asked(sets, named) == own  # and without the warning about names


def test_a_scaled_model_is_asked_in_the_units_of_the_rows(sets):
    train = torch.from_numpy(sets[0] * [1.0, 50.0])
    scaling = Scaling.per_column(train)
    model = EmpiricalScore(scaling.apply(train), PROCESS, bandwidth=0.1, scaling=scaling)
    scale = train.std(0, unbiased=False).numpy()
    peer = KernelDensity(bandwidth=0.1).fit(train.numpy() / scale)
    expected = peer.score_samples(train.numpy() / scale) - np.log(scale).sum()
    assert log_density(model, train).numpy() == pytest.approx(expected, rel=1e-9)
    found = asked_of_model(model, train, train, train + 0.1, 0)
    others = model.log_prob_of_others(model.points) - scaling.log_det
    gap = others.mean() - log_density(model, train + 0.1).mean()
    assert found["likelihood_gap_others"].value == pytest.approx(float(gap), rel=1e-9)


def test_local_dimension_falls_where_the_law_is_a_lone_point(sets):
    train, _, holdout = sets
    rng = np.random.default_rng(0)
    copies = train[rng.integers(0, 200, 500)]
    thin = asked((train, copies, holdout), kernel(train, 1e-4))
    assert thin["local_dimension"].value < 0.5
    assert thin["local_dimension_contrast"].value < -2
    tuned = asked((train, moons(500, 5), holdout), kernel(train, 0.1))
    assert abs(tuned["local_dimension_contrast"].value) < 0.02


def test_mixtures_of_few_components_have_no_component_of_a_row(sets):
    mixture = MixtureScore(torch.ones(3), torch.eye(3)[:, :2], torch.ones(3), PROCESS)
    found = asked(sets, mixture)
    assert found["likelihood_gap"] is not None
    assert found["likelihood_gap_others"] is None


def test_the_report_holds_and_tells_them_and_the_verdict_does_not_move(sets):
    train, _, holdout = sets
    rows = {"train": train, "generated": moons(300, 7), "holdout": holdout[:300]}
    found, without = audit(model=kernel(train, 0.003), **rows), audit(**rows)
    assert found.verdict == without.verdict == "no sign of copying"
    assert all(getattr(without, name) is None for name in NEED_MODEL)
    assert found.likelihood_gap.value > 60
    assert "gap to fresh data" in repr(found)
    assert "gap to fresh data" not in repr(without)
    rows.pop("holdout")
    alone = audit(model=kernel(train, 0.1), **rows)
    assert alone.likelihood_train is not None
    assert alone.likelihood_gap is alone.local_dimension_contrast is None


def test_a_model_without_a_density_is_refused(sets):
    with pytest.raises(InputError, match="log_prob"):
        audit(train=sets[0], generated=sets[1], model=object())
