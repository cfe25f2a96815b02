import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.linalg import bures_squared, spectrum, sqrt_psd


def spd(d, rank, seed):
    a = torch.randn(d, rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a @ a.T


@given(d=st.integers(1, 6), seed=st.integers(0, 99), rank=st.integers(1, 6))
def test_square_root_squares_back(d, seed, rank):
    a = spd(d, rank, seed)
    root = sqrt_psd(a)
    assert torch.allclose(root @ root, a, atol=1e-9)
    assert torch.equal(root, root.mT) or torch.allclose(root, root.mT, atol=1e-12)


@given(n=st.integers(1, 7), d=st.integers(1, 7), seed=st.integers(0, 99))
def test_spectrum_of_rows_is_that_of_their_square(n, d, seed):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[-1] = x[0]  # of lower rank than rows, too
    values, vectors = spectrum(x)
    assert torch.allclose(vectors * values @ vectors.T, x.T @ x, atol=1e-12)
    assert torch.allclose(vectors.T @ vectors, torch.eye(d).double(), atol=1e-12)
    assert bool((values.diff() >= 0).all())
    assert float(values[0]) >= 0
    assert torch.allclose(values, torch.linalg.eigvalsh(x.T @ x), atol=1e-12)


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
