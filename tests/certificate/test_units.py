"""Data in other units have the same certificate: every rung, term and estimate is scaled."""

import pytest
import torch

from wasserscore.certificate import certify
from wasserscore.dynamics import TimeGrid
from wasserscore.process import EDM
from wasserscore.sampling import time_grid
from wasserscore.score import GaussianScore, MixtureScore

F64 = torch.float64
MEAN = torch.tensor([1.0, -2.0], dtype=F64)
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=F64)


def gaussian(process, size, wrong):
    return GaussianScore(size * wrong * MEAN, size**2 * wrong * COVARIANCE, process)


def mixture(process, size, wrong):
    means, covariances = torch.stack([MEAN, -MEAN]), torch.stack([COVARIANCE, COVARIANCE])
    weights = torch.tensor([0.3, 0.7], dtype=F64)
    return MixtureScore(weights, size * wrong * means, size**2 * covariances, process)


def numbers(law, size, name, constant):
    process = EDM(sigma_max=20.0 * size)
    steps = TimeGrid(time_grid(EDM(sigma_max=20.0), 10).times * size)
    found = certify(law(process, size, 1.05), law(process, size, 1.0), solver=name, grid=steps,
                    n=32, constant=constant)  # fmt: skip
    named = {f"upper {rung.name}": rung.upper for rung in found.rungs}
    named |= {f"term {name}": term for name, term in found.terms.items()}
    named |= {f"lower {name}": lower for name, lower in found.lower_estimates.items()}
    return {name: value.value / size for name, value in named.items()}


@pytest.mark.parametrize("size", [1e-9, 1e8])
@pytest.mark.parametrize(
    ("law", "name", "constant"),
    [
        (gaussian, "heun", "reference"),
        (gaussian, "euler_maruyama", "reference"),
        (mixture, "heun", None),
        (mixture, "ancestral", None),
    ],
)
def test_every_number_is_in_the_units_of_the_data(law, name, constant, size):
    here, there = numbers(law, 1.0, name, constant), numbers(law, size, name, constant)
    # the moments of the fallback begin at a noise-to-signal ratio that is fixed in data units
    assert there == pytest.approx(here, rel=2e-3 if name == "euler_maruyama" else 1e-5)
