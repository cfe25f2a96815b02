"""What counts as a real number, and which decimal a number of float32 stands for."""

import numpy as np
import pytest
import torch

from wasserscore.core.numbers import PART, is_number, spelled


@pytest.mark.parametrize(
    "value", [1, 0.5, float("nan"), np.float32(2), np.int64(3), torch.ones(()), np.array(0.5)]
)
def test_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize(
    "value",
    ["1", None, True, [1.0], 1j, torch.ones(2), np.ones(1), torch.tensor(True), np.array("1")],
)
def test_others(value):
    assert not is_number(value)


@pytest.mark.parametrize("parts", [1, 10, 100, 1000, 10**6])
def test_decimals_of_float32_are_spelled_exactly(parts):
    decimals = torch.arange(-PART, PART + 2).double() / parts
    assert torch.equal(spelled(decimals.float()), decimals)


def test_other_numbers_stay_what_they_are(generator):
    x = torch.randn(2000, 3, generator=generator).mT.exp() ** 20
    assert torch.equal(spelled(x).float(), x)
    third = torch.tensor([1 / 3, 0.0, 2.0**-149, 2.0**127, float("inf")])
    assert torch.equal(spelled(third), third.double())
    assert torch.equal(spelled(x.double()), x.double())
