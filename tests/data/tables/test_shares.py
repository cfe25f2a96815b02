"""Levels of generated points come as often as in real rows; rows that exist stay."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy.stats import norm
from tests.data.tables.test_codec import COLUMNS

from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.data.margins import find_margins
from wasserscore.data.tables import Codec
from wasserscore.data.tables.shares import LARGEST, LARGEST_ALONE, prices, with_shares

LEVELS = np.linspace(0, 1, 21)


def gaussians(*shape: int, seed: int = 0) -> torch.Tensor:
    g = Streams(seed).generator("points")
    return torch.randn(shape, generator=g, dtype=torch.float64)


def people(n: int = 40_000) -> pd.DataFrame:
    """Two levels, four levels, many zeros and missing cells, all in known shares."""
    i = np.arange(n)
    size = np.where(i % 10 < 7, 0.0, 1.0 + 0.37 * i)
    return pd.DataFrame({
        "sex": np.where(i % 5 < 1, "F", "M"),
        "work": np.array(["a", "b", "c", "d"])[np.searchsorted([70, 90, 98], i % 100, "right")],
        "gain": size,
        "age": pd.array(np.where(i % 4 < 1, None, 20 + i % 37), dtype="Int64"),
    })  # fmt: skip


def test_prices_of_two_gaussian_coordinates():
    """x_1 - x_0 is normal of variance 2, so the difference of prices is a quantile of it."""
    x = 0.1 * gaussians(1_000_000, 2).numpy()
    price = prices(x, np.array([0.8, 0.2]))
    assert price[0] - price[1] == pytest.approx(0.1 * 2**0.5 * norm.ppf(0.8), abs=5e-4)


def test_what_may_be_luck_moves_no_price():
    """All points are at their levels, and a few too many at one: no price parts them."""
    x = np.eye(3)[np.repeat([0, 1, 2], [515, 445, 40])] + 0.05 * gaussians(1000, 3).numpy()
    x[:, 0] += 0.65  # nearer to the first level than to the others
    assert (prices(x, np.array([0.5, 0.46, 0.04])) == 0).all()
    assert (prices(x, np.array([0.3, 0.66, 0.04])) != 0).any()


def test_a_level_that_nobody_has_stays_where_it_is():
    x = np.column_stack([0.1 * gaussians(1000, 2).numpy() + 0.8, np.zeros(1000)])
    assert (prices(x, np.array([0.5, 0.5, 0.0])) == 0).all()


def test_every_level_gets_its_share():
    share = np.array([0.55, 0.3, 0.1, 0.04, 0.01])
    x = 0.1 * gaussians(50_000, 5).numpy() + 0.05 * share
    found = np.bincount((x + prices(x, share)).argmax(1), minlength=5) / len(x)
    assert (np.abs(found - share) < 2.5 * (share * (1 - share) / len(x)) ** 0.5).all()
    assert np.abs(np.bincount(x.argmax(1), minlength=5) / len(x) - share).max() > 0.1


def test_smoothed_rows_keep_the_shares_of_every_kind_of_column():
    frame = people()
    codec = Codec.infer(frame)
    real = codec.encode(frame)
    drawn = real.mean(0) + 0.45 * (real - real.mean(0)) + 0.2 * gaussians(*real.shape)
    plain, kept = codec.snap(drawn), with_shares(codec, drawn, real).snap(drawn)
    for mask, rest in (
        (lambda f: f.sex == "F", 2.1),
        (lambda f: f.work == "b", 2.1),
        (lambda f: f.work == "d", 2.1),
        (lambda f: f.age.isna(), 2.1),
        (lambda f: f.gain == 0, 6.0),  # and some that are rounded to nothing
    ):
        share, without, found = (float(mask(codec.decode(x)).mean()) for x in (real, plain, kept))
        error = (share * (1 - share) / len(real)) ** 0.5
        assert abs(without - share) > 5 * error
        assert abs(found - share) < rest * error


def test_a_flag_may_move_farther_than_levels_among_many():
    """A law so smooth that all flags lie on one side still gives the shares of the data."""
    frame = people()
    codec = Codec.infer(frame)
    real = codec.encode(frame)
    places = codec.places("gain")
    drawn = real.clone()
    drawn[:, places[0]] = real[:, places[0]].mean()  # an amount, if it counts
    drawn[:, places[1]] = 1.25 + 0.05 * gaussians(len(real))
    kept = with_shares(codec, drawn, real)
    price = kept.prices[list(codec.names).index("gain")][0]
    # 30 % are to be no zeros: the limit, half of the root of two, moves to their quantile
    assert price == pytest.approx(2**0.5 / 2 - 1.25 - 0.05 * norm.ppf(0.3), abs=2e-3)
    assert -LARGEST_ALONE < price < -LARGEST
    assert (kept.decode(kept.snap(drawn)).gain == 0).mean() == pytest.approx(0.7, abs=0.01)
    assert torch.equal(kept.snap(real), real)
    far = with_shares(codec, drawn + 2, real)  # nothing can be said of such points
    assert torch.equal(far.snap(real), real)


def test_shares_that_are_no_luck_are_met_not_approached():
    x = gaussians(40_000, 2).numpy() * 0.1
    x[:, 0] += 0.1
    found = ((x + prices(x, np.array([0.5, 0.5]))).argmax(1) == 0).mean()
    assert found == pytest.approx(0.5, abs=2 / len(x))  # two standard errors are .005


def test_a_number_counts_where_its_flags_say_so_at_their_prices():
    """Generated amounts beside the zeros, and ages beside the missing ones, have real margins."""
    frame = people()
    plain = Codec.infer(frame)
    real = plain.encode(frame)
    drawn = real.mean(0) + 0.45 * (real - real.mean(0)) + 0.2 * gaussians(*real.shape)
    codec = with_shares(plain, drawn, real)
    margins = find_margins(codec.numbers(), drawn, real)
    assert [len(margin.flags) for margin in margins.numbers] == [1, 1]
    made, before = (codec.decode(codec.snap(x)) for x in (margins.apply(drawn), drawn))
    for column in ("gain", "age"):
        wanted, found, without = (
            np.quantile(f[column][f[column].notna() & (f[column] != 0)].astype(float), LEVELS)
            for f in (frame, made, before)
        )
        span = wanted[-1] - wanted[0]
        assert (np.abs(found - wanted) < 0.03 * span).all()
        assert np.abs(without - wanted).max() > 0.1 * span


def test_levels_that_are_words_of_a_code_keep_their_shares():
    """40 levels, the first in two thirds of the rows: 31 coordinates, a price per level."""
    level = np.random.default_rng(0).permutation(np.where(np.arange(40_000) % 3 < 2, 0,
                                                          np.arange(40_000) % 40))  # fmt: skip
    codec = Codec.infer(pd.DataFrame({"state": [f"s{k:02}" for k in level]}))
    real = codec.encode(pd.DataFrame({"state": [f"s{k:02}" for k in level]}))
    assert real.shape[1] == 31
    drawn = real.mean(0) + 0.45 * (real - real.mean(0)) + 0.2 * gaussians(*real.shape)
    share = np.bincount(level, minlength=40) / len(level)
    without, found = (
        np.bincount(codec.columns[0].numbers(c.decode(c.snap(drawn)).state), minlength=40) / 40_000
        for c in (codec, with_shares(codec, drawn, real))
    )
    luck = (share * (1 - share) / len(level)) ** 0.5
    assert (np.abs(found - share) < 2.1 * luck).all()
    assert np.abs(without - share)[0] > 20 * luck[0]


@settings(max_examples=60, deadline=None)
@given(columns=st.lists(COLUMNS, min_size=1, max_size=3), seed=st.integers(0, 2**31))
def test_rows_that_exist_stay(columns, seed):
    """Whatever the prices: even the largest move no point that is a row."""
    frame = pd.DataFrame({f"c{i}": cells for i, cells in enumerate(columns)})
    try:
        codec = Codec.infer(frame)
    except InputError:
        reject()
    rows = codec.encode(frame)
    drawn = rows + 0.5 * gaussians(*rows.shape, seed=seed)
    priced = with_shares(codec, drawn, rows[::2])
    assert all(abs(price) <= LARGEST_ALONE for column in priced.prices for price in column)
    torch.testing.assert_close(priced.snap(rows), codec.snap(rows), rtol=0, atol=0)


def test_prices_are_written():
    codec = Codec.infer(people())
    real = codec.encode(people())
    priced = with_shares(codec, 0.3 * real, real)
    assert priced.prices != codec.prices
    assert Codec.from_dict(json.loads(json.dumps(priced.to_dict()))) == priced
    assert "prices" not in codec.to_dict()
