"""PyTorch's modes around a call: the same numbers, or a sentence."""

import pytest
import torch
from torch import Tensor

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.kernel import softmax_mean
from wasserscore.network import MLP
from wasserscore.score.guidance import Mask, Posterior

PROCESS = ws.EDM(sigma_max=20.0)


def cloud(seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(60, 3, generator=generator, dtype=torch.float64).to(dtype)


def network() -> ws.NetworkScore:
    return ws.NetworkScore(MLP(3, width=8), PROCESS)


def posterior() -> Posterior:
    return Posterior(
        network(), Mask(torch.tensor([True, False, False])), torch.tensor([0.3]), noise_std=0.1
    )


NEED = {
    "a likelihood": lambda: ws.log_likelihood(ws.EmpiricalScore(cloud(), PROCESS, 0.3), cloud(1)),
    "a posterior": lambda: ws.sample(posterior(), 3, steps=2),
    "a Jacobian": lambda: ws.certify(
        network(), ws.EmpiricalScore(cloud(), PROCESS, 0.3), steps=2, n=32, constant="estimated"
    ),
    "training": lambda: ws.fit_proximal(cloud(), PROCESS, method="network"),
}


@pytest.mark.parametrize("what", NEED)
def test_what_needs_gradients_says_so_within_inference_mode(what):
    with torch.inference_mode(), pytest.raises(InputError, match="needs gradients, got"):
        NEED[what]()


def law(dtype: torch.dtype, x: Tensor) -> Tensor:
    return ws.EmpiricalScore(cloud(dtype=dtype), PROCESS, 0.3)(x, 0.5)


HALVED = {
    "closed-form laws": lambda x: law(x.dtype, x),
    "kernel sums": lambda x: ws.ScoreDifferenceFlow([1.0]).run(x, cloud(2, x.dtype)).particles,
    "projections": lambda x: torch.tensor(float(ws.distance.sliced_w2(x, cloud(2, x.dtype)))),
}


@pytest.mark.parametrize("what", HALVED)
def test_autocast_takes_no_digits_of_what_needs_them(what):
    """It leaves float64 alone, and would round products of float32 to three digits."""
    ask = HALVED[what]
    expected = ask(cloud(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ask(cloud(1)), expected)
        with pytest.raises(InputError, match=f"{what} need all digits"):
            ask(cloud(1, torch.float32))


def test_training_chooses_the_precision_of_its_products():
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(InputError, match="precision="):
        ws.train_score(MLP(3, width=8), cloud(), PROCESS, steps=2, batch_size=8)


def screened() -> Tensor:
    """The size of a problem, and the width, that few of the keys decide."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(6000, 64, generator=generator, dtype=torch.float64)
    noise = torch.randn(300, 64, generator=generator, dtype=torch.float64)
    return softmax_mean(keys[:300] + 0.3 * noise, keys, 1.0).mean


def told() -> Tensor:
    score = ws.NetworkScore(TOLD, PROCESS).conditioned([0.123456789, 3.14159])
    return score(cloud(), 0.5)


TOLD = MLP(3, width=8, condition=2).requires_grad_(False)
torch.nn.init.ones_(TOLD.last.weight)


@pytest.mark.parametrize("ask", [screened, told])
def test_numbers_have_types_of_their_own_whatever_is_the_default(ask):
    expected = ask()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = ask()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)
