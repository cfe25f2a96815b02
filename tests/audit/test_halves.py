import numpy as np
import pytest
import torch

from wasserscore.audit import split_half
from wasserscore.core.errors import InputError
from wasserscore.process import VE
from wasserscore.score import EmpiricalScore, GaussianScore

PROCESS = VE.constant(a=1.0, horizon=100.0)


def rows(n, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)).double()


def gaussian(x, shift=0.0):
    return GaussianScore(x.new_tensor([shift, 0.0]), torch.eye(2).double(), PROCESS)


def test_the_same_law_twice_ends_in_the_same_place():
    found = split_half(gaussian, rows(400), n=100)
    assert found.apart.value == 0.0
    assert found.to_train.value > 0.02
    assert found.reproducible
    assert "Reproducible" in repr(found)


def test_apart_is_the_shift_of_two_gaussians():
    """The flow of N(m, I) moves x to m + (x - m) / sqrt(1 + T): the shift times what is left."""
    halves = (rows(50, 1), rows(50, 2))
    scores = (gaussian(halves[0]), gaussian(halves[1], shift=0.3))
    found = split_half(scores, halves, n=16, steps=60)
    assert found.apart.value == pytest.approx(0.3 * (1 - 1 / np.sqrt(101)), rel=5e-3)
    assert found.apart.stderr == pytest.approx(0.0, abs=1e-6)
    gaps = torch.cdist(*halves).min(1).values
    assert found.between_rows.value == pytest.approx(float(gaps.mean()), rel=1e-12)


def test_memorizing_models_end_on_rows_of_their_own_half():
    found = split_half(lambda half: EmpiricalScore(half, PROCESS), rows(120), n=32, steps=20)
    assert found.to_train.value < 1e-3
    assert found.apart.value > 0.05
    assert not found.reproducible
    assert "Not reproducible" in repr(found)


def test_in_one_dimension_even_the_best_fit_is_not_judged():
    """The fits' means differ by about n^(-1/2), rows by 1/n."""
    line = rows(1000)[:, :1]
    found = split_half(lambda x: GaussianScore(x.mean(0), x.var(0), PROCESS), line, n=100)
    assert found.apart.value < 0.2
    assert found.apart.value > 2 * found.between_rows.value
    assert repr(found).startswith("Not judged, for in one dimension")


def test_halves_are_disjoint_even_where_rows_repeat():
    seen = []
    split_half(lambda half: seen.append(half) or gaussian(half), rows(40).repeat(2, 1), n=4)
    first, second = (set(map(tuple, half.tolist())) for half in seen)
    assert not first & second
    assert len(first) == len(second) == 20


def test_bad_calls_are_refused():
    with pytest.raises(InputError, match="n must be"):
        split_half(gaussian, rows(40), n=1)
    with pytest.raises(InputError, match="two scores and two sets"):
        split_half((gaussian(rows(3)),), (rows(3), rows(3)))
