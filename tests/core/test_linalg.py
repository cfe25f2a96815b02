import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.linalg import bures_squared, sqrt_psd


def spd(d, rank, seed):
    a = torch.randn(d, rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a @ a.T


@given(d=st.integers(1, 6), seed=st.integers(0, 99), rank=st.integers(1, 6))
def test_square_root_squares_back(d, seed, rank):
    a = spd(d, rank, seed)
    root = sqrt_psd(a)
    assert torch.allclose(root @ root, a, atol=1e-9)
    assert torch.equal(root, root.mT) or torch.allclose(root, root.mT, atol=1e-12)


@given(d=st.integers(1, 5), seed=st.integers(0, 99))
def test_bures_agrees_with_scipy(d, seed):
    a, b = spd(d, d + 1, seed), spd(d, d + 2, seed + 1000)
    root = scipy.linalg.sqrtm(a.numpy())
    cross = scipy.linalg.sqrtm(root @ b.numpy() @ root)
    expected = (a + b).trace() - 2 * torch.as_tensor(cross.real).trace()
    assert torch.allclose(bures_squared(a, b), expected, atol=1e-8)


@given(d=st.integers(1, 6), seed=st.integers(0, 99), rank=st.integers(1, 3))
def test_bures_of_equal_matrices_is_zero_even_when_singular(d, seed, rank):
    a = spd(d, rank, seed)
    assert 0 <= bures_squared(a, a) < 1e-12 * (1 + a.trace())


def test_bures_in_one_dimension():
    a, b = torch.tensor([[4.0]]), torch.tensor([[9.0]])
    assert torch.allclose(bures_squared(a, b), torch.tensor(1.0))
