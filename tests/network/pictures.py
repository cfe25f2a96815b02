"""Networks of images, small and awake, and what both kinds must keep."""

import torch

from wasserscore.network import DiT, UNet

SMALL = {
    "UNet": lambda **more: UNet((2, 8, 4), 8, (1, 2), 1, (4,), **more),
    "DiT": lambda **more: DiT((2, 8, 4), 2, 8, 2, 2, **more),
}


def awake(network):
    """In float64, no weight where it started."""
    generator = torch.Generator().manual_seed(5)
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator).double())
    return network


def inputs(n=3, shape=(2, 8, 4)):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
    return x, torch.linspace(-1.2, 0.9, n, dtype=torch.float64)
