"""Implicit score matching and leave-one-out likelihood, with their degeneracies."""

import math

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.process import VE
from wasserscore.proximal.objectives import implicit_score_matching, leave_one_out
from wasserscore.score.proximal import ProximalScore
from wasserscore.score.spiked import Spiked

CLOCK = VE.constant(a=1.0, horizon=100.0)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_precisions(centres: torch.Tensor, precisions: torch.Tensor) -> ProximalScore:
    """A model as a differentiable function of its precision matrices."""
    floor = 0.01
    eye = torch.eye(centres.shape[1], dtype=torch.float64)
    factors = torch.linalg.cholesky(torch.linalg.inv(precisions) - floor * eye)
    return ProximalScore(centres, Spiked(factors, floor * torch.ones_like(eye[0])), CLOCK)


def precisions(n: int, d: int) -> torch.Tensor:
    a = 0.4 * draw(n, d, d, seed=3)
    return a @ a.mT + 0.8 * torch.eye(d, dtype=torch.float64)


def test_loss_is_twice_half_the_square_plus_the_divergence():
    score, x = with_precisions(draw(6, 3), precisions(6, 3)), draw(40, 3, seed=5)
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(lambda p: score(p[None], 0.0)[0], p) for p in x]
    )
    trace = torch.diagonal(jacobians, dim1=1, dim2=2).sum(1)
    expected = 2 * (score(x, 0.0).square().sum(1) / 2 + trace).mean()
    torch.testing.assert_close(implicit_score_matching(score, x), expected, rtol=1e-8, atol=1e-8)


def test_gradient_in_a_precision_has_its_closed_form():
    z, gamma, x = draw(4, 2), precisions(4, 2).requires_grad_(), draw(9, 2, seed=5)
    implicit_score_matching(with_precisions(z, gamma), x).backward()
    g = gamma.detach()
    e = x[:, None] - z
    a = torch.einsum("nij,bnj->bni", g, e)
    w = (torch.logdet(g) / 2 - (a * e).sum(-1) / 2).softmax(1)
    q = a.square().sum(-1) - torch.diagonal(g, dim1=1, dim2=2).sum(-1)
    mean, s = (w * q).sum(1), -(w[..., None] * a).sum(1)

    def outer(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return u[..., :, None] * v[..., None, :]

    coefficient = q - mean[:, None] + (a * s[:, None]).sum(-1) + s.square().sum(1)[:, None]
    spread = torch.linalg.inv(g) - outer(e, e)
    cross = 2 * (outer(e, a) + outer(a, e) - torch.eye(2).double())
    drift = outer(s[:, None].expand_as(e), e) + outer(e, s[:, None].expand_as(e))
    terms = coefficient[..., None, None] * spread + cross + drift
    expected = (w[..., None, None] * terms).mean(0)
    found = (gamma.grad + gamma.grad.mT) / 2
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("objective", ["matching", "likelihood"])
def test_c10_one_gaussian_has_its_optimum_at_the_inverse_second_moment(objective):
    x = draw(2000, 2) @ torch.tensor([[1.0, 0.5], [0.0, 0.7]]).double()
    best = torch.linalg.inv(x.mT @ x / len(x)).requires_grad_()
    score = with_precisions(torch.zeros(1, 2).double(), best[None])
    if objective == "matching":
        implicit_score_matching(score, x).backward()
    else:
        score.log_prob(x).mean().backward()
    assert float(best.grad.abs().max()) < 1e-10


def test_points_that_are_centres_are_refused():
    z = draw(8, 2)
    score = with_precisions(z, precisions(8, 2))
    with pytest.raises(InputError, match="3 of 5 points"):
        implicit_score_matching(score, torch.cat([z[:3], draw(2, 2, seed=9)]))


def test_without_the_mask_the_loss_goes_to_minus_two_d_over_v():
    # Refused by the objective; the formula it would follow, written out.
    z = draw(50, 2)
    v = 1e-8
    score = ProximalScore(z, Spiked.pooled(50, torch.tensor(v).double(), 2), CLOCK)
    loss = (score(z, 0.0).square().sum(1) + 2 * score.divergence(z, 0.0)).mean()
    assert float(v * loss) == pytest.approx(-4, rel=0.02)


def test_a_pancake_through_a_foreign_point_needs_the_floor():
    # Disjoint points and centres, and still unbounded: only the floor holds the loss.
    z, x = draw(10, 2), draw(10, 2, seed=5)
    losses = []
    for floor in (1e-2, 1e-4, 1e-6):
        along = (x[0] - z[0])[:, None]
        factors = torch.eye(2).double().repeat(10, 1, 1)
        factors[0] = torch.cat([along, torch.zeros(2, 1).double()], dim=1)
        score = ProximalScore(z, Spiked(factors, torch.full((2,), floor).double()), CLOCK)
        losses.append(float(implicit_score_matching(score, x)))
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < -1e4


def test_leave_one_out_is_the_mixture_without_the_own_component():
    z, g = draw(7, 2), precisions(7, 2)
    weights = 0.5 + torch.arange(7, dtype=torch.float64)
    model = with_precisions(z, g)
    score = ProximalScore(z, model.covariance, CLOCK, weights=weights)
    values = leave_one_out(score, z)
    for i in range(7):
        rest = [j for j in range(7) if j != i]
        other = ProximalScore(z[rest], model.covariance.rows(torch.tensor(rest)), CLOCK,
                              weights=weights[rest])  # fmt: skip
        torch.testing.assert_close(values[i], other.log_prob(z[i : i + 1])[0])
    with pytest.raises(InputError, match="in order"):
        leave_one_out(score, z[:3])


def test_leave_one_out_has_a_minimum_where_the_loss_with_the_self_term_has_none():
    z = draw(60, 2)
    scores = [ProximalScore(z, Spiked.pooled(60, torch.tensor(v).double(), 2), CLOCK)
              for v in (1e-4, 1e-2, 0.1)]  # fmt: skip
    own = [float(s.log_prob(z).mean()) for s in scores]
    out = [float(leave_one_out(s, z).mean()) for s in scores]
    assert own[0] > own[1] > own[2]
    assert out[0] < out[1] < out[2]
    assert out[2] > -2 * math.log(2 * math.pi * math.e)
