"""Networks on a GPU: outputs and gradients of the CPU."""

import pytest
import torch
from tests.network import pictures
from tests.network.test_mlp import awake

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def test_outputs_and_gradients_are_those_of_the_cpu():
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    c, found = torch.linspace(-1, 1, 20, dtype=torch.float64), []
    for device in ("cpu", "cuda"):
        network = awake(dim=5, width=16, depth=2).to(device)
        out = network(x.to(device), c.to(device))
        slopes = torch.autograd.grad(out.square().sum(), list(network.parameters()))
        found.append(torch.cat([v.detach().cpu().flatten() for v in (out, *slopes)]))
    assert torch.allclose(*found, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", pictures.SMALL)
def test_networks_of_images_are_those_of_the_cpu(kind):
    (x, c), found = pictures.inputs(), []
    for device in ("cpu", "cuda"):
        network = pictures.awake(pictures.SMALL[kind]()).to(device)
        network.to(memory_format=torch.channels_last)
        out = network(x.to(device), c.to(device))
        slopes = torch.autograd.grad(out.square().sum(), list(network.parameters()))
        found.append(torch.cat([v.detach().cpu().flatten() for v in (out, *slopes)]))
    assert torch.allclose(*found, rtol=1e-9, atol=1e-9)
