"""A network runs in float32; its certificate is in data units, wherever these have their zero."""

import pytest
import torch

from wasserscore import EDM, EmpiricalScore, certify
from wasserscore.data import Scaling
from wasserscore.network import MLP
from wasserscore.score import NetworkScore

F64 = torch.float64


def bound(shift):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 2, generator=generator, dtype=F64)
    scaling = Scaling(torch.full((2,), shift, dtype=F64), torch.tensor(2.0, dtype=F64))
    process = EDM(sigma_max=20.0)
    reference = EmpiricalScore(rows, process, bandwidth=0.3, scaling=scaling)
    score = NetworkScore(MLP(2, 8, 1).eval(), process, scaling=scaling)
    return certify(score, reference, steps=6, n=16, seed=0)


@pytest.mark.parametrize("shift", [1e6, 1e8])
def test_the_place_of_zero_does_not_matter(shift):
    """Ends were float32, 8 apart near 1e8: a bound of rounding."""
    near, far = bound(0.0), bound(shift)
    assert float(far.upper) == pytest.approx(float(near.upper), rel=1e-6)
    assert float(far.lower) == pytest.approx(float(near.lower), rel=1e-6)
