import numpy as np
import pytest
import torch
from tests.distance.clouds import cloud

from wasserscore.core.errors import InputError
from wasserscore.distance import ksd, median_bandwidth, pairs
from wasserscore.process import EDM
from wasserscore.score import GaussianScore


def by_autograd(x, s, kernel, h):
    """The Stein kernel from its definition, derivatives of the kernel by automatic ones."""

    def k(a, b):
        v = (a - b).square().sum() / h**2
        return (-v / 2).exp() if kernel == "gaussian" else (1 + v) ** -0.5

    table = torch.zeros(len(x), len(x)).double()
    for i in range(len(x)):
        for j in range(len(x)):
            a, b = (x[row].clone().requires_grad_() for row in (i, j))
            by_a, by_b = torch.autograd.grad(k(a, b), (a, b), create_graph=True)
            mixed = [torch.autograd.grad(by_a[c], b, retain_graph=True)[0][c] for c in range(3)]
            value = k(a, b) * s[i] @ s[j] + s[i] @ by_b + s[j] @ by_a + sum(mixed)
            table[i, j] = value.detach()
    return table


def statistics(table):
    n = len(table)
    u = (table.sum() - table.trace()) / (n * (n - 1))
    return {"u": float(u), "v": float(table.mean())}


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
@pytest.mark.parametrize("statistic", ["u", "v"])
def test_equals_the_definition_and_its_jackknife(kernel, statistic):
    x, s, h = cloud(9, 3, 1) + 2, cloud(9, 3, 2), 1.3
    table = by_autograd(x, s, kernel, h)
    found = ksd(x, s, kernel=kernel, bandwidth=h, statistic=statistic)
    assert found.value == pytest.approx(statistics(table)[statistic], rel=1e-10)
    kept = [[j for j in range(9) if j != i] for i in range(9)]
    without = np.array([statistics(table[k][:, k])[statistic] for k in kept])
    assert found.stderr == pytest.approx(np.sqrt(8 * without.var()), rel=1e-8)


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_two_gaussians_by_quadrature(kernel):
    """With the scores' gap s - r between q and p: KSD^2 = E k(X, X') (s - r)(X) (s - r)(X')."""
    mean, scale, h = 0.4, 0.8, 1.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    x, w = mean + scale * nodes, weights / weights.sum()
    gap = -x + (x - mean) / scale**2
    v = (x[:, None] - x) ** 2 / h**2
    k = np.exp(-v / 2) if kernel == "gaussian" else (1 + v) ** -0.5
    truth = (w * gap) @ k @ (w * gap)
    found = ksd(mean + scale * cloud(4000, 1), lambda x: -x, kernel=kernel, bandwidth=h)
    assert found.stderr < 0.1 * truth
    assert abs(found.value - truth) < 4 * found.stderr


def test_zero_on_average_under_the_law_itself_and_the_error_bar_is_not_too_small():
    found = [ksd(cloud(50, 2, s), lambda x: -x, bandwidth=1.0) for s in range(150)]
    values = np.array([e.value for e in found])
    spread = values.std(ddof=1)
    assert abs(values.mean()) < 4 * spread / np.sqrt(150)
    assert (values < 0).any()
    assert spread < np.mean([e.stderr for e in found]) < 2 * spread


def test_moves_and_scales_with_the_data():
    x = cloud(30, 3)
    value = ksd(x, -x).value
    assert ksd(4 * x + 100, -x / 4).value == pytest.approx(value / 16, rel=1e-9)
    assert f"{median_bandwidth(x):.4g}" in ksd(x, -x).units


def test_streamed_and_direct_sums_agree(monkeypatch):
    x = cloud(50, 3)
    whole = ksd(x, -x)
    monkeypatch.setattr(pairs, "SIDE", 7)
    assert ksd(x, -x).value == pytest.approx(whole.value, rel=1e-10)
    assert ksd(x, -x).stderr == pytest.approx(whole.stderr, rel=1e-8)


def test_a_score_may_be_a_function_of_pictures():
    x = cloud(20, 12).reshape(20, 3, 4).float()
    flat = ksd(x.flatten(1), -x.flatten(1))
    assert ksd(x, lambda x: -x).value == pytest.approx(flat.value, rel=1e-12)


def test_bad_input_says_what_to_do():
    x = cloud(5, 2)
    with pytest.raises(InputError, match="one of imq, gaussian"):
        ksd(x, -x, kernel="laplace")
    with pytest.raises(InputError, match="statistic must be u or v"):
        ksd(x, -x, statistic="w")
    with pytest.raises(InputError, match="one vector per point"):
        ksd(x, -x[:4])
    with pytest.raises(InputError, match="bandwidth must be positive"):
        ksd(x, -x, bandwidth=-1.0)
    with pytest.raises(InputError, match="at least 3 rows"):
        ksd(x[:2], -x[:2])


def test_a_score_of_a_process_needs_its_time():
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    score = GaussianScore(torch.zeros(2).double(), torch.eye(2).double(), EDM())
    with pytest.raises(InputError, match="GaussianScore, which is asked at a time; pass lambda"):
        ksd(x, score)
    assert ksd(x, lambda x: score(x, 0.0)) == ksd(x, -x)
