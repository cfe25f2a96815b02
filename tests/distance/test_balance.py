import pytest
import torch
from tests.distance.clouds import cloud

from wasserscore.distance.balance import ascend, between, within

X, Y, SIGMA = cloud(12, 2, 1), cloud(9, 2, 2) + 0.5, 0.9
A, B = (w.exp() / w.exp().sum() for w in (cloud(12, 1, 3)[:, 0], cloud(9, 1, 4)[:, 0]))


def plan(x, y, a, b, f, g):
    logits = f[:, None] + g - torch.cdist(x, y).square() / (2 * SIGMA**2)
    return a[:, None] * b * logits.exp()


def dual(p, a, b, f, g):
    return float(a @ f + b @ g + 1 - p.sum())


def test_a_step_of_two_clouds_says_the_dual_and_the_error_of_its_plan():
    g = cloud(9, 1, 5)[:, 0]
    step = between(X, Y, SIGMA, A, B)(g)
    p = plan(X, Y, A, B, step.other, g)
    assert float((p.sum(1) - A).abs().max()) < 1e-14
    assert step.dual == pytest.approx(dual(p, A, B, step.other, g), rel=1e-12)
    assert step.error == pytest.approx(float((p.sum(0) - B).abs().sum()), rel=1e-12)
    after = plan(X, Y, A, B, step.other, step.better)
    assert float((after.sum(0) - B).abs().max()) < 1e-14


def test_a_step_of_one_cloud_says_the_dual_and_the_error_of_its_plan():
    f = cloud(12, 1, 5)[:, 0]
    step = within(X, SIGMA, A)(f)
    p = plan(X, X, A, A, f, f)
    assert step.dual == pytest.approx(dual(p, A, A, f, f), rel=1e-12)
    assert step.error == pytest.approx(float((p.sum(1) - A).abs().sum()), rel=1e-12)
    exact = f - (p.sum(1) / A).log()
    assert float((step.better - (f + exact) / 2).abs().max()) < 1e-13


def test_the_dual_never_falls_and_the_plan_balances_at_the_end():
    iterate, start, duals = between(X, 3 * Y, 0.2, A, B), torch.zeros(9).double(), []
    for iterations in range(1, 40):
        found = ascend(iterate, start, B, iterations=iterations, tolerance=1e-12)
        assert found.iterations <= iterations
        duals.append(found.step.dual)
    assert duals == sorted(duals)
    best = ascend(iterate, start, B, iterations=5000, tolerance=1e-9)
    assert best.step.error <= 1e-9
    assert best.iterations < 5000
