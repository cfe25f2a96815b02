import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from wasserscore.audit.tables import as_rows, distinct, exact_matches
from wasserscore.core.errors import InputError


def frame(**columns):
    return pd.DataFrame(columns)


def test_columns_are_aligned_by_name():
    train, other = frame(a=[1, 2], b=[3, 4]), frame(b=[5.0, 6.0], a=[7.0, 8.0])
    rows = as_rows(train, other, other)
    expected = torch.tensor([[7.0, 5.0], [8.0, 6.0]]).double()
    assert torch.equal(rows.generated, expected)
    assert torch.equal(rows.holdout, expected)


def test_tables_of_other_libraries_are_aligned_too():
    train, other = (pa.table(x) for x in ({"a": [1, 2], "b": [3, 4]}, {"b": [5.0], "a": [7.0]}))
    assert as_rows(train, other, None).generated.tolist() == [[7.0, 5.0]]


def test_arrays_and_tensors_keep_their_shape():
    rows = as_rows(np.zeros((3, 2, 2)), torch.ones(4, 2, 2), None)
    assert rows.train.shape == (3, 2, 2)
    assert rows.generated.dtype == torch.float32
    assert rows.holdout is None


def test_what_does_not_fit_is_named():
    train = frame(a=[1, 2], b=[3, 4])
    with pytest.raises(InputError, match=r"generated .* missing \['b'\], extra \['c'\]"):
        as_rows(train, frame(a=[1], c=[2]), None)
    with pytest.raises(InputError, match=r"holdout must have numbers .* \['b'\]"):
        as_rows(train, train, frame(a=[1, 2], b=["x", "y"]))
    with pytest.raises(InputError, match="rows like train"):
        as_rows(train, np.zeros((3, 3)), None)
    twice = pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"])
    with pytest.raises(InputError, match="each column once"):
        as_rows(twice, twice, None)
    with pytest.raises(InputError, match=r"generated must be finite.*row 1"):
        as_rows(train, frame(a=[1.0, np.nan], b=[0.0, 0.0]), None)


def test_distinct_rows_keep_their_first_place():
    rows = torch.tensor([[3.0, 1], [1, 1], [3, 1], [0, 2], [1, 1]])
    points, places = distinct(rows)
    assert places.tolist() == [0, 1, 3]
    assert torch.equal(points, rows[[0, 1, 3]])


def test_exact_matches_compare_numbers():
    train = torch.tensor([[0.1, 0.2], [0.0, 1.0]], dtype=torch.float64)
    rows = torch.tensor([[0.1, 0.2], [-0.0, 1.0], [0.1, 0.3]], dtype=torch.float64)
    assert exact_matches(rows, train).tolist() == [True, True, False]
    assert exact_matches(rows + 1e-12, train).tolist() == [False, False, False]


@pytest.mark.parametrize("single", range(3))
def test_the_coarsest_type_counts_for_all(single):
    sets = [torch.full((2, 2), 0.1, dtype=torch.float64) for _ in range(3)]
    assert {x.dtype for x in as_rows(*sets)} == {torch.float64}
    sets[single] = sets[single].float()
    rows = as_rows(*sets)
    assert {x.dtype for x in rows} == {torch.float32}
    assert exact_matches(rows.generated, rows.train).all()


def test_rows_that_are_not_there_are_asked_for():
    rows = torch.zeros(3, 2)
    for train, generated in ((None, rows), (rows, None)):
        with pytest.raises(InputError, match="needs train and generated rows"):
            as_rows(train, generated, None)
