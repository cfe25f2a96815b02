import math

import numpy as np
import pytest
import torch

from wasserscore.certificate.lower import lower_estimates
from wasserscore.certificate.transport import coupled_transport
from wasserscore.core.errors import InputError
from wasserscore.distance import w2


def clouds(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return x, x + 0.3 + 0.1 * torch.randn(n, d, generator=generator, dtype=torch.float64)


def test_batches_are_exact_transport_and_at_most_their_pairs():
    x, y = clouds(40, 3)
    costs = coupled_transport(x, y, 4)
    for b in range(4):
        rows = slice(10 * b, 10 * b + 10)
        assert float(costs[b]) == pytest.approx(w2(x[rows], y[rows]).value ** 2, rel=1e-12)
        assert float(costs[b]) <= float((x[rows] - y[rows]).square().sum(1).mean()) + 1e-12


def test_shuffled_pairs_cost_the_same_after_transport():
    x, y = clouds(40, 3)
    order = torch.cat(
        [10 * b + torch.randperm(10, generator=torch.Generator().manual_seed(b)) for b in range(4)]
    )
    assert torch.allclose(coupled_transport(x, y, 4), coupled_transport(x, y[order], 4))


def test_an_infinite_point_makes_its_batch_infinite():
    x, y = clouds(8, 2)
    y[5, 0] = math.nan
    costs = coupled_transport(x, y, 2)
    assert math.isfinite(costs[0])
    assert math.isinf(costs[1])


def test_too_many_batches_are_refused():
    with pytest.raises(InputError, match="two pairs"):
        coupled_transport(*clouds(7, 2), 4)


@pytest.mark.slow
def test_the_mean_of_squares_is_one_sided_where_the_mean_of_roots_is_not():
    # p = .99 d_0 + .01 d_1, q = d_0: W2 = .1, while W2 of 5 samples is mostly zero
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.binomial(1, 0.01, (10000, 1)) * 1.0)
    costs = coupled_transport(x, torch.zeros_like(x), 2000)
    assert math.sqrt(float(costs.mean())) == pytest.approx(0.1, rel=0.1)
    assert float(costs.sqrt().mean()) < 0.04


def test_lower_estimates_are_below_the_coupled_distance_and_right_for_gaussians():
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
    x, y = z, z * torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64) + 1
    truth = math.sqrt(3 + 1 + 0.25)
    found = lower_estimates(x, y, batches=8, seed=0)
    gelbrich = found["Gelbrich"]
    assert gelbrich.value == pytest.approx(truth, abs=4 * gelbrich.stderr)
    assert 0 < gelbrich.stderr < 0.05
    coupled = math.sqrt(float((x - y).square().sum(1).mean()))
    assert gelbrich.value <= coupled * (1 + 1e-9)
    assert found["sqrt(d) sliced"].value <= coupled * (1 + 1e-9)


@pytest.mark.parametrize(("n", "d"), [(64, 1), (64, 3), (16, 64), (16, 300)])
def test_a_shift_is_seen_whole_whatever_directions_are_drawn(n, d):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    shift = torch.eye(d, dtype=torch.float64)[0] * 0.7
    for seed in range(3):
        found = lower_estimates(x, x + shift, batches=8, seed=seed)["sqrt(d) sliced"]
        assert found.value == pytest.approx(0.7, rel=1e-9)


@pytest.mark.slow
def test_the_error_of_a_lower_estimate_matches_repetition():
    values = []
    for seed in range(60):
        x, y = clouds(64, 2, seed)
        values.append(lower_estimates(x, y, batches=8, seed=0)["Gelbrich"])
    spread = np.std([v.value for v in values], ddof=1)
    assert np.mean([v.stderr for v in values]) == pytest.approx(spread, rel=0.4)
