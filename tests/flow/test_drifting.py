"""The drift of drifting models: its published form, its invariants, and what a floor does."""

import math

import pytest
import torch
from tests.flow.clouds import STREAMS, draw

from wasserscore.core.errors import InputError
from wasserscore.flow import Drifting, ScoreSide
from wasserscore.flow.drifting import (
    TEMPERATURES,
    balanced_shift,
    guidance_scale,
    negative_weight,
)
from wasserscore.flow.sides import CloudSide
from wasserscore.process import EDM
from wasserscore.score import GaussianScore

X, Y = draw(40, 3), draw(60, 3, seed=1, scale=2, shift=3)


def move(x, y, **settings):
    return Drifting(**settings)(x, CloudSide(y), 1.0, STREAMS).move


def published(x, y, temperatures, floor, others=X[:0], weight=1.0):
    """The published steps one by one: a product of softmaxes under a square root.

    Their clip of distances at 1e-4 is left out: it touches a particle's distance to itself only.
    """
    n, d = x.shape
    t = torch.cat([x, others, y])
    w = torch.cat([torch.ones(n), weight * torch.ones(len(others)), torch.ones(len(y))]).double()
    distance = (x[:, None] - t).square().sum(2).sqrt()
    scale = (distance * w).mean() / w.mean()
    u = scale / math.sqrt(d)
    x, t = x / u, t / u
    distance = distance / scale
    distance[:, :n] += 100 * torch.eye(n, dtype=x.dtype)
    total = torch.zeros_like(x)
    for tau in temperatures:
        logits = -distance / tau
        a = (logits.softmax(1) * logits.softmax(0)).clamp_min(floor).sqrt() * w
        negative, positive = a[:, : n + len(others)], a[:, n + len(others) :]
        to = positive * negative.sum(1, keepdim=True)
        fro = -negative * positive.sum(1, keepdim=True)
        weights = torch.cat([fro, to], 1)
        v = weights @ t - weights.sum(1, keepdim=True) * x
        total += v / v.square().mean().clamp_min(1e-8).sqrt()
    return u * total


@pytest.mark.parametrize("floor", [0.0, 1e-6])
def test_equals_the_published_steps(floor):
    temperatures = (0.05, 0.2, 0.5)
    found = move(X, Y, temperatures=temperatures, floor=floor)
    torch.testing.assert_close(found, published(X, Y, temperatures, floor), rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_guidance_equals_the_published_steps(scale):
    others = draw(30, 3, seed=2, shift=1)
    found = Drifting((0.2, 0.5)).guided(X, Y, others, scale).move
    weight = (scale - 1) * 39 / 30
    truth = published(X, Y, (0.2, 0.5), 0.0, others, weight)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-7)
    assert float((found - move(X, Y, temperatures=(0.2, 0.5))).norm()) > 0.1


def test_C26_guidance_scales_and_the_weight_of_negatives():
    u = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    assert guidance_scale(u).tolist() == pytest.approx([1, (0.5 * (1 + 1 / 16)) ** -0.5, 4])
    assert float(guidance_scale(u)[1]) == pytest.approx(1.3720, abs=1e-4)
    many = guidance_scale(torch.linspace(0, 1, 200_001).double(), most=3.0, power=5.0)
    share = (1 - 2.0**-4) / (1 - 3.0**-4)  # of the density g^-5 on [1, 3] below 2
    assert float((many < 2).double().mean()) == pytest.approx(share, abs=1e-4)
    assert negative_weight(1.0, 64, 16) == 0
    assert negative_weight(2.0, 64, 16) == 3.9375


def test_C23_the_coefficients_of_a_row_add_up_to_zero():
    logits = -torch.cdist(X, torch.cat([X, Y]))
    points = torch.cat([X, Y])
    weights = draw(1, 100)[0].abs()
    moved, still = (balanced_shift(logits, p, 0.0, weights, 60) for p in (points + 100.0, points))
    torch.testing.assert_close(moved, still, rtol=0, atol=1e-10)


@pytest.mark.parametrize("temperature", [0.05, 0.2])
def test_C23_every_temperature_has_unit_size(temperature):
    unit = torch.cdist(X, torch.cat([X, Y])).mean() / math.sqrt(3)
    found = move(X, Y, temperatures=(temperature,)) / unit
    assert float(found.square().mean().sqrt()) == pytest.approx(1, abs=1e-4)
    both = move(X, Y, temperatures=(temperature, 0.5)) - move(X, Y, temperatures=(0.5,))
    torch.testing.assert_close(both / unit, found)


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_C23_the_drift_scales_with_the_space(factor):
    found = move(factor * X, factor * Y) / factor
    torch.testing.assert_close(found, move(X, Y), rtol=0, atol=1e-9)


def test_points_that_coincide_are_at_rest():
    assert torch.equal(move(X[:1].expand(5, 3), X[:1].expand(4, 3)), torch.zeros(5, 3).double())


def ring(n, generator):
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return 4 * torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * noise


def quality(x):
    """Modes with at least a fifth of their share, and the share of points within 3 deviations."""
    angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    distance, mode = torch.cdist(x, 4 * torch.stack([angle.cos(), angle.sin()], 1)).min(1)
    good = distance < 3 * 0.2
    counts = torch.bincount(mode[good], minlength=8)
    return int((counts >= 0.2 * len(x) / 8).sum()), float(good.double().mean())


@pytest.mark.parametrize(
    ("temperatures", "floor", "least"),
    [
        ((0.5,), 0.0, 0.85),
        pytest.param(TEMPERATURES, 0.0, 0.8, marks=pytest.mark.slow),
        pytest.param(TEMPERATURES, 1e-6, None, marks=pytest.mark.slow),
    ],
)
def test_C23_particles_find_the_ring_unless_the_floor_holds_them(temperatures, floor, least):
    generator = torch.Generator().manual_seed(1)
    x, y = draw(200, seed=2), ring(200, generator)
    for k in range(300):
        unit = torch.cdist(x, torch.cat([x, y])).mean() / math.sqrt(2)
        x = x + 0.1 * (1 - k / 300) * move(x, y, temperatures=temperatures, floor=floor) / unit
    modes, good = quality(x)
    if least is None:
        assert modes == 0
        assert good < 0.1
    else:
        assert modes == 8
        assert good >= least


def test_what_is_refused():
    law = GaussianScore(torch.zeros(3), torch.eye(3), EDM(sigma_max=10.0))
    for make, words in (
        (lambda: Drifting((0.1, 0.0)), "temperatures must be positive"),
        (lambda: Drifting(()), "temperatures must be positive"),
        (lambda: Drifting(floor=1.0), "floor must lie in"),
        (lambda: Drifting().guided(X, Y, Y, 0.5), "scale must be at least 1"),
        (lambda: Drifting().guided(X, Y, Y[:0], 2.0), "guidance needs points"),
        (lambda: guidance_scale(X[0], most=1.0), "most must be above 1"),
        (lambda: guidance_scale(X[0], power=1.0), "power must be above 1"),
        (lambda: move(X[:1], Y), "two particles"),
        (lambda: Drifting()(X, ScoreSide(law), 1.0, STREAMS), "needs points of the target"),
    ):
        with pytest.raises(InputError, match=words):
            make()
