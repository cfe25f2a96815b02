import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.distance.clouds import cloud

from wasserscore.core.errors import InputError
from wasserscore.distance import mmd, noise_floor, sliced_w2, w2, with_floor


def mean_gap(x, y):
    """A distance with a known answer: how far apart the means are."""
    return float((x.mean(0) - y.mean(0)).norm())


def test_everything_is_measured_at_the_same_number_of_points():
    sizes = set()

    def spy(x, y):
        sizes.update((len(x), len(y)))
        return mean_gap(x, y)

    found = with_floor(
        spy, generated=cloud(50, 2, 1), train=cloud(40, 2, 2), holdout=cloud(30, 2, 3)
    )
    assert sizes == {30}
    assert found.n == 30
    assert "30 points each" in repr(found)
    assert "floor" in repr(found)


def test_floor_parts_are_disjoint_and_the_baseline_resamples_train():
    seen = []

    def spy(x, y):
        seen.append((set(x[:, 0].tolist()), set(y[:, 0].tolist())))
        return 0.0

    rows = torch.arange(60.0)[:, None]
    noise_floor(spy, train=rows[:30], holdout=rows[30:], resplits=3)
    for k in range(3):
        (first, second), (resampled, again) = seen[2 * k], seen[2 * k + 1]
        assert first | second == set(range(60))
        assert resampled < first
        assert again == second


def test_fresh_samples_reach_the_floor_and_wrong_ones_do_not():
    settings = {"train": cloud(120, 3, 1), "holdout": cloud(120, 3, 2)}
    fresh = with_floor(w2, generated=cloud(120, 3, 3), **settings)
    wrong = with_floor(w2, generated=cloud(120, 3, 3) + 1.5, **settings)
    assert abs(fresh.value.value - fresh.floor.value) < 4 * fresh.value.stderr
    assert wrong.value.value > wrong.floor.value + 4 * wrong.value.stderr
    assert fresh.bootstrap.value > fresh.floor.value
    assert fresh.floor.units == "data units"


def test_points_in_an_order_are_not_cut_to_the_first_of_them():
    """Samples class after class, and held-out rows by value, twice as many as there are others."""
    train, many = cloud(120, 2, 1), cloud(240, 2, 2)
    ordered = many[many[:, 0].argsort()]
    for generated, holdout in ((ordered, cloud(120, 2, 3)), (cloud(120, 2, 3), ordered)):
        found = with_floor(w2, generated=generated, train=train, holdout=holdout)
        assert abs(found.value.value - found.floor.value) < 4 * found.value.stderr
    draw = lambda rows, k: ordered + 0 * rows.mean()
    found = with_floor(
        w2, generated=train, train=train, holdout=cloud(120, 2, 3), generate=draw, resplits=3
    )
    assert found.value.value < 1.5 * found.floor.value


def test_error_bar_of_the_value_is_the_spread_of_fresh_samples():
    train = cloud(100, 2, 1)
    found = [
        with_floor(
            mean_gap, generated=cloud(100, 2, 2 * s) + 1, train=train,
            holdout=cloud(100, 2, 2 * s + 1), resplits=30,
        ).value
        for s in range(10, 110)
    ]  # fmt: skip
    spread = np.std([v.value for v in found], ddof=1)
    assert 0.82 * spread < np.mean([v.stderr for v in found]) < 1.3 * spread


def test_a_refitted_model_sees_only_the_training_rows_of_its_resplit():
    seen = []

    def copier(train, k):
        seen.append(train)
        return train

    def overlap(x, y):
        return float(np.isin(x[:, 0].numpy(), y[:, 0].numpy()).mean())

    rows = torch.arange(80.0)[:, None]
    found = with_floor(
        overlap, generated=rows[:40], train=rows[:40], holdout=rows[40:], generate=copier
    )
    assert len(seen) == 10
    assert found.value.value == 0.0
    assert not torch.equal(seen[0], seen[1])


def test_floor_is_shared_between_models_and_refused_at_another_size():
    train, holdout = cloud(40, 2, 1), cloud(40, 2, 2)
    floor = noise_floor(sliced_w2, train=train, holdout=holdout)
    shared = with_floor(
        sliced_w2, generated=cloud(40, 2, 3), train=train, holdout=holdout, floor=floor
    )
    alone = with_floor(sliced_w2, generated=cloud(40, 2, 3), train=train, holdout=holdout)
    assert shared == alone
    with pytest.raises(InputError, match="same number of points"):
        with_floor(sliced_w2, generated=cloud(20, 2, 3), train=train, holdout=holdout, floor=floor)


def test_any_distance_fits():
    found = with_floor(
        functools.partial(mmd, bandwidth=1.0),
        generated=cloud(30, 2, 1), train=cloud(30, 2, 2), holdout=cloud(30, 2, 3),
    )  # fmt: skip
    assert "bandwidth 1" in found.value.units
    assert set(found.to_dict()) == {"value", "floor", "bootstrap", "n"}


def test_digits_floor_and_bootstrap_are_the_reference_numbers():
    points = torch.from_numpy(load_digits().data / 8 - 1)[:1796]
    found = noise_floor(w2, train=points[:898], holdout=points[898:], resplits=3)
    assert found.n == 898
    assert abs(found.floor.value - 2.63) < 0.06
    assert abs(found.bootstrap.value - 2.76) < 0.08


def test_bad_input_says_what_to_do():
    x = cloud(10, 2)
    with pytest.raises(InputError, match="resplits"):
        noise_floor(w2, train=x, holdout=x, resplits=1)
    with pytest.raises(InputError, match="2 n rows"):
        noise_floor(w2, train=x, holdout=x, n=11)
