import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.data import EMBEDDED, Layout, load, split


def test_digits_are_what_the_issue_says():
    data = load("digits")
    assert (data.n, data.d, data.shape, data.kind) == (1797, 64, (8, 8), "image")
    assert data.constant_columns == ("pixel_0_0", "pixel_4_0", "pixel_4_7")
    assert data.lattice.unique().tolist() == [2 / 16]
    assert (float(data.low.min()), float(data.high.max())) == (-1.0, 1.0)
    assert data.varying.shape == (1797, 61)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_are_the_same_every_time(name):
    one, two = load(name), load(name)
    assert torch.equal(one.points, two.points)
    assert one.sha256 == two.sha256
    assert one.points.dtype == torch.float64
    assert len(one.columns) == one.d


@pytest.mark.parametrize("unit", [1e155, 1e-155])
def test_numbers_whose_squares_are_none_are_refused_where_they_decide_a_scale(unit):
    import pandas as pd

    x = np.random.default_rng(0).normal(size=(20, 2))
    tall = pd.DataFrame(x * [1, unit], columns=["a", "b"])
    with pytest.raises(InputError, match=r"size between 1e-100 and 1e\+100.* in column 'b'; give"):
        load(tall)
    with pytest.raises(InputError, match=r"size between 1e-100 and 1e\+100.*another unit"):
        load(x * unit)
    assert load(x * [1, min(1.0, unit)]).n == 20  # one scale for both columns


def test_hash_sees_values_columns_and_shape():
    import pandas as pd

    x = torch.arange(8.0).reshape(4, 2).double()
    hashes = {
        load(x).sha256,
        load(x + 1e-15).sha256,
        load(x.reshape(4, 2, 1)).sha256,
        load(pd.DataFrame(x.numpy(), columns=["a", "b"])).sha256,
    }
    assert len(hashes) == 4


def test_restore_puts_constants_back_and_vary_takes_them_out(generator):
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    x[:, 1] = 3.5
    data = load(x)
    assert data.constant_columns == ("column_1",)
    assert torch.equal(data.restore(data.varying), x)
    assert data.restore(data.varying.float()).dtype == torch.float32
    with pytest.raises(InputError, match="3 columns"):
        data.restore(x)


def test_within_cuts_to_the_range_of_each_column():
    data = load(torch.tensor([[0.0, 5.0, 10.0], [1.0, 5.0, 20.0]]).double())
    wild = torch.tensor([[-9.0, 9.0, 99.0]]).double()
    assert data.within(wild).tolist() == [[0.0, 5.0, 20.0]]


def test_images_share_one_range_and_one_lattice():
    data = load(torch.tensor([[[0.0, 2.0]], [[4.0, 2.0]], [[0.0, 2.0]], [[4.0, 2.0]]]).double())
    assert data.low.tolist() == [0.0, 0.0]
    assert data.high.tolist() == [4.0, 4.0]
    assert data.lattice.tolist() == [2.0, 2.0]


def test_take_keeps_columns_and_narrows_the_range_of_tables_only():
    rows = torch.tensor([0, 1])
    table = load("wine").take(rows, "wine train")
    assert table.name == "wine train"
    assert torch.equal(table.high, table.points.amax(0))
    assert torch.equal(table.low, table.points.amin(0))
    image = load("digits").take(rows)
    assert float(image.high.max()) == 1.0
    assert image.constant_columns == load("digits").constant_columns
    assert image.sha256 != load("digits").sha256


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 2**31))
def test_split_is_a_partition(n, fraction, seed):
    data = load(torch.arange(2.0 * n).reshape(n, 2).double())
    train, holdout = split(data, fraction=fraction, seed=seed)
    assert len(train) >= 1
    assert len(holdout) >= 1
    assert sorted([*train.tolist(), *holdout.tolist()]) == list(range(n))
    assert train.tolist() == sorted(train.tolist())
    again, _ = split(data, fraction=fraction, seed=seed)
    assert torch.equal(train, again)


def test_split_depends_on_the_seed_and_checks_the_fraction():
    data = load("moons")
    assert not torch.equal(split(data, seed=0)[0], split(data, seed=1)[0])
    with pytest.raises(InputError, match="fraction"):
        split(data, fraction=1.0, seed=0)


@pytest.mark.parametrize("name", ["digits", "wine", "moons"])
def test_layout_round_trip_restores_without_the_rows(name):
    import json

    data = load(name)
    layout = Layout.from_dict(json.loads(json.dumps(data.layout.to_dict())))
    assert torch.equal(layout.restore(data.varying), data.points)
    assert torch.equal(layout.within(3 * data.points), data.within(3 * data.points))
    assert (layout.columns, layout.shape, layout.kind) == (data.columns, data.shape, data.kind)
    assert (layout.lattice is None) == (data.lattice is None)
