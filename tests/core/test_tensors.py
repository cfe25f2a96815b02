import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from wasserscore.core.errors import InputError
from wasserscore.core.tensors import (
    as_points,
    expand_like,
    in_tiles,
    require_alike,
    require_shape,
    tile_rows,
    tiles,
)


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 3, 4)])
def test_expand_like_scales_rows(shape):
    x = torch.ones(shape, dtype=torch.float64)
    a = torch.arange(5.0, dtype=torch.float64)
    rows = (expand_like(a, x) * x).reshape(5, -1)
    assert torch.equal(rows, a[:, None].expand_as(rows))
    assert torch.equal(expand_like(2.0, x) * x, 2 * x)


@pytest.mark.parametrize("n", [0, 1, 7, 112, 224, 300])
def test_in_tiles_is_bit_equal_for_every_batch(n):
    weight = torch.randn(33, 33, generator=torch.Generator().manual_seed(1))
    x = torch.randn(600, 33, generator=torch.Generator().manual_seed(2))
    shift = torch.arange(600.0)
    function = lambda rows, a: rows @ weight + a[:, None]
    whole = in_tiles(function, x, shift)
    assert torch.equal(in_tiles(function, x[:n], shift[:n]), whole[:n])
    assert torch.allclose(whole, x @ weight + shift[:, None], atol=1e-4)


def test_every_tile_has_the_same_number_of_rows():
    seen = []
    in_tiles(lambda x: seen.append(len(x)) or x, torch.zeros(300, 2))
    assert seen == [tile_rows((2,))] * 2


def test_tiles_cover_the_range():
    assert [list(range(300))[part] for part in tiles(300, 256)] == [
        list(range(256)),
        list(range(256, 300)),
    ]


def test_tile_rows_shrink_for_large_points():
    assert tile_rows(()) == tile_rows((16,)) == 256
    assert tile_rows((24,)) == 160
    assert tile_rows((24,), "cuda") == 8 * 160
    assert tile_rows((64,)) == tile_rows((3, 64, 64)) == 64
    assert tile_rows((3, 1024, 1024)) == 16


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(3), "one row per point"),
        (np.zeros((0, 2)), "at least 1 rows"),
        (np.zeros((2, 0)), "at least one column"),
        (np.array([["a"]]), "must be numbers"),
        (np.ones((2, 2), dtype=complex), "must be numbers, got dtype complex128"),
        (torch.ones(2, 2, dtype=torch.complex64), "must be real numbers, got dtype torch.complex"),
        (np.array([[0.0, 1.0], [np.nan, 1.0]]), "nan at row 1, column 0"),
        (np.array([[0.0, np.inf]]), "inf at row 0, column 1"),
        (np.ma.masked_array([[0, 1], [2, 99]], [[0, 0], [0, 1]]), "nan at row 1, column 1"),
        (np.ma.masked_array([["a"], ["b"]], [[0], [1]]), "must be numbers, got dtype <U1"),
        (np.ma.masked_array([[1j], [2]], [[0], [1]]), "must be numbers, got dtype complex128"),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "nan at row 1, column 0"),
        (pd.DataFrame({"a": ["1", "2"]}), "must be numbers, got dtype .* ws.data.load"),
        (
            {"a": [1.0, 2.0]},
            "an array, a tensor or a table .* of class dict",
        ),
        (torch.utils.data.TensorDataset(torch.ones(3, 2)), "an array.* of class TensorDataset"),
        (torch.eye(2).to_sparse(), "must be a dense tensor, got one of torch.sparse_coo; pass"),
    ],
)
def test_bad_points_are_refused_in_one_line(x, message):
    with pytest.raises(InputError, match=message) as error:
        as_points(x)
    assert "\n" not in str(error.value)


def test_a_negative_that_is_not_yet_taken_is_taken():
    view = torch._neg_view(-torch.eye(2))
    assert view.is_neg()
    assert as_points(view).numpy().tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_whole_masked_arrays_and_nullable_columns_are_numbers():
    assert as_points(np.ma.masked_array(np.ones((2, 1), np.float32))).dtype == torch.float32
    whole = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": [0.5, 1.5]})
    assert as_points(whole.astype({"b": "Float64"})).tolist() == [[1, 0.5], [2, 1.5]]
    assert as_points(whole.convert_dtypes()).tolist() == [[1, 0.5], [2, 1.5]]


def test_rows_of_an_array_may_come_backwards():
    array = np.arange(6.0).reshape(3, 2)[::-1]
    assert as_points(array).tolist() == [[4, 5], [2, 3], [0, 1]]


def test_points_keep_their_float_type_and_are_copied():
    array = np.ones((2, 2), dtype=np.float32)
    points = as_points(array)
    array[:] = 0
    assert points.dtype == torch.float32
    assert points.sum() == 4
    assert as_points(np.ones((2, 2), dtype=np.uint8)).dtype == torch.float64
    assert as_points(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.0]})).shape == (2, 2)


def test_points_are_constants():
    points = torch.ones(2, 2, requires_grad=True)
    assert not as_points(3 * points).requires_grad
    assert as_points(points).data_ptr() == points.data_ptr()


@pytest.mark.parametrize(
    ("came", "shape", "good"),
    [((3, 6, 6), (3, 6, 6), True), ((108,), (3, 6, 6), True), ((3, 6, 6), (108,), True),
     ((6, 6), (1, 6, 6), True), ((6, 6, 1), (1, 6, 6), True), ((6, 6, 3), (3, 6, 6), False),
     ((6, 3, 6), (3, 6, 6), False), ((3, 6), (3, 6, 6), False), ((107,), (3, 6, 6), False)],
)  # fmt: skip
def test_numbers_of_a_point_are_not_taken_in_another_order(came, shape, good):
    if good:
        require_shape(torch.zeros(5, *came), shape)
        return
    with pytest.raises(InputError, match=r"must have shape \(b, 3, 6, 6\), got \(5, "):
        require_shape(torch.zeros(5, *came), shape)


def test_images_of_other_axes_are_refused_by_name():
    first, last, grey = torch.zeros(5, 3, 6, 7), np.zeros((4, 6, 7, 3)), np.zeros((4, 3, 6, 7, 1))
    require_alike(train=first, holdout=grey, generated=first.flatten(1), more=[[1.0]])
    require_alike(train=first, holdout=np.zeros((4, 6, 7)))  # of another dimension: said elsewhere
    with pytest.raises(InputError, match=r"generated must have the axes of train, \(3, 6, 7\)"):
        require_alike(train=first, holdout=grey, generated=last)


def test_tables_of_other_columns_are_refused_by_name():
    table = pd.DataFrame(np.zeros((3, 2)), columns=["a", "b"])
    require_alike(x=table, y=table.copy(), z=table.to_numpy(), w=pd.DataFrame(np.zeros((3, 2))))
    for other in (table[["b", "a"]], table.rename(columns={"b": "c"})):
        with pytest.raises(InputError, match=r"y must have the columns of x in their order, a, b"):
            require_alike(x=table, y=other)
        with pytest.raises(InputError, match=r"y must have the columns of x in their order, a, b"):
            require_alike(x=pa.Table.from_pandas(table), y=pa.Table.from_pandas(other))
