"""How often fresh data are flagged, and how often planted copies are: the stated rates hold."""

import pytest
from tests.audit.laws import flagged

PLANTED = pytest.mark.parametrize("noise", [0.0, 0.01])
LAWS = pytest.mark.parametrize("name", ["digits", "moons"])


@LAWS
def test_fresh_data_pass(name):
    assert flagged(name, 4) <= 1 / 4


@LAWS
@PLANTED
def test_planted_copies_are_seen(name, noise):
    assert flagged(name, 2, share=0.05, noise=noise) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "moons", "table"])
def test_false_positive_rate(name):
    # more than two of forty have a chance of 1 in 20 at the stated rate; seeds are fixed
    assert flagged(name, 40) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "moons", "table"])
@PLANTED
def test_power(name, noise):
    assert flagged(name, 40, share=0.05, noise=noise) >= 0.95
