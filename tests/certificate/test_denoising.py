"""What denoising losses add: the variance of the target, and what it integrates to."""

import math

import numpy as np
import pytest
import torch

from wasserscore.certificate.denoising import denoising_squares, denoising_variance
from wasserscore.core.errors import InputError
from wasserscore.process import VP
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
PAIR = torch.tensor([[-1.0], [1.0]], dtype=F64)
LAWS = {
    "gaussian": GaussianScore(torch.ones(2, dtype=F64), torch.eye(2, dtype=F64) / 2, UNIT),
    "points": EmpiricalScore(PAIR, UNIT),
    "mixture": MixtureScore(torch.ones(2), PAIR, torch.tensor([0.04, 0.3], dtype=F64), UNIT),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("law", LAWS)
def test_a_denoising_loss_is_the_score_error_and_the_targets_variance(law):
    reference, t, n = LAWS[law], 0.4, 20000
    model = lambda x, t: 0.7 * reference(x, t) + 0.2
    c = denoising_variance(reference, t, n, generator=seeded())
    both = denoising_squares(model, reference, t, n, generator=seeded())
    x = reference.sample_marginal(n, t, generator=seeded(1))
    b = (model(x, t) - reference(x, t)).square().sum(1)
    gap = float((both - c).mean() - b.mean())
    stderr = math.sqrt(float((both - c).var() + b.var()) / n)
    assert abs(gap) < 4 * stderr
    assert 4 * stderr < 0.2 * float(c.mean())  # and a missing c would show


def test_a_gaussians_target_variance():
    # c = d / sigma^2 - d / v
    found = denoising_variance(LAWS["gaussian"], 0.4, 40000, generator=seeded())
    alpha2, s2 = math.exp(-0.4), 1 - math.exp(-0.4)
    exact = 2 / s2 - 2 / (alpha2 / 2 + s2)
    stderr = float(found.std()) / 200
    assert float(found.mean()) == pytest.approx(exact, abs=4 * stderr)


def information(law, stop, n=20000):
    """Half the integral of g^2 c from an early stop to the horizon, and its standard error."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = math.log(UNIT.horizon / stop) / 2
    times = np.exp(math.log(stop) + half * (nodes + 1))
    draws = [
        w * half * t / 2 * denoising_variance(law, t, n, generator=seeded(k))
        for k, (t, w) in enumerate(zip(times, weights, strict=True))
    ]
    return sum(float(d.mean()) for d in draws), math.sqrt(sum(float(d.var()) / n for d in draws))


@pytest.mark.parametrize(("stop", "expected"), [(0.1, 0.6175), (1e-2, 0.62047)])
def test_the_integral_is_a_mutual_information_and_below_log_two(stop, expected):  # K3
    found, stderr = information(LAWS["points"], stop)
    assert found == pytest.approx(expected, abs=4 * stderr)
    assert 4 * stderr < 0.02
    assert found <= math.log(2)


@pytest.mark.parametrize(("stop", "expected"), [(0.1, 1.103377), (1e-3, 3.381421)])
def test_of_a_law_with_a_density_it_diverges_like_half_a_log(stop, expected):  # A7
    standard = GaussianScore(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64), UNIT)
    found, stderr = information(standard, stop)
    assert found == pytest.approx(expected, abs=4 * stderr)
    assert 4 * stderr < 0.05


def test_a_time_without_noise_is_refused():
    with pytest.raises(InputError, match="needs noise"):
        denoising_variance(LAWS["gaussian"], 0.0, 4, generator=seeded())
