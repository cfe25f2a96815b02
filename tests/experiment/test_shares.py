"""Every model of a table gives values as often as its training rows; of points, it does not."""

import numpy as np
import pandas as pd
import pytest
import torch

from wasserscore.core.random import Streams
from wasserscore.data import load
from wasserscore.experiment.models import fit_kernel_mixture, fit_network
from wasserscore.experiment.one_step import fit_one_step

AGES = range(16, 65)


def people(n: int = 400) -> pd.DataFrame:
    """Ages from 16 on, capped at 64, beside six columns that have nothing to do with them."""
    rng = np.random.default_rng(0)
    age = np.clip(16 + rng.exponential(20, n) // 1, 16, 64).astype(int)
    return pd.DataFrame({"age": age} | {f"x{j}": rng.normal(size=n).round(3) for j in range(6)})


def fitted(name: str, data):
    if name == "proximal":
        return fit_kernel_mixture(data, seed=0, method="columns")
    if name == "network":
        return fit_network(data, seed=0, width=16, depth=1, steps=30)
    return fit_one_step(data, seed=0, width=16, depth=1, steps=5, latent=2)


@pytest.mark.parametrize("name", ["proximal", "network", "one-step"])
def test_ages_come_as_often_as_in_the_table(name):
    """However little the model was trained: in total variation, to what two samples differ by."""
    frame = people()
    model = fitted(name, load(frame))
    rows = model.layout.frame(model.sample(4000, seed=1))
    made, wanted = (f["age"].value_counts(normalize=True).reindex(AGES, fill_value=0)
                    for f in (rows, frame))  # fmt: skip
    cut = model.layout.frame(model.layout.snap(model.layout.clip(model.drawn(4000, seed=1))))
    without = cut["age"].value_counts(normalize=True).reindex(AGES, fill_value=0)
    assert 0.5 * (made - wanted).abs().sum() < 0.09
    assert 0.5 * (without - wanted).abs().sum() > 0.1
    assert abs(made[64] - wanted[64]) < 0.02
    assert abs(made[16] - wanted[16]) < 0.02


def test_points_that_are_no_table_are_only_cut():
    x = torch.randn(60, 2, generator=Streams(0).generator("x"), dtype=torch.float64)
    assert fit_kernel_mixture(load(x), seed=0, method="columns").layout.margins is None
