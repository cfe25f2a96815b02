"""What counts as a real number."""

import numpy as np
import pytest
import torch

from wasserscore.core.numbers import is_number


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
