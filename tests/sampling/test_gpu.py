"""Every solver on a GPU, on the noise of the CPU."""

import pytest
import torch

from wasserscore.process import EDM, VP
from wasserscore.sampling import adaptive, log_likelihood, sample, solvers
from wasserscore.score import EmpiricalScore, MixtureScore

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

MEANS = torch.tensor([[-1.0, 0.0, 0.5], [1.0, 0.5, 0.0]], dtype=torch.float64)


def mixture(device, dtype=torch.float64, process=None):
    ones = torch.ones(2, dtype=dtype, device=device)
    process = process or VP.linear(a=19.9, b=0.1, horizon=1.0)
    return MixtureScore(ones, MEANS.to(device, dtype), 0.2 * ones, process)


@pytest.mark.parametrize("name", [row.name for row in solvers()])
def test_every_solver_gives_the_samples_of_the_cpu(name):
    near, far = (sample(mixture(device), 70, solver=name, steps=12, seed=5)
                 for device in ("cpu", "cuda"))  # fmt: skip
    assert far.is_cuda
    assert torch.allclose(far.cpu(), near, rtol=1e-8, atol=1e-8)


def test_float32_agrees_to_its_rounding():
    near, far = (sample(mixture(device, torch.float32), 70, steps=12, seed=5).cpu()
                 for device in ("cpu", "cuda"))  # fmt: skip
    assert torch.allclose(far, near, rtol=1e-4, atol=1e-4)


def test_a_row_is_the_same_in_every_batch_to_rounding():
    whole = sample(mixture("cuda"), 300, steps=8, seed=2)
    part = sample(mixture("cuda"), 70, steps=8, seed=2)
    assert torch.allclose(whole[:70], part, rtol=1e-12, atol=1e-12)


def test_the_empirical_score_and_the_adaptive_solver():
    y = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for solver in ("heun", "euler_maruyama", adaptive()):
        near, far = (
            sample(EmpiricalScore(y.to(device), EDM(sigma_max=80.0), bandwidth=0.2), 70,
                   solver=solver, steps=8, seed=5).cpu()
            for device in ("cpu", "cuda")
        )  # fmt: skip
        assert torch.allclose(far, near, rtol=1e-6, atol=1e-6)


def test_a_callable_runs_where_it_is_told():
    process = EDM(sigma_max=80.0)
    x = sample(lambda x, t: -x / (1 + t**2), 20, process=process, shape=(2,), device="cuda")
    assert x.is_cuda


def test_likelihoods():
    x = MEANS.repeat(10, 1)
    near, far = (log_likelihood(mixture(device), x.to(device), steps=20)
                 for device in ("cpu", "cuda"))  # fmt: skip
    assert torch.allclose(far.value.cpu(), near.value, rtol=1e-8, atol=1e-8)
