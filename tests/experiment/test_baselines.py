"""What a model is held against."""

import pytest
import torch
from tests.kernel.test_nearest import draw

from wasserscore.data import Dataset
from wasserscore.experiment.baselines import TITLES, fit_baseline, names_for


def vectors(rows):
    return Dataset.build(rows, name="rows", kind="vectors")


@pytest.mark.parametrize(("n", "full"), [(6, False), (7, True)])
def test_a_full_covariance_takes_more_rows_than_columns_that_vary(n, full):
    rows = torch.cat([draw(n, 6), torch.ones(n, 3, dtype=torch.float64)], 1).repeat(2, 1)
    assert names_for(vectors(rows)) == [name for name in TITLES if full or name != "full"]


def test_a_full_kernel_of_fewer_rows_has_no_density_where_fresh_rows_lie():
    """Why it is left out: the likelihood of a kernel in the span of 12 of 24 columns."""
    likelihood = {}
    for kind in ("isotropic", "full"):
        model = fit_baseline(kind, vectors(draw(12, 24)), seed=0)
        likelihood[kind] = float(model.score.log_prob(draw(50, 24, seed=1)).mean())
    assert likelihood["full"] < likelihood["isotropic"] - 100
