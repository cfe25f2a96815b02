import pytest
import torch
from scipy.optimize import linear_sum_assignment

from wasserscore.certificate import pairing
from wasserscore.certificate.pairing import Side, assignment, between, paired, within

F64 = torch.float64
CENTRES = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 9.0], [-7.0, 1.0]], dtype=F64)


def side(counts, seed, spread=0.1):
    mode = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    mode = mode[torch.randperm(len(mode), generator=generator)]
    z = torch.randn(len(mode), 2, generator=generator, dtype=F64)
    return Side(CENTRES[mode] + spread * z, mode)


def cost(one, two):
    return float((one.x - two.x).square().sum(1).mean())


def test_an_assignment_is_the_sorted_order_on_a_line():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, 1, generator=generator, dtype=F64) for _ in range(2))
    best = float((x.sort(0).values - y.sort(0).values).square().mean())
    assert float((x[assignment(x, y)] - y).square().mean()) == pytest.approx(best, rel=1e-12)


def test_points_that_are_not_finite_keep_their_partners():
    one, two = side([3, 3, 3, 3], 0), side([3, 3, 3, 3], 1)
    two.x[0] = torch.inf
    assert paired(one, two).tolist() == list(range(12))


@pytest.mark.parametrize("block", [7, 4096])
def test_large_clouds_are_paired_as_well_as_small_ones(monkeypatch, block):
    # well separated modes: going by modes loses nothing, unless blocks cut the transport
    one, two = side([40, 60, 50, 30], 0), side([55, 45, 30, 50], 1)
    exact = cost(one.rows(assignment(one.x, two.x)), two)
    monkeypatch.setattr(pairing, "DENSE", 64)
    monkeypatch.setattr(pairing, "LEFT", block)
    order = paired(one, two)
    assert sorted(order.tolist()) == list(range(180))
    found = cost(one.rows(order), two)
    assert exact <= found < (1.1 if block == 4096 else 1.5) * exact


def test_pairs_in_one_mode_stay_together(monkeypatch):
    monkeypatch.setattr(pairing, "DENSE", 8)
    one, two = side([5, 5, 5, 5], 0), side([6, 4, 4, 6], 1)
    order = paired(one, two)
    agreed = one.mode == two.mode
    assert bool(agreed.any())
    assert torch.equal(order[agreed], torch.arange(20)[agreed])


def test_within_a_mode_the_assignment_is_optimal_and_the_rarer_side_is_used_up():
    one, two = side([6, 3, 0, 2], 2, spread=1.0), side([4, 5, 2, 0], 3, spread=1.0)
    rows, columns = within(one, two)
    assert bool((two.mode[rows] == one.mode[columns]).all())
    assert torch.bincount(two.mode[rows], minlength=4).tolist() == [4, 3, 0, 0]
    here, there = one.x[one.mode == 0], two.x[two.mode == 0]
    costs = torch.cdist(there, here).square().numpy()
    best = costs[linear_sum_assignment(costs)].sum()
    chosen = two.mode[rows] == 0
    found = (two.x[rows[chosen]] - one.x[columns[chosen]]).square().sum()
    assert float(found) == pytest.approx(float(best), rel=1e-12)


def test_between_modes_counts_go_where_transport_sends_them():
    one, two = side([8, 0, 0, 2], 4, spread=0.0), side([0, 5, 5, 0], 5, spread=0.0)
    rows, columns = between(one, two)
    assert sorted(rows.tolist()) == sorted(columns.tolist()) == list(range(10))
    found = float((two.x[rows] - one.x[columns]).square().sum())
    costs = torch.cdist(two.x, one.x).square().numpy()
    assert found == pytest.approx(costs[linear_sum_assignment(costs)].sum(), rel=1e-12)
