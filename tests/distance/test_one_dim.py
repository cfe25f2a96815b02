import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.distance.one_dim import monotone_coupling

counts = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@given(counts, counts)
def test_has_the_marginals_and_is_monotone(first, second):
    a, b = (torch.tensor(c, dtype=torch.float64) / sum(c) for c in (first, second))
    plan = monotone_coupling(a, b)
    dense = torch.zeros(len(a), len(b), dtype=torch.float64)
    dense.index_put_((plan.rows, plan.columns), plan.mass, accumulate=True)
    torch.testing.assert_close(dense.sum(1), a)
    torch.testing.assert_close(dense.sum(0), b)
    assert (plan.rows.diff() >= 0).all()
    assert (plan.columns.diff() >= 0).all()
    assert len(plan.mass) <= len(a) + len(b) - 1


@pytest.mark.parametrize("n", [1, 3, 7, 49, 1000])
def test_equal_weights_give_the_identity(n):
    weights = torch.full((n,), 1 / n, dtype=torch.float64)
    plan = monotone_coupling(weights, weights.clone())
    assert torch.equal(plan.rows, torch.arange(n))
    assert torch.equal(plan.columns, torch.arange(n))
