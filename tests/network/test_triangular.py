import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import nn

from wasserscore.core.errors import InputError
from wasserscore.network.triangular import LARGEST, Triangular


def test_forward_is_the_written_formula(generator):
    network = Triangular(3, 5, 2, seed=3).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    p = {name: value.numpy() for name, value in network.state_dict().items()}
    z = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    h = z.numpy()
    for k in range(2):
        h = h @ p[f"hidden.{k}.weight"].T + p[f"hidden.{k}.bias"]
        h = h * (1 + erf(h / np.sqrt(2))) / 2
    out = h @ p["last.weight"].T + p["last.bias"]
    expected = np.zeros((4, 3, 3))
    expected[:, [0, 1, 2], [0, 1, 2]] = np.exp(out[:, :3])
    expected[:, [1, 2, 2], [0, 0, 1]] = out[:, 3:]
    np.testing.assert_allclose(network(z).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_untrained_it_says_identity_and_weights_depend_on_the_seed_only():
    one, same, other = (Triangular(2, 8, 2, seed=s) for s in (1, 1, 2))
    assert torch.equal(one(torch.ones(3, 2)), torch.eye(2).expand(3, 2, 2))
    assert torch.equal(one.hidden[1].weight, same.hidden[1].weight)
    assert not torch.equal(one.hidden[1].weight, other.hidden[1].weight)
    # uniform in +- (6 / fan-in)^(1/2), so that GELU keeps the size of what it is given
    wide = Triangular(100, 400, 2).hidden[1].weight.detach()
    assert float(wide.abs().max()) == pytest.approx((6 / 400) ** 0.5, rel=0.01)


def test_the_diagonal_stays_finite_and_sizes_are_checked():
    network = Triangular(2, 4, 1)
    nn.init.constant_(network.last.bias, 1e6)
    diagonal = torch.diagonal(network(torch.zeros(1, 2)), dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, torch.full((1, 2), LARGEST).exp())
    with pytest.raises(InputError, match="width must be a positive integer"):
        Triangular(2, 0)
