"""The spectrum of a score's symmetrised Jacobian, dense and from products alone."""

from functools import partial

import pytest
import torch

from wasserscore.certificate.jacobian import _both, _flat, extremes, jacobian, krylov, local
from wasserscore.certificate.search import highest, segments
from wasserscore.process import VP
from wasserscore.score import EmpiricalScore, GaussianScore

F64 = torch.float64
VP_LINEAR = VP.linear(a=19.9, b=0.1, horizon=1.0)


def linear(d, top, seed=0):
    """A score -A x with eigenvalues from -1e4 up to ``top``; its skew part must not count."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=F64)).Q
    values = torch.linspace(-1e4, -1.0, d, dtype=F64)
    values[-1] = top
    skew = torch.randn(d, d, generator=generator, dtype=F64)
    H = basis @ torch.diag(values) @ basis.mT + skew - skew.mT
    return lambda x, t: x @ H.mT


def test_a_small_positive_eigenvalue_next_to_ten_thousand_is_found_exactly():
    x = torch.zeros(1, 200, dtype=F64)
    assert float(local(linear(200, 0.5), x, 0.1)[0]) == pytest.approx(0.5, abs=1e-8)


def test_the_krylov_space_is_full_and_agrees():
    score, x = linear(60, 0.5), torch.zeros(1, 60, dtype=F64)
    H = jacobian(score, x, 0.1)[0]
    H = (H + H.mT) / 2
    assert float(krylov(lambda v: H @ v, x[0])[1]) == pytest.approx(0.5, abs=1e-8)


@pytest.mark.slow
def test_beyond_dense_dimensions_products_alone_find_it():
    x = torch.zeros(1, 300, dtype=F64)
    assert float(local(linear(300, 0.5), x, 0.1)[0]) == pytest.approx(0.5, abs=1e-6)


def test_the_jacobian_of_a_gaussian_score_is_minus_its_precision():
    covariance = torch.tensor([[1.0, 0.3], [0.3, 0.4]], dtype=F64)
    score = GaussianScore(torch.zeros(2, dtype=F64), covariance, VP_LINEAR)
    alpha, variance = float(VP_LINEAR.alpha(0.3)), float(VP_LINEAR.variance(0.3))
    precision = torch.linalg.inv(alpha**2 * covariance + variance * torch.eye(2, dtype=F64))
    found = jacobian(
        score, torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=F64), 0.3
    )
    assert torch.allclose(found, -precision.expand(3, 2, 2), atol=1e-10)


@pytest.mark.parametrize("d", [1, 5, 40])
def test_a_linear_score_is_solved_to_ten_digits_both_ways(d):
    generator = torch.Generator().manual_seed(d)
    A = torch.randn(d, d, generator=generator, dtype=F64)
    score, x = (lambda x, t: x @ A.mT), torch.randn(1, d, generator=generator, dtype=F64)
    exact = torch.linalg.eigvalsh((A + A.mT) / 2)[[0, -1]]
    assert torch.allclose(extremes(score, x, 0.1)[0], exact, atol=1e-10, rtol=0)
    products = krylov(partial(_both, _flat(score, x), x[0], 0.1), x[0])
    assert torch.allclose(products, exact, atol=1e-10, rtol=0)


def test_thirty_lanczos_steps_would_have_missed_it_by_more_than_one():  # K4
    score, d = linear(200, 0.5), 200
    H = jacobian(score, torch.zeros(1, d, dtype=F64), 0.1)[0]
    H = (H + H.mT) / 2
    v = torch.randn(d, dtype=F64, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(torch.stack([torch.linalg.matrix_power(H / 1e4, k) @ v
                                         for k in range(10)], 1)).Q  # fmt: skip
    assert float(torch.linalg.eigvalsh(basis.mT @ H @ basis)[-1]) < -10
    assert float(krylov(lambda v: H @ v, v)[1]) == pytest.approx(0.5, abs=1e-8)


def test_points_may_have_the_shape_of_images():
    generator = torch.Generator().manual_seed(3)
    A = torch.randn(16, 16, generator=generator, dtype=F64)
    flat = lambda x, t: torch.tanh(x) @ A.mT
    image = lambda x, t: flat(x.flatten(1), t).reshape(x.shape)
    x = torch.randn(5, 4, 4, generator=generator, dtype=F64)
    assert torch.allclose(local(image, x, 0.1), local(flat, x.flatten(1), 0.1), atol=1e-12)
    assert jacobian(image, x, 0.1).shape == (5, 16, 16)
    minus = lambda x, t: -x
    assert local(minus, x, 0.1).tolist() == pytest.approx([-1.0] * 5)


def test_products_are_right_for_a_score_that_can_be_differentiated_only_once():
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(20, 6, generator=generator, dtype=F64)
    score = EmpiricalScore(points, VP_LINEAR, bandwidth=0.2)
    x = torch.randn(1, 6, generator=generator, dtype=F64)
    products = krylov(partial(_both, _flat(score, x), x[0], 0.05), x[0])
    assert torch.allclose(products, extremes(score, x, 0.05)[0], rtol=1e-6)


def bump(x, t):
    """A score -x with one narrow place near (1, 1) where it expands, top eigenvalue 2 there."""
    c = torch.ones(2, dtype=F64)
    gap = x - c
    return -x + 3 * gap * torch.exp(-gap.square().sum(1, keepdim=True) / (2 * 0.3**2))


def test_the_ascent_finds_a_planted_peak():
    x = torch.tensor([[0.6, 0.7], [0.5, 1.2], [-1.0, 0.0]], dtype=F64)
    start, end = highest(bump, x, 0.1, steps=0), highest(bump, x, 0.1, steps=30)
    assert start.value < 1.0
    assert end.value == pytest.approx(2.0, abs=1e-3)
    assert torch.allclose(end.point, torch.ones(2, dtype=F64), atol=0.02)


def test_segments_hold_both_ends_and_the_middle():
    x, y = torch.zeros(3, 2), torch.ones(3, 2)
    found = segments(x, y, 2)
    assert found.shape == (9, 2)
    assert sorted(set(found.flatten().tolist())) == [0.0, 0.5, 1.0]
