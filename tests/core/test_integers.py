import numpy as np
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.core.integers import as_integer, as_shape


@pytest.mark.parametrize("kind", [int, np.int64, np.int32, np.uint8])
def test_what_comes_back_is_a_python_int(kind):
    assert type(as_integer(kind(3), "n")) is int
    assert [type(size) for size in as_shape([kind(3), kind(2)])] == [int, int]


@pytest.mark.parametrize("make", [tuple, list, np.array, torch.tensor])
def test_a_shape_may_be_an_array_or_a_tensor(make):
    assert as_shape(make([3, 8])) == (3, 8)
    for wrong in (make([3.0, 8.0]), make([3, 0])):
        with pytest.raises(InputError, match="a size of shape must be a positive integer, got"):
            as_shape(wrong)


@pytest.mark.parametrize("wrong", [3, None, np.array(3), torch.tensor(3)])
def test_a_number_is_no_shape(wrong):
    with pytest.raises(InputError, match="a shape must be a tuple of sizes, got"):
        as_shape(wrong)


@pytest.mark.parametrize("other", [True, np.True_, 3.0, np.float64(3), "3", None, torch.tensor(3)])
def test_what_is_no_integer_is_refused(other):
    with pytest.raises(InputError, match="n must be a positive integer, got"):
        as_integer(other, "n")


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({}, "n must be a positive integer, got 0"),
        ({"least": 2}, "n must be an integer of at least 2, got 0"),
        ({"least": 1, "most": 9}, "n must be an integer from 1 to 9, got 0"),
    ],
)
def test_the_sentence_names_the_limits(limits, sentence):
    with pytest.raises(InputError, match=sentence):
        as_integer(0, "n", **limits)
