"""The pilot's weight: closed form where the error is flat, equality in Cauchy-Schwarz."""

import math

import pytest
import torch

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import from_concavity
from wasserscore.certificate.weight import bound_weight
from wasserscore.process import VP
from wasserscore.score import GaussianScore
from wasserscore.training import Bound

F64 = torch.float64
PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
S = 0.7
REFERENCE = GaussianScore(torch.zeros(2, dtype=F64), S**2 * torch.eye(2, dtype=F64), PROCESS)
CONSTANT = from_concavity(LogConcave(S**-2, S**-2), PROCESS)


def test_a_flat_error_leaves_the_growth():
    """g^2 I of a Gaussian, in closed form, for a score that is off by the same vector always."""
    for eta in (0.0, 1.0):
        found = bound_weight(lambda x, t: REFERENCE(x, t) + 0.3, REFERENCE, CONSTANT, eta=eta)
        gap = found.log_weight - Bound(eta, "flat").log_weight(PROCESS, S, found.r)
        assert float((gap - gap.mean()).abs().max()) < 1e-3


def test_with_it_cauchy_schwarz_loses_nothing():
    """A deterministic error that grows with time: the weight makes CS the integral form."""
    score = lambda x, t: REFERENCE(x, t) + 0.1 + t
    table = bound_weight(score, REFERENCE, CONSTANT)
    r = torch.linspace(1e-3 ** (1 / 7), 10 ** (1 / 7), 4001, dtype=F64) ** 7
    times = PROCESS.time_at(r**2)
    times = times[times <= 1.0]
    r = PROCESS.noise_to_signal(times).sqrt()
    log_k_i = Bound(1.0, "flat").log_weight(PROCESS, S, r) + PROCESS.g2(times).log()
    b = 2 * (0.1 + times).square()
    integral = lambda log: float(torch.trapezoid(log.exp(), times))
    exact = integral(log_k_i + b.log() / 2)

    def cauchy_schwarz(log_weight):
        """sqrt(2 K J) with the weight g^2 exp(log_weight)."""
        log = log_weight + PROCESS.g2(times).log()
        return math.sqrt(integral(2 * log_k_i - log) * integral(log + b.log()))

    assert cauchy_schwarz(table._between(r)) == pytest.approx(exact, rel=1e-3)
    assert cauchy_schwarz(0 * r) > 1.1 * exact


def test_the_same_seed_gives_the_same_weight():
    score = lambda x, t: 1.1 * REFERENCE(x, t)
    one, same, other = (bound_weight(score, REFERENCE, CONSTANT, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.log_weight, same.log_weight)
    assert not torch.equal(one.log_weight, other.log_weight)
