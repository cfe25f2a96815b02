import numpy as np
import pytest
import torch

from wasserscore.audit.neighbours import training
from wasserscore.core.errors import InputError


def test_hand_computed_neighbours():
    train = torch.tensor([[0.0], [1.0], [1.0], [4.0]]).double()  # row 1 twice
    yardstick = training(train)
    assert yardstick.places.tolist() == [0, 1, 3]
    assert yardstick.spacing.tolist() == [1.0, 1.0, 3.0]
    found = yardstick.closest(torch.tensor([[3.0], [1.25], [0.5], [4.0]]).double())
    assert found.first.tolist() == [1.0, 0.25, 0.5, 0.0]
    assert found.second.tolist() == [2.0, 1.25, 0.5, 3.0]
    assert found.row.tolist() == [3, 1, 0, 3]
    assert found.spacing.tolist() == [3.0, 1.0, 1.0, 3.0]
    assert found.ratio.tolist() == [0.5, 0.2, 1.0, 0.0]
    assert found.repeats.tolist() == [False, True, False, True]
    assert found.authentic.tolist() == [False, False, False, False]


def test_authenticity_is_strict_and_the_ratio_bound_too():
    yardstick = training(torch.tensor([[0.0], [1.0], [5.0]]).double())
    on_the_sphere = yardstick.closest(torch.tensor([[-1.0], [-1.001]]).double())
    assert on_the_sphere.authentic.tolist() == [False, True]
    third = yardstick.closest(torch.tensor([[0.25], [0.2499]]).double())
    assert third.repeats.tolist() == [False, True]


def test_copy_distance_is_the_one_percent_quantile_of_distinct_rows():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 3)))
    gaps = torch.cdist(rows, rows).fill_diagonal_(torch.inf).min(1).values
    yardstick = training(torch.cat([rows, rows[:50]]))
    assert yardstick.copy_distance == pytest.approx(float(np.quantile(gaps, 0.01)), rel=1e-9)


def test_too_few_distinct_rows_are_refused():
    with pytest.raises(InputError, match="3 distinct rows, got 2"):
        training(torch.tensor([[0.0], [1.0], [1.0]]))


@pytest.mark.parametrize(("n", "share"), [(50, 0.04), (150, 0.02), (1500, 0.01)])
def test_so_many_fresh_rows_are_copies(n, share):
    generator, found = torch.Generator().manual_seed(n), []
    for _ in range(30000 // n):
        train, fresh = torch.randn(2, n, 2, generator=generator, dtype=torch.float64)
        rows = training(train)
        found.append(float(rows.copies(rows.closest(fresh)).double().mean()))
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(share, abs=4 * error + 0.15 * share)
