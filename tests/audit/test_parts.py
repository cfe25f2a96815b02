"""An audit against rows on disk is the audit against the same rows in memory."""

import numpy as np
import pytest
import torch

import wasserscore as ws
from wasserscore.audit import neighbours, parts
from wasserscore.core.errors import InputError
from wasserscore.data import Mapped

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()


@pytest.fixture
def rows():
    """150 rows, some of them repeated in other parts and within one."""
    x = np.random.default_rng(0).normal(size=(150, 3)).round(1)
    x[8] = x[7] + 0.001  # so that the repeated row has the least spacing
    x[[60, 61, 149]] = x[7]
    return torch.from_numpy(x)


@pytest.fixture
def mapped(rows, monkeypatch):
    monkeypatch.setattr(parts, "PART_NUMBERS", 3 * 16)  # the last part has six rows
    columns = {name: rows[:, j].numpy() for j, name in enumerate("abc")}
    return Mapped(datasets.Dataset.from_dict(columns), tuple("abc")).to(torch.float64)


def test_two_nearest_distinct_rows_of_all_parts(rows, mapped):
    fresh = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)).double()
    x = torch.cat([rows[[7, 149, 3]], fresh])
    known = neighbours.training(rows)
    found, yardstick = known.closest(x), parts.training_in_parts(mapped)
    assert (yardstick.count, yardstick.copy_distance) == (known.count, known.copy_distance)
    for own, other in zip(yardstick.closest(x), found, strict=True):
        assert torch.equal(own, other)
    assert found.row[0] == found.row[1] == 7
    assert found.second[0] > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_report_is_the_one_in_memory_but_for_cells_and_rare_rows(rows, mapped, dtype):
    generator = torch.Generator().manual_seed(2)
    generated, holdout = torch.randn(2, 200, 3, generator=generator).double()
    generated[[5, 9, 199]] = rows[[149, 20, 148]]
    generated, holdout = generated.to(dtype), holdout.to(dtype)
    known = ws.audit(train=rows, generated=generated, holdout=holdout).to_dict()
    found = ws.audit(train=mapped, generated=generated, holdout=holdout).to_dict()
    assert [found.pop(name) for name in ("c_t", "exposure", "exposed")] == [None, None, []]
    for name in ("c_t", "exposure", "exposed"):
        del known[name]
    assert found == known
    assert found["exact_rate"]["value"] >= 3 / 200


def test_some_rows_are_asked_for_their_spacing_and_all_for_copies(rows, mapped, monkeypatch):
    monkeypatch.setattr(parts, "SPACING_ROWS", 90)
    seldom = [parts.training_in_parts(mapped, seed=seed).copy_distance for seed in range(8)]
    assert len(set(seldom)) > 1
    assert min(seldom) > 0  # a repeated row is asked once
    assert bool(parts.exact_in_parts(rows, mapped).all())
    assert bool((parts.two_nearest(rows, mapped)[0][:, 0] == 0).all())


@pytest.mark.parametrize("unit", [1e300, 1e-170])
def test_rows_whose_squares_are_no_numbers_are_refused(rows, unit):
    columns = {name: (rows[:, j] * unit).numpy() for j, name in enumerate("abc")}
    large = Mapped(datasets.Dataset.from_dict(columns), tuple("abc")).to(torch.float64)
    with pytest.raises(InputError, match="largest coordinate must be between"):
        ws.audit(train=large, generated=rows)


def test_what_needs_rows_in_memory_is_refused(rows, mapped):
    with pytest.raises(InputError, match="audited as given, got features"):
        ws.audit(train=mapped, generated=rows, features="pca")
    with pytest.raises(InputError, match="at least 3 distinct rows, got 2"):
        ws.audit(train=Mapped(mapped.table.select([7, 60, 8]), mapped.columns), generated=rows)
