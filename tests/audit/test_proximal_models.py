"""Check C14: what the audit says of a kernel that memorizes and of the fitted proximal kernel."""

import numpy as np
import torch
from tests.audit.laws import moons

from wasserscore.audit import audit
from wasserscore.process import VE
from wasserscore.proximal import fit_proximal
from wasserscore.score.empirical import EmpiricalScore

CLOCK = VE.constant(a=1.0, horizon=100.0)


def drawn(score, n=2000):
    return score.sample_marginal(n, 0.0, generator=torch.Generator().manual_seed(0)).numpy()


def gap(score, train, held):
    """Log-likelihood of the training rows above that of held-out rows, the self term included."""
    train, held = (score.log_prob(torch.from_numpy(x)).mean() for x in (train, held))
    return float(train - held)


def test_c14_memorization_and_its_cure():
    train, held = moons(200, 0), moons(2000, 1)
    bare = EmpiricalScore(torch.from_numpy(train), CLOCK, bandwidth=0.003)
    copied = audit(train=train, generated=drawn(bare), holdout=held)
    assert copied.nn_ratio.value > 0.6
    assert copied.z_u.value < -30
    assert copied.authenticity.value < 0.1
    assert float(bare.log_prob(torch.from_numpy(held)).mean()) < -15
    assert gap(bare, train, held) > 15
    assert copied.verdict == "memorized"
    score = fit_proximal(torch.from_numpy(train), CLOCK)
    assert score.fit_report.method == "local_pca"
    found = audit(train=train, generated=drawn(score), holdout=held)
    assert abs(found.nn_ratio_excess.value) < 0.05
    assert 0.45 < found.closer.value < 0.62
    assert abs(found.authenticity_excess.value) < 0.08
    assert gap(score, train, held) < 1
    assert found.verdict == "no sign of copying"
    fresh = audit(train=train, generated=moons(2000, 2), holdout=held)
    assert abs(fresh.z_u.value) < 3
    assert np.isclose(fresh.nn_ratio.value, 1 / 9, atol=0.04)
