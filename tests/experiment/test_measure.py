"""Scales, standard errors and bandwidths against formulas written out anew."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import sem

from wasserscore.data import load
from wasserscore.distance.exact import MAX_PAIRS
from wasserscore.experiment import measure
from wasserscore.experiment.measure import Scales, mean_log_density
from wasserscore.experiment.models import nearest_scale


def test_mean_log_density_has_the_standard_error_of_the_mean(generator):
    values = torch.randn(50, generator=generator, dtype=torch.float64)
    found = mean_log_density(values)
    assert found.value == pytest.approx(values.numpy().mean())
    assert found.stderr == pytest.approx(sem(values.numpy()))
    assert (found.n, found.status) == (50, "ok")
    broken = mean_log_density(torch.cat([values, values.new_tensor([-torch.inf])]))
    assert broken.status == "a held-out row has density zero"


def test_nearest_scale_is_half_the_median_gap_per_root_dimension(generator):
    x = torch.randn(40, 9, generator=generator, dtype=torch.float64)
    gaps = cdist(x, x) + np.diag(np.full(40, np.inf))
    # torch's median is the lower of the two middle values
    middle = np.sort(gaps.min(1))[19]
    assert nearest_scale(x) == pytest.approx(middle / 2 / 3)
    assert nearest_scale(torch.zeros(4, 2).double()) == 0.1


def test_all_laws_are_weighed_with_one_bandwidth_and_one_set_of_directions():
    data = load("moons")
    train, holdout, other = (data.take(torch.arange(a, a + 40)) for a in (0, 40, 80))
    scales = Scales(train, holdout, 2, 0)
    floors = scales.floors(lambda done, total: None)
    one, two = (scales.weigh(other.points, floors) for _ in range(2))
    assert one == two
    assert "bandwidth" in one["mmd"]["units"]
    assert one["mmd"]["units"] == floors["mmd"].floor.units
    few = scales.fidelity(other.points[:5])
    assert few == dict.fromkeys(("precision", "recall", "density", "coverage"))


def test_distances_of_many_rows_are_taken_at_as_many_as_exact_w2_allows(monkeypatch):
    """Floor, bootstrap and value alike; a law with its first rows far off is drawn from."""
    monkeypatch.setattr(measure, "MEASURED", 30)
    data = load("moons")
    train, holdout, other = (data.take(torch.arange(a, a + 60)) for a in (0, 60, 120))
    scales = Scales(train, holdout, 2, 0)
    floors = scales.floors(lambda done, total: None)
    assert {found.n for found in floors.values()} == {30}
    rows = other.points.clone()
    rows[:30] += 100.0
    found = scales.weigh(rows, floors)
    assert found["w2"]["n"] == 30
    assert 50 < found["w2"]["value"] < 120  # 141 where only the first rows were taken


def test_exact_w2_takes_the_rows_that_are_measured():
    assert measure.MEASURED**2 <= MAX_PAIRS
