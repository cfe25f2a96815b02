import itertools
import math

import numpy as np
import ot
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ot.lp import emd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from tests.distance.clouds import cloud, clouds

from wasserscore.core import memory
from wasserscore.core.errors import InputError
from wasserscore.distance import exact, simplex, w2, w2_squared_and_plan


def brute_force(x, y):
    cost = cdist(x, y, "sqeuclidean")
    n = len(x)
    best = min(sum(cost[i, p[i]] for i in range(n)) for p in itertools.permutations(range(n)))
    return math.sqrt(best / n)


@given(clouds(same_size=True))
def test_equals_the_best_permutation(pair):
    x, y = pair
    assert float(w2(x, y)) == pytest.approx(brute_force(x, y), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 64])
def test_agrees_with_scipy_assignment(d):
    x, y = cloud(150, d, 1), cloud(150, d, 2) * 1.5 + 0.3
    cost = cdist(x, y, "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    assert float(w2(x, y)) == pytest.approx(math.sqrt(cost[rows, columns].mean()), rel=1e-12)


@pytest.mark.parametrize("d", [1, 3])
def test_agrees_with_pot_for_given_weights(d):
    x, y = cloud(40, d, 1), cloud(25, d, 2) + 1
    a, b = np.random.default_rng(3).random(40), np.random.default_rng(4).random(25)
    a[:3] = 0
    found = w2(x, y, weights_x=a, weights_y=b)
    expected = ot.emd2(a / a.sum(), b / b.sum(), cdist(x, y, "sqeuclidean"))
    assert found.value == pytest.approx(math.sqrt(expected), rel=1e-10)
    assert found.status == "ok"


@given(clouds())
def test_line_and_plane_agree(pair):
    x, y = (c[:, :1] for c in pair)
    flat_x, flat_y = (torch.cat([c, torch.zeros_like(c)], 1) for c in (x, y))
    assert float(w2(x, y)) == pytest.approx(float(w2(flat_x, flat_y)), rel=1e-9, abs=1e-7)


@given(clouds())
def test_symmetric(pair):
    x, y = pair
    assert float(w2(x, y)) == pytest.approx(float(w2(y, x)), rel=1e-10, abs=1e-12)


@given(clouds(count=3))
def test_triangle_inequality(triple):
    x, y, z = triple
    assert float(w2(x, z)) <= float(w2(x, y)) + float(w2(y, z)) + 1e-9


@given(clouds(), st.floats(-5, 5), st.floats(-3, 3))
def test_moves_and_scales_with_the_data(pair, shift, factor):
    x, y = pair
    expected = abs(factor) * float(w2(x, y))
    assert float(w2(x * factor + shift, y * factor + shift)) == pytest.approx(expected, abs=1e-7)


@given(clouds())
def test_duplicating_every_row_changes_nothing(pair):
    x, y = pair
    doubled = w2(torch.cat([x, x]), torch.cat([y, y, y]))
    assert float(doubled) == pytest.approx(float(w2(x, y)), rel=1e-9, abs=1e-7)


@given(clouds(count=1, max_n=20))
def test_a_shuffled_cloud_is_at_distance_zero_exactly(single):
    (x,) = single
    assert float(w2(x, x.flip(0))) == 0.0


@pytest.mark.parametrize("far", [1e3, 1e5, 1e7, 1e9])
@pytest.mark.parametrize("sizes", [(60, 60), (300, 300), (40, 120)])
def test_rows_far_from_all_others_do_not_hide_the_rest(sizes, far):
    # they go to each other, so the others are transported as if they were alone
    x, y = (cloud(n, 3, n + seed) for seed, n in enumerate(sizes))
    share = len(y) // len(x)
    x[0], y[:share] = far, far
    found, rest = w2(x, y), w2(x[1:], y[share:])
    assert found.status == "ok"
    assert found.value == pytest.approx(math.sqrt(1 - 1 / len(x)) * rest.value, rel=1e-9)


def test_translation_has_a_closed_form():
    x = cloud(60, 4)
    shift = torch.tensor([3.0, 0.0, -4.0, 0.0], dtype=torch.float64)
    assert float(w2(x, x + shift)) == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_keeps_its_digits_far_from_the_origin_and_at_any_scale(offset, scale):
    x, y = cloud(30, 2, 1), cloud(30, 2, 2)
    x, y = (torch.round(c * 64) / 64 * scale + offset * scale for c in (x, y))
    assert float(w2(x, y)) == pytest.approx(brute_assignment(x, y), rel=1e-6)
    assert w2(x, y).status == "ok"


def brute_assignment(x, y):
    cost = ((x[:, None] - y[None]) ** 2).sum(-1).numpy()
    rows, columns = linear_sum_assignment(cost)
    return math.sqrt(cost[rows, columns].mean())


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("exponent", [-1030, -540, -3, 3, 530, 1000])
def test_no_size_is_too_large_or_too_small_for_squares(d, exponent, generator):
    x, y = (torch.randn(30, d, generator=generator, dtype=torch.float64) for _ in range(2))
    one, other = w2(x, y), w2(*(np.ldexp(z.numpy(), exponent) for z in (x, y)))
    # a power of two changes no digit, but of numbers that have fewer than a double's
    digits = {"rel": 1e-12} if exponent < -1000 else {"rel": 0}
    assert math.ldexp(other.value, -exponent) == pytest.approx(one.value, **digits)
    assert math.ldexp(other.stderr, -exponent) == pytest.approx(one.stderr, **digits)
    assert other.status == "ok"


@pytest.mark.parametrize("d", [1, 3])
def test_plan_has_the_marginals_and_the_cost(d):
    x, y = cloud(30, d, 1), cloud(20, d, 2)
    cost, plan = w2_squared_and_plan(x, y)
    assert plan.shape == (30, 20)
    torch.testing.assert_close(plan.sum(1), torch.full((30,), 1 / 30, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.full((20,), 1 / 20, dtype=torch.float64))
    squares = torch.from_numpy(cdist(x, y, "sqeuclidean"))
    assert float((plan * squares).sum()) == pytest.approx(cost, rel=1e-12)
    assert cost == pytest.approx(float(w2(x, y)) ** 2, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_potentials_are_feasible_and_tight(d):
    x, y = cloud(35, d, 1) + 2, cloud(20, d, 2)
    a, b = (torch.full((n,), 1 / n, dtype=torch.float64) for n in (35, 20))
    plan, u, v, _ = (exact._line if d == 1 else exact._simplex)(x, y, a, b)
    squares = torch.from_numpy(cdist(x, y, "sqeuclidean"))
    assert float((squares - u[:, None] - v).min()) > -1e-10
    tight = u[plan.rows] + v[plan.columns]
    torch.testing.assert_close(tight, squares[plan.rows, plan.columns], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("d", "shift"), [(1, 0.5), (2, 0.5), (8, 0.0)])
def test_standard_error_covers_the_spread_of_samples(d, shift):
    found = [w2(cloud(120, d, 2 * s), cloud(120, d, 2 * s + 1) * 1.3 + shift) for s in range(60)]
    spread = np.std([e.value for e in found], ddof=1)
    stated = np.mean([e.stderr for e in found])
    assert 0.8 * spread < stated < 1.7 * spread


def test_a_capped_solver_is_reported_not_trusted(monkeypatch):
    monkeypatch.setattr(simplex, "ITERATIONS", 3)
    x, y = cloud(60, 3, 1), cloud(60, 3, 2)
    assert "not" in w2(x, y).status
    with pytest.raises(ArithmeticError, match="no optimal plan"):
        w2_squared_and_plan(x, y)


@pytest.mark.parametrize("spoil", ["plan", "potential", "optimum"])
def test_a_wrong_answer_of_the_solver_is_seen(monkeypatch, spoil):
    def wrong(a, b, cost, **settings):
        plan, log = emd(a, b, cost, **settings)
        if spoil == "plan":
            plan = plan * (1 - 1e-8)
        elif spoil == "potential":
            log["u"] = log["u"] + 1e-6 * np.arange(len(a))
        else:
            plan = np.outer(a, b)
        return plan, log

    monkeypatch.setattr(simplex, "emd", wrong)
    assert w2(cloud(20, 3, 1), cloud(20, 3, 2)).status != "ok"


def test_images_frames_and_float32_are_clouds_too():
    x, y = cloud(12, 4, 1), cloud(12, 4, 2)
    expected = float(w2(x, y))
    assert float(w2(x.reshape(12, 2, 2), y.numpy())) == expected
    assert float(w2(pd.DataFrame(x.numpy()), y)) == expected
    assert float(w2(x.float(), y.float())) == pytest.approx(expected, rel=1e-6)


def test_the_number_of_points_is_printed():
    assert "(n=20)" in repr(w2(cloud(30, 2), cloud(20, 2)))


def test_bad_input_says_what_to_do(monkeypatch):
    x = cloud(5, 2)
    with pytest.raises(InputError, match="same dimension, got 2 and 3"):
        w2(x, cloud(5, 3))
    with pytest.raises(InputError, match="one weight per point"):
        w2(x, x, weights_x=[1.0])
    with pytest.raises(InputError, match="non-negative"):
        w2(x, x, weights_y=[1.0, -1.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(exact, "MAX_PAIRS", 20)
    with pytest.raises(InputError, match="use sinkhorn_divergence"):
        w2(x, x)


def test_what_does_not_fit_into_memory_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"exact W2 of 200 x 200 points needs about 1\.6 MB"):
        w2(cloud(200, 2, 1), cloud(200, 2, 2))
    assert w2(cloud(2000, 1, 1), cloud(2000, 1, 2)).status == "ok"  # the line needs no table


def test_the_error_of_clouds_that_nearly_coincide_is_no_quotient_by_zero():
    x = torch.linspace(-3, 3, 300, dtype=torch.float64)[:, None]
    near, apart = w2(x, x + 1e-4 * torch.sin(3 * x)), w2(x, x + 1.0)
    assert near.stderr < 0.003  # that of the square over twice the value: .027
    assert apart.stderr == pytest.approx(x.std(correction=0).item() * (2 / 300) ** 0.5, rel=0.01)


def test_images_have_their_channels_in_one_place(generator):
    x = torch.randn(12, 3, 4, 5, generator=generator)
    with pytest.raises(InputError, match=r"axes of x, \(3, 4, 5\), got \(4, 5, 3\)"):
        w2(x, x.movedim(1, -1))
    grey = x[:, :1]
    assert float(w2(grey, grey[:, 0])) == float(w2(x, x.flatten(1))) == 0  # the same numbers
