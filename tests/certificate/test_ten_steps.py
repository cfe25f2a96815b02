"""The ten-step chain of the paper's experiments: intercepts and floors of the exact scores."""

import math

import numpy as np
import pytest
import torch

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import from_concavity
from wasserscore.certificate.jacobian import local
from wasserscore.certificate.search import highest
from wasserscore.process import VP
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
UNIT = VP.constant(beta=1.0, horizon=2.0)
BETA = 1 / (1 + np.exp(-np.linspace(-6, 6, 10))) * (1e-2 - 1e-5) + 1e-5
ALPHA2 = np.cumprod(1 - BETA)
SIGMA2 = 1 - ALPHA2
TIMES = torch.tensor(-np.log(ALPHA2))
"""The chain's noise levels on the clock of the unit process."""


def intercept(L):
    """.5 log(2 sum beta I^2), log I the running sum of beta (L + 1/2)."""
    return 0.5 * math.log(2 * np.sum(BETA * np.exp(2 * np.cumsum(BETA * (L + 0.5)))))


def floor(score):
    """.5 sum beta (1 / sigma^2 - E |score|^2), by quadrature on the line."""
    x = torch.linspace(-3, 3, 60001, dtype=F64)[:, None]
    squares = [
        float(torch.trapezoid(score.log_prob(x, t).exp() * score(x, t)[:, 0] ** 2, x[:, 0]))
        for t in TIMES.tolist()
    ]
    return np.sum(0.5 * BETA * (1 / SIGMA2 - np.array(squares)))


def clusters(variance, d):
    """Clusters at +-.5 in every coordinate."""
    corners = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5], dtype=F64)] * d).reshape(-1, d)
    n = len(corners)
    return MixtureScore(torch.ones(n, dtype=F64), corners, torch.full((n,), variance).to(F64),
                        UNIT)  # fmt: skip


def test_the_chain():
    assert BETA.sum() == pytest.approx(0.05005, abs=1e-7)
    assert ALPHA2[-1] == pytest.approx(0.95097836, abs=1e-8)
    expected = [3.47000e-05, 1.03070e-04, 3.54110e-04, 1.20084e-03, 3.39904e-03, 6.61096e-03,
                8.80916e-03, 9.65589e-03, 9.90693e-03, 9.97530e-03]  # fmt: skip
    assert pytest.approx(expected, abs=1e-8) == BETA.tolist()


@pytest.mark.parametrize(
    ("L", "expected"), [(-1.0, -1.16537234), (0.0, -1.13609838), (50.0, 0.79131319)]
)
def test_the_intercept_of_a_flat_constant(L, expected):  # A13
    assert intercept(np.full(10, L)) == pytest.approx(expected, abs=1e-6)


def test_the_intercept_of_one_gaussian():  # A13
    law = from_concavity(LogConcave(10.0, 10.0), UNIT)
    assert intercept(law.value(TIMES).numpy()) == pytest.approx(-1.37023159, abs=1e-6)


def test_the_intercept_of_four_clusters():  # A13
    score = clusters(0.01, 2)
    centre = torch.zeros(1, 2, dtype=F64)
    L = np.array([float(local(score, centre, t)[0]) for t in TIMES.tolist()])
    expected = [2383.167, 2334.187, 2176.765, 1745.311, 1033.878, 485.83, 235.993, 129.918,
                79.442, 52.311]  # fmt: skip
    assert pytest.approx(expected, abs=1e-3) == L.tolist()
    assert intercept(L) == pytest.approx(12.801478, abs=1e-6)
    # the middle is where the exact score expands most
    near = torch.tensor([[0.02, 0.01], [-0.3, 0.4], [0.0, 0.5]], dtype=F64)
    assert highest(score, near, float(TIMES[4]), steps=30).value == pytest.approx(L[4], rel=1e-6)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (GaussianScore(torch.zeros(1).double(), torch.full((1,), 0.1, dtype=F64), UNIT), 2.610982),
        (clusters(0.01, 1), 2.084290),
        (clusters(1 / 80**2, 1), 0.789266),
    ],
    ids=["gaussian", "wide clusters", "narrow clusters"],
)  # fmt: skip
def test_the_floor_of_the_denoising_loss(score, expected):  # A14, per dimension
    assert floor(score) == pytest.approx(expected, abs=1e-6)
