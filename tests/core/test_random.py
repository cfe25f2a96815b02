import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.core.random import BLOCK, Streams, normal_like

LIKE = torch.zeros(1, dtype=torch.float64)


@given(start=st.integers(0, 3 * BLOCK), length=st.integers(1, 2 * BLOCK))
def test_rows_do_not_depend_on_how_they_are_cut(start, length):
    streams = Streams(3)
    whole = streams.normal("noise", 0, 6 * BLOCK, (2,), LIKE)
    part = streams.normal("noise", start, start + length, (2,), LIKE)
    assert torch.equal(part, whole[start : start + length])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (64,), (3, 5, 7)])
def test_the_front_of_a_block_does_not_depend_on_what_follows(dtype, shape):
    like = torch.empty(0, dtype=dtype)
    block = torch.randn((BLOCK, *shape), generator=Streams(3).generator("noise"), dtype=dtype)
    for rows in (1, 15, 16, 17, 64, 100, 250, BLOCK):
        part = Streams(3).normal("noise", 0, rows, shape, like, drawn=dtype)
        assert torch.equal(part, block[:rows])
    uniform = torch.rand(BLOCK, generator=Streams(3).generator("noise"), dtype=torch.float64)
    assert torch.equal(Streams(3).uniform("noise", 5, 23, like), uniform[5:23])


def test_seed_purpose_and_block_each_change_the_stream():
    base = Streams(0).normal("a", 0, 2 * BLOCK, (), LIKE)
    assert not torch.equal(base, Streams(1).normal("a", 0, 2 * BLOCK, (), LIKE))
    assert not torch.equal(base, Streams(0).normal("b", 0, 2 * BLOCK, (), LIKE))
    assert not torch.equal(base, Streams(0).child("a").normal("a", 0, 2 * BLOCK, (), LIKE))
    assert not torch.equal(base[:BLOCK], base[BLOCK:])


@pytest.mark.parametrize("drawn", [torch.float32, torch.float64])
def test_noise_is_standard_normal_and_uniform(drawn):
    z = Streams(0).normal("z", 0, 400 * BLOCK, (), LIKE, drawn=drawn)
    u = Streams(0).uniform("u", 0, 400 * BLOCK, LIKE)
    n = z.numel()
    assert abs(z.mean()) < 4 / n**0.5
    assert abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs(u.mean() - 0.5) < 4 * (1 / 12 / n) ** 0.5
    assert abs(u.var() - 1 / 12) < 4 * (1 / 180 / n) ** 0.5


def test_golden_value():
    """The keys are part of the contract: a change would silently change everybody's samples."""
    assert Streams(0).key("start") == 2154843950513044444


@pytest.mark.usefixtures("unchecked")
def test_an_integer_of_numpy_is_a_seed():
    assert Streams(np.uint8(7)).key("start") == Streams(7).key("start")
    assert type(Streams(np.int64(7)).seed) is int


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5])
def test_bad_seed_is_refused(seed):
    with pytest.raises((InputError, TypeError, Exception), match="seed"):
        Streams(seed)


def test_normal_like_follows_the_generator(generator):
    x = torch.zeros(3, 2)
    first = normal_like(x, generator)
    assert first.dtype == x.dtype
    assert torch.equal(first, normal_like(x, torch.Generator().manual_seed(0)))
