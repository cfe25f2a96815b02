"""Implicit and sliced objectives: the denoising loss in expectation, from noisy points alone."""

import math
from itertools import product

import pytest
import torch
from tests.network.test_mlp import awake
from tests.training.exact_posterior import exact

from wasserscore.core.errors import InputError
from wasserscore.network import MLP
from wasserscore.process import EDM, VP
from wasserscore.score import NetworkScore
from wasserscore.training import LogNormal, train_score
from wasserscore.training.denoising import denoising_loss
from wasserscore.training.implicit import implicit_loss

PROCESS, DIM = VP.from_betas(beta_min=0.1, beta_max=20.0), 3
WEIGHTING = LogNormal(0.3, 0.7)


def numbers(n, generator):
    x0, noise = torch.randn(2, n, DIM, generator=generator, dtype=torch.float64)
    uniform = (torch.randperm(n, generator=generator) + 0.5).double() / n
    return 1.3 * x0, uniform, noise


def wrong():
    """A score of nothing in particular."""
    return NetworkScore(awake(dim=DIM, width=8, depth=1), PROCESS, data_std=1.3)


def test_it_is_hyvarinen_s_objective_in_units_of_the_data(generator):
    """w (alpha r^2)^2 (|s|^2 + 2 tr grad s) / d + w r^2, with s and its Jacobian from outside."""
    score, (x0, uniform, noise) = wrong(), numbers(6, generator)
    r, w = WEIGHTING(PROCESS, 1.3, uniform)
    t = PROCESS.time_at(r.square())
    expected = 0.0
    for i in range(6):
        alpha = PROCESS.alpha(t[i])
        x_t = alpha * (x0[i] + r[i] * noise[i])
        s = lambda x, i=i: score(x[None], t[i])[0]
        jacobian = torch.autograd.functional.jacobian(s, x_t)
        inner = s(x_t).square().sum() + 2 * jacobian.trace()
        expected += (
            float((w[i] * ((alpha * r[i] ** 2) ** 2 * inner / DIM + r[i] ** 2)).detach()) / 6
        )
    found = implicit_loss(score, WEIGHTING, x0, uniform, noise)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sliced", [False, True])
def test_the_mean_over_all_signs_is_the_exact_trace(sliced, generator):
    score, (x0, uniform, noise) = wrong(), numbers(5, generator)
    every = [
        torch.tensor(v, dtype=torch.float64).expand(5, -1) for v in product((-1, 1), repeat=3)
    ]
    found = [
        implicit_loss(score, WEIGHTING, x0, uniform, noise, signs=v, sliced=sliced).detach()
        for v in every
    ]
    exactly = implicit_loss(score, WEIGHTING, x0, uniform, noise).detach()
    assert float(torch.stack(found).mean()) == pytest.approx(float(exactly), rel=1e-10)
    assert float(torch.stack(found).std()) > 1e-3
    plain = [implicit_loss(score, WEIGHTING, x0, uniform, noise, signs=v).detach() for v in every]
    assert torch.equal(torch.stack(found), torch.stack(plain)) != sliced


def test_its_expectation_is_the_denoising_loss_of_any_network(generator):
    score, gaps, weighting = wrong(), [], LogNormal(-0.5, 0.5)
    for _ in range(40):
        drawn = numbers(1000, generator)
        gap = implicit_loss(score, weighting, *drawn) - denoising_loss(score, weighting, *drawn)
        gaps.append(float(gap.detach()))
    gaps = torch.tensor(gaps)
    stderr = float(gaps.std()) / math.sqrt(40)
    assert stderr < 0.03 * float(denoising_loss(score, weighting, *drawn).detach())
    assert abs(float(gaps.mean())) < 4 * stderr


@pytest.mark.parametrize("objective", ["implicit", "implicit_hutchinson", "sliced"])
def test_the_true_score_of_a_gaussian_is_where_the_gradient_vanishes(objective, generator):
    score = exact(EDM(), 1.7, 1.7**0.5, dim=DIM)
    slopes = []
    for _ in range(30):
        x0, uniform, noise = numbers(200, generator)
        signs = None
        if objective != "implicit":
            signs = (2 * torch.randint(0, 2, x0.shape, generator=generator) - 1).double()
        loss = implicit_loss(
            score, WEIGHTING, 1.7**0.5 / 1.3 * x0, uniform, noise, signs=signs,
            sliced=objective == "sliced",
        )  # fmt: skip
        slopes += torch.autograd.grad(loss, score.network.error)
    slopes = torch.stack(slopes)
    assert float(slopes.std()) > 0
    assert abs(float(slopes.mean())) < 4 * float(slopes.std()) / math.sqrt(30)


@pytest.mark.parametrize("objective", ["implicit", "implicit_hutchinson", "sliced"])
def test_training_finds_the_score_of_a_gaussian(objective):
    scale = torch.tensor([1.0, 0.5])
    data = scale * torch.randn(2000, 2, generator=torch.Generator().manual_seed(9))
    score = train_score(
        MLP(2, 16, 1), data, EDM(), objective=objective, weighting=LogNormal(0.0, 0.5), steps=150
    )
    x = (scale**2 + 0.64).sqrt() * torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
    true = -x / (scale**2 + 0.64)
    error = (score(x, 0.8) - true).square().sum() / true.square().sum()
    assert float(error) < 0.05


def test_it_cannot_be_compiled():
    with pytest.raises(InputError, match=r"compile serves the denoising objective.*'sliced'"):
        train_score(MLP(2, 4, 1), torch.randn(9, 2, generator=torch.Generator()), EDM(),
                    objective="sliced", compile=True)  # fmt: skip
