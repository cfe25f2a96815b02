"""Every model of a table gives values as often as its training rows; of points, it does not."""

import numpy as np
import pandas as pd
import pytest
import torch

from wasserscore.core.random import Streams
from wasserscore.data import load
from wasserscore.experiment import shares
from wasserscore.experiment.model import Model
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


@pytest.fixture
def looked_at(monkeypatch):
    """How many points of a model decided how often values come."""
    counts = []
    monkeypatch.setattr(
        shares, "find_margins", lambda numbers, drawn, real: counts.append(len(drawn))
    )
    return counts


def error_at_one_percent(points: int) -> float:
    """The standard error of a share of 1 % of so many points, in parts of it."""
    return float((0.99 / 0.01 / points) ** 0.5)


def test_exact_draws_know_a_share_of_one_percent_to_a_twentieth(looked_at):
    fit_kernel_mixture(load(people(60)), seed=0, method="columns")
    assert error_at_one_percent(looked_at[0]) == pytest.approx(1 / 20, rel=0.2)


@pytest.mark.parametrize(("columns", "points"), [(1024, 2**15), (5000, 6710), (10**6, 2**12)])
def test_wide_tables_draw_so_many_points_as_hold_32_million_numbers(columns, points):
    assert shares.draws(columns) == points


@pytest.mark.parametrize(
    ("rows", "precision"),
    [(60, 1 / 6), (9000, error_at_one_percent(9000)), (60_000, 1 / 20)],
)
def test_draws_that_cost_steps_are_as_many_as_rows_within_limits(
    looked_at, monkeypatch, rows, precision
):
    """A share of 1 % to a sixth at least, and to a twentieth at most."""
    monkeypatch.setattr(Model, "drawn", lambda self, n, seed: torch.zeros(n, 1))
    data = load(pd.DataFrame({"x": np.arange(rows) / 8}))
    Model(None, data.layout).shared(data, seed=0)
    assert error_at_one_percent(looked_at[0]) == pytest.approx(precision, rel=0.2)
