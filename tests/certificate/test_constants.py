import math

import pytest
import torch

from wasserscore.certificate.concavity import LogConcave, Smoothed
from wasserscore.certificate.constants import (
    OneSided,
    estimate,
    from_concavity,
    jacobian,
    krylov,
    local,
    tabulated,
)
from wasserscore.core.errors import InputError
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
    assert float(krylov(lambda v: H @ v, x[0])) == pytest.approx(0.5, abs=1e-8)


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


@pytest.mark.parametrize(
    ("alpha2", "offset", "square", "top"),
    [
        (0.9, 0.373598, 9.626402, 80.0),
        (0.5, 0.899199, 1.100801, 0.0),
        (0.1, 0.111041, 1.000070, -0.987654),
    ],
)
def test_two_points(alpha2, offset, square, top):  # A9
    process = VP.constant(beta=1.0, horizon=10.0)
    score = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), process)
    t = -math.log(alpha2)
    alpha, sigma = math.sqrt(alpha2), math.sqrt(1 - alpha2)
    z = torch.linspace(-10, 10, 20001, dtype=F64)
    weight = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    x = alpha + sigma * z
    squared = float(torch.trapezoid(weight * score(x[:, None], t)[:, 0] ** 2, z))
    assert squared == pytest.approx(square, abs=1e-6)
    assert 1 / (1 - alpha2) - squared == pytest.approx(offset, abs=1e-6)
    # the supremum is in the middle, and the ball bound is exact for two points
    assert float(local(score, torch.zeros(1, 1, dtype=F64), t)[0]) == pytest.approx(top, abs=1e-5)
    ball = from_concavity(Smoothed(1.0, 1e-9), process).value(torch.tensor([t], dtype=F64))
    assert float(ball[0]) == pytest.approx(top, abs=1e-5)


def test_an_estimate_sees_the_valley_between_modes_and_says_it_is_an_estimate():
    score = EmpiricalScore(torch.tensor([[-1.0], [1.0]], dtype=F64), VP_LINEAR, bandwidth=0.2)
    generator = torch.Generator().manual_seed(0)
    clouds = [(t, score.sample_marginal(64, t, generator=generator)) for t in (0.01, 0.1, 0.9)]
    found = estimate(score, clouds)
    bound = from_concavity(Smoothed(1.0, 0.2), VP_LINEAR)
    times = torch.tensor([t for t, _ in clouds], dtype=F64)
    assert found.kind == "estimated"
    assert not found.bounding
    assert bool((found.value(times) <= bound.value(times) + 1e-8).all())
    assert float(found.value(times)[0]) > 100


def test_a_table_is_linear_between_its_times_and_flat_outside():
    table = tabulated(
        torch.tensor([0.0, 1.0], dtype=F64), torch.tensor([2.0, 4.0], dtype=F64), "stated"
    )
    found = table.value(torch.tensor([-1.0, 0.0, 0.25, 1.0, 2.0], dtype=F64))
    assert found.tolist() == pytest.approx([2.0, 2.0, 2.5, 4.0, 4.0])


def test_only_named_kinds():
    with pytest.raises(InputError, match="kind"):
        OneSided(lambda t: t, "guessed")
    assert from_concavity(LogConcave(1.0, 1.0), VP_LINEAR).bounding
