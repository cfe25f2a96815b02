"""Certificates whose reference and model are on a GPU: the numbers of the CPU."""

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.certificate.closed import certified
from wasserscore.process import VP
from wasserscore.score import EmpiricalScore, GaussianScore, MixtureScore

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
F64 = torch.float64


def gaussian(device, mean=0.5):
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=F64, device=device)
    return GaussianScore(torch.tensor([mean, -1.0], dtype=F64, device=device), covariance, PROCESS)


def mixture(device, mean=0.5):
    means = torch.tensor([[-1.0, 0.0], [1.0, mean]], dtype=F64, device=device)
    ones = torch.ones(2, dtype=F64, device=device)
    return MixtureScore(ones, means, 0.1 * ones, PROCESS)


def points(device, mean=0.5):
    y = torch.randn(20, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    return EmpiricalScore((y + mean).to(device), PROCESS, bandwidth=0.3)


CASES = [
    (gaussian, {"solver": "heun"}),
    (gaussian, {"solver": "euler_maruyama", "eta": 1.0}),
    (gaussian, {"solver": "ddim", "constant": True}),
    (mixture, {"solver": "ancestral", "parts": 2, "cloud": 16}),
    (points, {"solver": "ddim", "eta": 0.5, "parts": 2}),
    (mixture, {"solver": "ancestral", "parts": 2, "constant": True}),
    (points, {"solver": "pc", "parts": 2}),
]


def same_on_both(build, settings):
    """Certify on the CPU and on a GPU."""
    found = []
    for device in ("cpu", "cuda"):
        reference, own = build(device), dict(settings)
        if own.pop("constant", False):
            own["constant"] = certified(reference)
        model = build(device, 0.6)
        found.append(certify(model, reference, steps=4, n=32, batches=4, seed=3, **own))
    near, far = found
    assert far.upper.value == pytest.approx(near.upper.value, rel=1e-6)
    assert [r.name for r in far.rungs] == [r.name for r in near.rungs]
    for one, other in zip(far.rungs, near.rungs, strict=True):
        assert one.upper.value == pytest.approx(other.upper.value, rel=1e-6)
    for name, value in near.terms.items():
        assert float(far.terms[name]) == pytest.approx(float(value), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("build", "settings"), CASES)
def test_every_rung_is_that_of_the_cpu(build, settings):
    same_on_both(build, settings)
