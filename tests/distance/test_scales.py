"""Clouds of huge and of tiny numbers: the same distances in that unit, or one clear refusal."""

import pytest
import torch

from wasserscore import distance
from wasserscore.core.errors import InputError
from wasserscore.distance.mmd import median_bandwidth

HUGE, TINY = 2.0**532, 2.0**-564


def clouds(unit=1.0, n=40):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    return unit * x, unit * (y + 1)


@pytest.mark.parametrize("unit", [HUGE, TINY, 2.0**1020, 2.0**-1000])
@pytest.mark.parametrize(("name", "power"), [
    ("w2", 1), ("sliced_w2", 1), ("gelbrich", 1), ("energy", 0.5), ("mmd", 0),
])  # fmt: skip
def test_a_distance_has_the_unit_of_its_clouds(name, power, unit):
    measure = getattr(distance, name)
    near, far = measure(*clouds()), measure(*clouds(unit))
    assert far.value == pytest.approx(unit**power * near.value, rel=1e-12, abs=0)
    if near.stderr is not None:
        assert far.stderr == pytest.approx(unit**power * near.stderr, rel=1e-9, abs=0)


@pytest.mark.parametrize("unit", [HUGE, TINY])
def test_widths_and_balls_have_it_too(unit):
    assert median_bandwidth(*clouds(unit)) == pytest.approx(unit * median_bandwidth(*clouds()))
    wide, same = (
        distance.mmd(*clouds(unit), bandwidth=2 * unit),
        distance.mmd(*clouds(), bandwidth=2.0),
    )
    assert wide.value == pytest.approx(same.value, rel=1e-12)
    near, far = distance.prdc(*clouds()), distance.prdc(*clouds(unit))
    assert (far.density.value, far.coverage.value) == (near.density.value, near.coverage.value)


def test_points_far_apart_for_a_given_width_see_only_themselves():
    x, y = clouds(2.0**1020)
    assert distance.mmd(x, y, bandwidth=1e-10).value == 0


@pytest.mark.parametrize("unit", [HUGE, TINY])
def test_squared_distances_are_refused(unit):
    x, y = clouds(unit)
    for measure in (
        distance.frechet,
        distance.sinkhorn_divergence,
        lambda x, _: distance.ksd(x, lambda z: -z),
    ):
        with pytest.raises(InputError, match="largest coordinate must be between 1e-150 and 1e"):
            measure(x, y)
    zeros = torch.zeros(4, 3, dtype=torch.float64)
    assert distance.frechet(zeros, zeros).value == 0
