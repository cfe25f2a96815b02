"""From data to the Gaussian that stands in for it."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from wasserscore.core.errors import InputError
from wasserscore.core.linalg import bures_squared
from wasserscore.data import Mapped, Scaling
from wasserscore.planner.split import start_error
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import EDM
from wasserscore.proximal import fit_gaussian
from wasserscore.score import EmpiricalScore


class Reference:
    """Anything with moments, in scaled units, and a scaling."""

    def __init__(self, mean, covariance, scaling=None):
        self.mean, self.covariance, self.scaling = mean, covariance, scaling

    def moments(self):
        return self.mean, self.covariance


def correlated(n, d, generator):
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + 1.5


def test_sample_moments(generator):
    x = correlated(500, 3, generator)
    made = Surrogate.of(x.numpy())
    torch.testing.assert_close(
        made.eigenvalues, torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
    )
    assert float(made.mean.norm()) == pytest.approx(float(x.mean(0).norm()))
    total = float(x.var(0, correction=0).sum())
    assert made.spread == pytest.approx(total**0.5)
    assert made.sampling_error == pytest.approx((2 / 500) ** 0.5)
    assert made.n == 500


def test_few_points_are_shrunk(generator):
    x = correlated(20, 6, generator)
    expected = np.linalg.eigvalsh(ledoit_wolf(x.numpy())[0])
    made = Surrogate.of(x)
    np.testing.assert_allclose(made.eigenvalues.numpy(), expected)
    assert "Ledoit-Wolf" in made.source


@pytest.mark.parametrize("scale", [torch.tensor(2.0), torch.linspace(0.5, 3, 9)])
@pytest.mark.parametrize("n", [4, 9, 30])
def test_points_of_a_score_stand_for_its_moments(n, scale, generator):
    """In the span of 4 rows of 9 columns, beside the covariance of 9 columns."""
    scaling = Scaling(torch.ones(9, dtype=torch.float64), scale.double())
    score = EmpiricalScore(correlated(n, 9, generator), EDM(), bandwidth=0.3, scaling=scaling)
    made, other = Surrogate.of(score), Surrogate.of(Reference(*score.moments(), scaling))
    torch.testing.assert_close(made.eigenvalues, other.eigenvalues, rtol=1e-9, atol=1e-12)
    assert made.spread == pytest.approx(other.spread, rel=1e-12)
    ends = [s.norm(*start_error(s, 50.0, 1.0)) for s in (made, other)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)


def test_images_are_flattened_and_one_column_is_enough(generator):
    x = torch.randn(200, 2, 2, generator=generator, dtype=torch.float64)
    assert Surrogate.of(x).dim == 4
    assert Surrogate.of(x[:, :1, 0]).dim == 1


def test_a_scaling_gives_weights_in_data_units(generator):
    """|D u_i|^2: an error along an eigenvector of the scaled law, seen in the data."""
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    scale = torch.tensor([3.0, 0.1], dtype=torch.float64)
    scaling = Scaling(shift=torch.ones(2, dtype=torch.float64), scale=scale)
    made = Surrogate.of(Reference(torch.zeros(2).double(), covariance, scaling))
    _, vectors = torch.linalg.eigh(covariance)
    expected = ((torch.diag(scale) @ vectors) ** 2).sum(0)
    torch.testing.assert_close(made.weights, expected)
    in_data = torch.diag(scale) @ covariance @ torch.diag(scale)
    assert made.spread == pytest.approx(float(in_data.trace()) ** 0.5)
    assert made.sampling_error == 0


def test_norm_is_the_weighted_root_of_squares():
    made = Surrogate(torch.zeros(2).double(), torch.ones(2).double(),
                     torch.tensor([4.0, 1.0], dtype=torch.float64), None, "a test")  # fmt: skip
    a, b = (torch.tensor(v, dtype=torch.float64) for v in ([1.0, 2.0], [0.5, 0.0]))
    assert made.norm(a, b) == pytest.approx((4 + 4 + 1) ** 0.5)


@pytest.mark.parametrize("scale", [(10.0, 0.1), (3.0, 3.0)])
def test_norm_under_a_scaling_is_the_w2_in_data_units(scale):
    """Exact in the mean, with its cross terms; in the variances along a coupling."""
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    stretch = torch.diag(torch.tensor(scale, dtype=torch.float64))
    scaling = Scaling(torch.zeros(2, dtype=torch.float64), stretch.diagonal())
    made = Surrogate.of(Reference(torch.zeros(2).double(), covariance, scaling))
    values, vectors = torch.linalg.eigh(covariance)
    mean, none = torch.tensor([0.7, -0.2], dtype=torch.float64), torch.zeros(2).double()
    assert made.norm(mean, none) == pytest.approx(float((stretch @ vectors @ mean).norm()))
    factor = torch.tensor([0.5, 0.9], dtype=torch.float64)
    std = (factor - 1) * values.sqrt()
    ends = stretch @ (vectors * (values * factor**2)) @ vectors.T @ stretch
    exact = float(bures_squared(ends, stretch @ covariance @ stretch).sqrt())
    coupled = float(torch.linalg.matrix_norm(stretch @ vectors * std))
    assert made.norm(none, std) == pytest.approx(coupled)
    assert coupled >= exact * (1 - 1e-9)
    if scale[0] == scale[1]:
        assert coupled == pytest.approx(exact)


def test_unusable_data_is_refused():
    with pytest.raises(InputError, match="single point"):
        Surrogate.of(torch.ones(50, 2, dtype=torch.float64))
    with pytest.raises(InputError, match="finite"):
        Surrogate.of(torch.full((50, 2), float("nan"), dtype=torch.float64))


def test_rows_on_disk_are_refused_with_what_to_pass_instead(generator):
    datasets = pytest.importorskip("datasets")
    x = correlated(500, 2, generator)
    stored = datasets.Dataset.from_dict({"a": x[:, 0].numpy(), "b": x[:, 1].numpy()})
    data = Mapped(stored, ("a", "b"), dtype=torch.float64)
    with pytest.raises(InputError, match=r"rows on disk; pass .* data\[:10000\]"):
        Surrogate.of(data)
    torch.testing.assert_close(Surrogate.of(data[:10000]).eigenvalues, Surrogate.of(x).eigenvalues)


@pytest.mark.parametrize(("n", "shrunk"), [(39, True), (40, False)])
def test_a_covariance_is_shrunk_below_ten_rows_per_column(n, shrunk, generator):
    """The same in a plan and in the fitted Gaussian."""
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    expected = ledoit_wolf(x.numpy())[0] if shrunk else np.cov(x.numpy().T, bias=True)
    _, covariance = fit_gaussian(x, EDM()).moments()
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-12)
    values = np.linalg.eigvalsh(expected)
    np.testing.assert_allclose(Surrogate.of(x).eigenvalues, values, rtol=1e-10)
