import itertools
import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.data import dequantise, lattice_step, load


@given(
    st.lists(st.integers(-40, 40), min_size=2, max_size=40),
    st.floats(1e-3, 1e3),
    st.floats(-100, 100),
)
def test_finds_the_greatest_step_of_any_lattice(levels, step, offset):
    """Against the greatest common divisor of the gaps, computed in integers."""
    distinct = sorted(set(levels))
    values = torch.tensor([*levels] * 3, dtype=torch.float64) * step + offset
    found = lattice_step(values)
    if len(distinct) == 1:
        assert found == 0
    else:
        gcd = math.gcd(*(b - a for a, b in itertools.pairwise(distinct)))
        assert found == pytest.approx(gcd * step, rel=1e-6)


def test_float32_grey_levels_are_recognised(generator):
    grey = torch.randint(0, 256, (500,), generator=generator).float() / 255
    assert lattice_step(grey) == pytest.approx(1 / 255, rel=1e-6)


@given(st.integers(0, 2**31))
def test_continuous_values_have_no_lattice(seed):
    g = torch.Generator().manual_seed(seed)
    values = torch.rand(200, generator=g, dtype=torch.float64)
    assert lattice_step(values) == 0
    assert lattice_step(torch.cat([values, values])) == 0  # repeated rows are no lattice


def test_noise_is_centred_uniform_of_one_step(generator):
    data = load("digits")
    noise = dequantise(data, data.points, generator) - data.points
    assert float(noise.abs().max()) <= 1 / 16
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)
    assert float(noise.var()) == pytest.approx((1 / 8) ** 2 / 12, rel=0.01)


def test_continuous_columns_stay_and_varying_columns_are_enough(generator):
    g = torch.Generator().manual_seed(1)
    x = torch.rand(60, 3, generator=generator, dtype=torch.float64)
    x[:, 1] = torch.randint(0, 5, (60,), generator=generator)
    x[:, 2] = 4.0
    data = load(x)
    assert data.lattice.tolist() == [0.0, 1.0, 0.0]
    out = dequantise(data, data.varying, g)
    assert torch.equal(out[:, 0], x[:, 0])
    assert torch.equal(out[:, 1].round(), x[:, 1])
    assert not torch.equal(out[:, 1], x[:, 1])
    with pytest.raises(InputError, match="3 columns"):
        dequantise(data, x[:, :1], g)


def test_without_a_lattice_nothing_is_drawn():
    g = torch.Generator().manual_seed(1)
    before = g.get_state()
    data = load("moons")
    assert dequantise(data, data.points, g) is data.points
    assert torch.equal(before, g.get_state())


def test_same_generator_state_same_noise():
    data = load("digits")
    one, two = (dequantise(data, data.points, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


def test_values_come_back_from_under_their_noise_with_their_decimals(generator):
    """Quarters and prices, digit by digit; the column without a lattice stays as it is."""
    k = torch.randint(0, 400, (900,), generator=generator)
    free = torch.rand(900, generator=generator, dtype=torch.float64)
    thirds = (k % 30).double() / 3 - 0.1
    x = torch.stack([free, k / 4 - 7.5, thirds, torch.tensor([round(0.1 + 0.01 * int(i), 2)
                     for i in k], dtype=torch.float64)], 1)  # fmt: skip
    data = load(pd.DataFrame(x.numpy(), columns=["free", "quarter", "third", "price"]))
    back = data.snap(dequantise(data, data.points, generator))
    assert torch.equal(back[:, [0, 1, 3]], x[:, [0, 1, 3]])
    torch.testing.assert_close(back[:, 2], thirds, rtol=0, atol=1e-12)
    image = load(torch.rand(9, 4, 4, generator=generator).mul(5).round() / 5)
    assert torch.equal(image.snap(image.points + 0.01), image.points + 0.01)
