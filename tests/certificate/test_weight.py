"""The pilot's weight: closed form where the error is flat, equality in Cauchy-Schwarz."""

import torch

from wasserscore.certificate.concavity import LogConcave
from wasserscore.certificate.constants import from_concavity
from wasserscore.certificate.theorem import Growth, nodes
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
    times = nodes(PROCESS, 2001, least=1e-3)
    growth = Growth.along(PROCESS, CONSTANT, eta=1.0, times=times)
    b = 2 * (0.1 + times).square()
    log_ratio = table._between(PROCESS.noise_to_signal(times).sqrt())
    integral = growth.log_integral(b.sqrt())
    assert abs(growth.log_cauchy_schwarz(b, growth.g2.log() + log_ratio) - integral) < 1e-3
    assert growth.log_cauchy_schwarz(b) - integral > 0.1


def test_the_same_seed_gives_the_same_weight():
    score = lambda x, t: 1.1 * REFERENCE(x, t)
    one, same, other = (bound_weight(score, REFERENCE, CONSTANT, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.log_weight, same.log_weight)
    assert not torch.equal(one.log_weight, other.log_weight)
