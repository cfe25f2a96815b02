"""Numbers of generated points come as often as in the data, and keep their ranks."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wasserscore.core.random import Streams
from wasserscore.data import Layout, load
from wasserscore.data.margins import Margin, find_margins, levels

PLAIN = (Margin(0),)


def normal(n: int, seed: int = 0, columns: int = 1) -> torch.Tensor:
    g = Streams(seed).generator("points")
    return torch.randn((n, columns), generator=g, dtype=torch.float64)


def test_between_two_normal_laws_the_map_is_known():
    """N(0, 1.5^2) to N(2, 0.5^2): x becomes 2 + x / 3."""
    margins = find_margins(PLAIN, 1.5 * normal(200_000), 2 + 0.5 * normal(200_000, 1))
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    torch.testing.assert_close(margins.apply(x), 2 + x / 3, rtol=0, atol=0.015)
    torch.testing.assert_close(margins.undo(2 + x / 3), x, rtol=0, atol=0.045)


def test_tails_have_knots_of_their_own():
    """A straight line from the share 1/512 to the smallest of 200,000 would double its spread."""
    margins = find_margins(PLAIN, 2 * normal(200_000), normal(200_000, 1))
    x = 2 * normal(200_000, 2)
    tail = x[:, 0] < -2 * 2.9
    error = margins.apply(x)[tail] - x[tail] / 2
    assert float(error.square().mean().sqrt()) < 0.05
    assert len(np.unique(levels())) == len(levels()) == 512 + 1 + 2 * 6


def test_values_in_steps_come_in_their_shares():
    """Ages with a heap at 30 and a cap at 64, from a model that is smooth and too wide."""
    rng = np.random.default_rng(0)
    age = np.clip(16 + rng.exponential(20, 20_000) // 1, 16, 64)
    age[:3000] = 30
    real = torch.tensor(age)[:, None]
    drawn = real + 4 * normal(20_000)
    cut = drawn.round().clamp(16, 64)
    margins = find_margins((Margin(0),), drawn, real)
    made = margins.apply(drawn).round()
    for value in (16, 17, 29, 30, 31, 63, 64):
        share, found, before = (float((a == value).double().mean()) for a in (real, made, cut))
        assert abs(found - share) < 2e-3, value
        if value in (16, 30, 64):
            assert abs(before - share) > 1e-2
    assert 16 <= float(made.min()) <= float(made.max()) <= 64


def test_cells_that_do_not_count_stay_and_decide_nothing():
    """One row in four is missing; there the coordinate is anything."""
    gone = torch.arange(8000) % 4 == 0
    flag = torch.where(gone, 1.4, 0.0).double()
    real = torch.stack([torch.where(gone, 99.0, normal(8000)[:, 0]), flag], 1)
    drawn = torch.stack([torch.where(gone, -50.0, 3 * normal(8000, 1)[:, 0]), flag], 1)
    margins = find_margins((Margin(0, flags=((1, 0.7),)),), drawn, real)
    made = margins.apply(drawn)
    torch.testing.assert_close(made[gone], drawn[gone])
    assert float(made[~gone, 0].std()) == pytest.approx(1.0, abs=0.03)
    nowhere = find_margins((Margin(0, flags=((1, -1.0),)),), drawn, real)
    assert nowhere is None


@settings(max_examples=80, deadline=None)
@given(
    real=st.lists(st.integers(-20, 20), min_size=2, max_size=60),
    drawn=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60),
)
def test_ranks_stay_and_the_range_is_that_of_the_data(real, drawn):
    x, y = (torch.tensor(a, dtype=torch.float64)[:, None] for a in (drawn, real))
    margins = find_margins((Margin(0),), x, y)
    wide = torch.cat([x, 3 * x, torch.zeros(1, 1).double()]).sort(0).values
    made = margins.apply(wide)[:, 0]
    assert bool((made.diff() >= -1e-9).all())
    assert float(made.min()) >= min(real)
    assert float(made.max()) <= max(real)


def test_a_value_of_the_data_is_found_again():
    """The place of a value before the map, which a condition asks for, is mapped to it."""
    real = torch.tensor(np.random.default_rng(1).poisson(5, 5000) + 0.0)[:, None]
    margins = find_margins((Margin(0),), real + normal(5000), real)
    values = torch.arange(13, dtype=torch.float64)[:, None]
    torch.testing.assert_close(margins.apply(margins.undo(values)).round(), values)


def test_a_layout_keeps_its_margins():
    data = load(pd.DataFrame({"a": np.arange(50) % 7, "b": np.arange(50) % 2, "c": 3.0}))
    margins = find_margins(data.numbers(), data.points + normal(50, 0, 3), data.points)
    assert [m.place for m in margins.numbers] == [0, 1]
    layout = replace(data.layout, margins=margins)
    back = Layout.from_dict(json.loads(json.dumps(layout.to_dict())))
    x = data.points + normal(50, 1, 3)
    torch.testing.assert_close(back.within(x), layout.within(x), rtol=0, atol=0)
    assert not torch.equal(back.within(x), data.layout.within(x))
