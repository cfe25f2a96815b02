"""No group on both sides, nothing held out before a training row, sides near one half."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.data.holdout import split_groups, split_order

LABELS = st.lists(st.integers(0, 9), min_size=2, max_size=60).filter(lambda x: len(set(x)) > 1)


def numbered(labels):
    return torch.unique(torch.tensor(labels), return_inverse=True)[1]


def together(train, holdout, n):
    assert torch.equal(torch.cat([train, holdout]).sort()[0], torch.arange(n))
    assert torch.equal(train, train.sort()[0])
    assert torch.equal(holdout, holdout.sort()[0])
    assert min(len(train), len(holdout)) > 0


@given(LABELS, st.integers(0, 2**62))
def test_a_group_is_on_one_side(labels, seed):
    groups = numbered(labels)
    train, holdout = split_groups(groups, seed=seed)
    together(train, holdout, len(groups))
    assert not set(groups[train].tolist()) & set(groups[holdout].tolist())
    assert abs(len(train) - len(holdout)) <= int(groups.bincount().max())
    again = split_groups(groups, seed=seed)
    assert torch.equal(train, again[0])


def test_the_seed_decides_which_groups_train():
    groups = torch.arange(40) // 2
    sides = [tuple(split_groups(groups, seed=seed)[0].tolist()) for seed in range(20)]
    assert len(set(sides)) == 20
    shares = torch.tensor([[row in side for row in range(40)] for side in sides]).double().mean(0)
    assert bool(((shares > 0.1) & (shares < 0.9)).all())


@given(LABELS)
def test_held_out_is_later_than_all_that_trains(labels):
    ranks = numbered(labels)
    train, holdout = split_order(ranks)
    together(train, holdout, len(ranks))
    assert int(ranks[holdout].min()) > int(ranks[train].max())  # so ties go together
    cuts = [int((ranks <= rank).sum()) for rank in range(int(ranks.max()))]
    assert abs(2 * len(train) - len(ranks)) == min(abs(2 * cut - len(ranks)) for cut in cuts)


def test_one_value_is_refused():
    same = torch.zeros(9, dtype=torch.int64)
    with pytest.raises(InputError, match="needs at least 2 groups, got 1"):
        split_groups(same, seed=0)
    with pytest.raises(InputError, match="needs at least 2 different values, got 1"):
        split_order(same)
