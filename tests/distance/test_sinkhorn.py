import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.distance.clouds import cloud, clouds

from wasserscore.core.errors import InputError
from wasserscore.distance import balance, sinkhorn_divergence, w2

PRECISE = {"tolerance": 1e-9, "iterations": 5000}


def transport(x, y, a, b, epsilon):
    """POT's log-domain Sinkhorn; the entropic cost from its potentials."""
    cost = ot.dist(x, y, "sqeuclidean")
    _, log = ot.bregman.sinkhorn_log(
        a, b, cost, epsilon, log=True, numItermax=20_000, stopThr=1e-9
    )
    return epsilon * (a @ (log["log_u"] - a.log()) + b @ (log["log_v"] - b.log()))


@pytest.mark.parametrize("blur", [0.8, 5.0])
def test_agrees_with_pot(blur):
    x, y = cloud(40, 3, 1), cloud(30, 3, 2) * torch.tensor([0.5, 1.0, 2.0]) + 0.7
    a, b = cloud(40, 1, 3)[:, 0].exp(), torch.ones(30, dtype=torch.float64)
    a, b = a / a.sum(), b / b.sum()
    epsilon = 2 * blur**2
    expected = transport(x, y, a, b, epsilon)
    expected = expected - (transport(x, x, a, a, epsilon) + transport(y, y, b, b, epsilon)) / 2
    found = sinkhorn_divergence(x, y, blur=blur, weights_x=3 * a, **PRECISE)
    assert found.status == "ok"
    assert found.value == pytest.approx(float(expected), rel=1e-6)
    rough = sinkhorn_divergence(x, y, blur=blur, weights_x=a)
    assert rough.value == pytest.approx(float(expected), rel=1e-5)
    assert rough.value <= found.value * (1 + 1e-12)
    assert rough.marginal_error <= 1e-4


def test_two_gaussians_on_the_line_have_a_closed_form():
    """Janati et al., Entropic optimal transport between Gaussian measures, 2020, theorem 1."""
    levels = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    z = normal.icdf(levels)[:, None]
    first, second, epsilon = 0.8, 2.0, 2.0

    def coupled(s, t):
        delta = math.sqrt(4 * s**2 * t**2 + epsilon**2 / 4)
        entropy = epsilon / 2 * (1 - math.log(epsilon) + math.log(delta + epsilon / 2))
        return s**2 + t**2 - delta + entropy

    expected = coupled(first, second) - (coupled(first, first) + coupled(second, second)) / 2
    found = sinkhorn_divergence(first * z, second * z + 3, blur=1.0)
    assert found.value == pytest.approx(expected + 9, rel=2e-3)


def test_from_w2_squared_to_the_distance_of_the_means():
    x, y = cloud(25, 2, 1), cloud(20, 2, 2) * 1.5 + 0.5
    narrow = sinkhorn_divergence(x, y, blur=0.01, iterations=5000)
    assert narrow.value == pytest.approx(float(w2(x, y)) ** 2, rel=1e-3)
    means = float((x.mean(0) - y.mean(0)).square().sum())
    assert sinkhorn_divergence(x, y, blur=1e3).value == pytest.approx(means, rel=1e-5)


@settings(max_examples=12)
@given(clouds(max_n=6), st.floats(0.05, 4), st.floats(0.3, 3))
def test_symmetric_and_moves_and_scales_with_the_data(pair, factor, blur):
    x, y = pair
    found = sinkhorn_divergence(x, y, blur=blur, **PRECISE)
    size = float(torch.cat([x, y]).square().sum(1).max()) + 1e-9
    assert found.value >= -1e-13 * size
    back = sinkhorn_divergence(y, x, blur=blur, **PRECISE)
    assert back.value == pytest.approx(found.value, abs=1e-9 * size)
    moved = sinkhorn_divergence(x * factor + 5, y * factor + 5, blur=blur * factor, **PRECISE)
    assert moved.value == pytest.approx(factor**2 * found.value, abs=1e-9 * factor**2 * size)
    apart = sinkhorn_divergence(x, y + 2, blur=blur, **PRECISE)
    shift = x.mean(0) - y.mean(0)
    change = float((shift - 2).square().sum() - shift.square().sum())
    assert apart.value == pytest.approx(found.value + change, abs=1e-9 * (size + abs(change)))


@settings(max_examples=25)
@given(clouds(max_n=6), st.integers(1, 4), st.sampled_from([None, 0.01, 0.1, 1.0]))
def test_never_negative_however_early_it_stops(pair, iterations, blur):
    """Far fewer iterations than it takes, where other libraries go below zero."""
    x, y = pair
    found = sinkhorn_divergence(x, y, blur=blur, iterations=iterations)
    assert found.value >= 0
    assert (found.status == "ok") == (found.marginal_error <= 1e-4)


@settings(max_examples=25)
@given(clouds(count=1, max_n=8), st.sampled_from([None, 0.02, 0.5, 50.0]))
def test_zero_where_clouds_coincide_duplicates_and_weights_included(single, blur):
    (x,) = single
    size = 1 + float(x.square().sum(1).max()) + (blur or 0) ** 2  # rounding is that of epsilon
    same = sinkhorn_divergence(x, x.flip(0), blur=blur)
    assert 0 <= same.value <= 1e-13 * size
    assert same.stderr <= 1e-6 * size
    twice = sinkhorn_divergence(torch.cat([x, x]), x, blur=blur)
    assert 0 <= twice.value <= 1e-13 * size


def test_weights_are_repetitions_and_nothing_at_zero():
    x, y = cloud(12, 2, 1), cloud(9, 2, 2) + 0.5
    counts = torch.tensor([3, 1, 0, 2, 1, 1, 4, 0, 1, 1, 2, 1])
    repeated = sinkhorn_divergence(x.repeat_interleave(counts, 0), y, **PRECISE)
    weighted = sinkhorn_divergence(x, y, weights_x=counts, **PRECISE)
    assert weighted.value == pytest.approx(repeated.value, rel=1e-9)
    assert weighted.blur == pytest.approx(repeated.blur, rel=1e-12)


def test_the_default_blur_is_a_tenth_of_the_distance_of_two_points():
    x, y = cloud(30, 2, 1), cloud(30, 2, 2) + 1
    both = torch.cat([x, y])
    expected = float(torch.cdist(both, both).square().mean().sqrt()) / 10
    assert sinkhorn_divergence(x, y).blur == pytest.approx(expected, rel=1e-12)


def test_standard_error_is_that_of_the_influence_of_each_point():
    """The derivative in the weights, by finite differences; x and y are independent samples."""
    x, y, h = cloud(7, 2, 1), cloud(5, 2, 2) * 1.5 + 1, 1e-4

    def influence(n, name):
        rows = torch.eye(n, dtype=torch.float64)
        both = [
            [sinkhorn_divergence(x, y, blur=1.0, **PRECISE, **{name: w}).value for w in weights]
            for weights in ((1 - h) / n + h * rows, (1 + h) / n - h * rows)
        ]
        return (np.array(both[0]) - np.array(both[1])) / (2 * h)

    expected = math.sqrt(influence(7, "weights_x").var() / 7 + influence(5, "weights_y").var() / 5)
    found = sinkhorn_divergence(x, y, blur=1.0, **PRECISE)
    assert found.stderr == pytest.approx(expected, rel=1e-5)


def test_streamed_and_as_a_table_agree(monkeypatch):
    x, y = cloud(40, 3, 1), cloud(30, 3, 2) + 0.5
    whole = sinkhorn_divergence(x, y, **PRECISE)
    monkeypatch.setattr(balance, "TABLE", 0)
    streamed = sinkhorn_divergence(x, y, **PRECISE)
    assert streamed.value == pytest.approx(whole.value, rel=1e-10)
    assert streamed.stderr == pytest.approx(whole.stderr, rel=1e-6)


def test_too_few_iterations_are_said():
    x, y = cloud(50, 2, 1), cloud(50, 2, 2) * 2
    found = sinkhorn_divergence(x, y, blur=0.02, iterations=5)
    assert "not converged: the marginals are off by" in found.status
    assert "not converged" in repr(found)
    assert found.iterations > 5  # all levels together
    assert found.to_dict()["marginal_error"] > 1e-4


def test_extrapolation_saves_iterations_and_changes_nothing(monkeypatch):
    x, y = cloud(60, 2, 1), cloud(60, 2, 2) * 1.5
    fast = sinkhorn_divergence(x, y, blur=0.3, tolerance=1e-7, iterations=5000)
    monkeypatch.setattr(balance, "_extrapolate", lambda past, _: past[-1][1])
    slow = sinkhorn_divergence(x, y, blur=0.3, tolerance=1e-7, iterations=5000)
    assert slow.value == pytest.approx(fast.value, rel=1e-9)
    assert fast.iterations < slow.iterations / 2


def test_bad_input_says_what_is_wrong():
    x = torch.zeros(3, 2)
    with pytest.raises(InputError, match="blur must be positive"):
        sinkhorn_divergence(x, x, blur=0.0)
    with pytest.raises(InputError, match="iterations"):
        sinkhorn_divergence(x, x, iterations=0)
    with pytest.raises(InputError, match="tolerance"):
        sinkhorn_divergence(x, x, tolerance=0.0)
    with pytest.raises(InputError, match="weights_y"):
        sinkhorn_divergence(x, x, weights_y=[1, 2])
