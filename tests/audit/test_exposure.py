import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from wasserscore.audit import audit
from wasserscore.audit.exposure import exposure
from wasserscore.audit.neighbours import training


def clouds(*sizes, seed=0, dim=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, dim, generator=generator, dtype=torch.float64) for n in sizes]


def test_it_is_what_its_definition_counts():
    train, generated, holdout = (x.round(decimals=1) for x in clouds(200, 30, 30))
    train = train.unique(dim=0)
    share, (row, place, distance, closeness) = exposure(
        training(train), generated, holdout, seed=0
    )
    between = cdist(train, train)
    np.fill_diagonal(between, np.inf)
    spacing = between.min(1)
    rare = np.argsort(-spacing, kind="stable")[: -(-len(train) // 20)]
    own, fresh = (cdist(train[rare], x) for x in (generated, holdout))
    # distances of one decimal tie up to rounding; the engine gives equal ones for equal pairs
    gap = own.min(1) - fresh.min(1)
    assert share.value == np.where(np.abs(gap) < 1e-12, 0.5, gap < 0).mean()
    assert share.n == len(rare) == len(place)
    winner = np.where(own.min(1) <= fresh.min(1) + 1e-12, own.argmin(1), 30 + fresh.argmin(1))
    independent = len(rare) ** 2 / (np.bincount(winner) ** 2).sum()
    assert independent < len(rare)
    p = (share.value * independent + 0.5) / (independent + 1)
    assert share.stderr == pytest.approx((p * (1 - p) / independent) ** 0.5)
    assert sorted(place.tolist()) == sorted(rare.tolist())
    np.testing.assert_allclose(distance, cdist(train[place], generated).min(1), rtol=1e-9)
    np.testing.assert_allclose(distance, (train[place] - generated[row]).norm(dim=1), rtol=1e-9)
    np.testing.assert_allclose(closeness, distance.numpy() / spacing[place], rtol=1e-9)
    assert (closeness.diff() >= 0).all()


def test_fresh_rows_expose_nobody_within_the_error():
    train, generated, holdout = clouds(4000, 3000, 2000, seed=1)
    share, _ = exposure(training(train), generated, holdout, seed=0)
    assert share.n == 200
    assert 0.03 < share.stderr < 0.05
    assert abs(share.value - 0.5) < 3 * share.stderr


@pytest.mark.parametrize("few", [20, 100, 1000])
def test_its_error_is_that_of_fresh_draws(few):
    """Also where many rare rows have the same few ones next to them."""
    (train,), found = clouds(2000, seed=5), []
    rows = training(train)
    for seed in range(60):
        generated, holdout = clouds(few, few, seed=100 + seed)
        found.append(exposure(rows, generated, holdout, seed=0)[0])
    spread = np.std([share.value for share in found])
    assert 0.8 * spread < np.mean([share.stderr for share in found]) < 1.6 * spread


def test_a_share_of_all_is_no_certainty():
    train, fresh = clouds(400, 400, seed=6)
    share, _ = exposure(training(train), train, fresh, seed=0)
    assert share.value == 1.0
    assert share.stderr == pytest.approx((20.5 * 0.5) ** 0.5 / 21 / 20**0.5)


def test_more_rows_of_one_kind_are_no_nearer():
    train, generated, holdout = clouds(2000, 20_000, 500, seed=2)
    share, _ = exposure(training(train), generated, holdout, seed=0)
    assert abs(share.value - 0.5) < 3 * share.stderr


def test_copies_of_the_rare_alone_are_seen_here_and_not_on_average():
    train, generated, holdout = clouds(1000, 1000, 1000, seed=3)
    rare = training(train).spacing.argsort(descending=True)[:50]
    generated[:50] = train[rare] + 0.05 * generated[:50]
    report = audit(train=train, generated=generated, holdout=holdout)
    assert report.exposure.value > 0.95
    assert report.closer.value < 0.54
    assert {s.nearest for s in report.exposed} == set(rare.tolist())
    assert "to rare training rows" in repr(report)


def test_nothing_is_said_of_too_few_rows_or_without_fresh_ones():
    few, enough, other = clouds(80, 81, 50)
    assert exposure(training(few), other, other, seed=0) is None
    assert exposure(training(enough), other, other, seed=0)[0].n == 5
    report = audit(train=enough, generated=other)
    assert (report.exposure, report.exposed) == (None, ())
