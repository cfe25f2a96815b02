"""The generator's perceptron: reproducible, compact at first, rebuilt from its configuration."""

import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.network import LatentMLP, describe, rebuild

Z = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))


def test_same_seed_same_bits_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, again, other = (LatentMLP(5, (2, 3), 16, 2, seed=s)(Z) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.shape == (200, 2, 3)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_starts_as_a_compact_cloud_and_not_as_a_point():
    points = LatentMLP(5, 3, 64, 2)(Z).detach()
    assert float(points.abs().max()) < 0.3
    assert float(points.std(0).min()) > 3e-3


def test_rebuilt_from_configuration_and_tensors():
    network = LatentMLP(5, (2, 3), 16, 2, seed=1)
    again = rebuild(describe(network), dict(network.state_dict()))
    assert torch.equal(again(Z), network(Z))


@pytest.mark.parametrize("sizes", [(0, 2), (5, 0), (5, ()), (5, 2, 0), (5, 2, 16, 0)])
def test_sizes_that_are_not_positive_integers_are_refused(sizes):
    with pytest.raises(InputError, match="must be an integer from 1"):
        LatentMLP(*sizes)
