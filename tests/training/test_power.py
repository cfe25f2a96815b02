"""Averages by powers of time, their widths, and mixtures that come near others."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from wasserscore.core.errors import InputError
from wasserscore.training.power import WIDEST, Profile, exponent, kept, nearest, overlap
from wasserscore.training.schedule import Schedule

WIDTHS = (0.05, 0.1)


def profile(width, t, tau):
    g = exponent(width)
    return (g + 1) * tau**g / t ** (g + 1) if tau <= t else 0.0


def test_powers_of_the_paper_s_widths():
    assert [exponent(width) for width in WIDTHS] == pytest.approx([16.97, 6.94], abs=5e-3)
    assert exponent(WIDEST) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("width", [0.02, 0.1, 0.28])
def test_a_width_is_a_standard_deviation_over_the_time(width):
    moments = [quad(lambda u, k=k: u**k * profile(width, 1, u), 0, 1)[0] for k in range(3)]
    assert moments[0] == pytest.approx(1)
    assert moments[2] - moments[1] ** 2 == pytest.approx(width**2, rel=1e-6)


def test_step_by_step_it_is_the_integral():
    """Over weights that are constant during a step, to the last digits."""
    path = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    schedule = Schedule(40, 1e-3, (0.9,), widths=(0.05, 0.2))
    for place, width in ((1, 0.05), (2, 0.2)):
        average = torch.tensor(7.0, dtype=torch.float64)
        for k, weight in enumerate(path):
            average = average.lerp(weight, 1 - schedule.keep(k)[place])
        g, ends = exponent(width), torch.arange(41, dtype=torch.float64) / 40
        parts = (ends ** (g + 1)).diff()
        assert float(average) == pytest.approx(float(parts @ path), abs=1e-14)
    assert schedule.keep(3)[0] == Schedule(40, 1e-3, 0.9).keep(3)[0]
    assert kept(0.1, 0) == 0


@pytest.mark.parametrize(("a", "b"), [((0.05, 30), (0.2, 70)), ((0.05, 70), (0.2, 30)),
                                      ((0.1, 50), (0.07, 50))])  # fmt: skip
def test_overlaps_are_integrals(a, b):
    product = lambda tau: profile(*a, tau) * profile(*b, tau)
    integral = quad(product, 0, 30, epsabs=1e-13)[0] + quad(product, 30, 70, epsabs=1e-13,
                                                           points=[50])[0]  # fmt: skip
    assert overlap(Profile(*a), Profile(*b)) == pytest.approx(integral, rel=1e-8)


PATHS = {m: lambda g, t, m=m: (g + 1) / (g + 1 + m) * t**m for m in range(4)}
"""The average of the weights tau^m, by power and end."""


@pytest.mark.parametrize("width", [0.04, 0.07, 0.13, 0.2])
def test_averages_of_a_known_path_are_made_of_others(width):
    """Polynomials on [0, 1]: 16 checkpoints, two averages in each."""
    known = [Profile(own, step) for step in range(1, 17) for own in WIDTHS]
    factors, missing = nearest(Profile(width, 16), known)
    for average in PATHS.values():
        made = sum(f * average(exponent(p.width), p.step / 16)
                   for f, p in zip(factors, known, strict=True))  # fmt: skip
        assert made == pytest.approx(
            average(exponent(width), 1.0), abs=1e-4 if width < 0.2 else 1e-3
        )
    assert sum(factors) == pytest.approx(1, abs=1e-12)  # the weight 1 stays
    grid = (np.arange(16_000) + 0.5) / 1000
    sums = sum(f * np.array([profile(*p, tau) for tau in grid])
               for f, p in zip(factors, known, strict=True))  # fmt: skip
    aim = np.array([profile(width, 16, tau) for tau in grid])
    norm = lambda f: (f**2).mean() ** 0.5
    assert missing == pytest.approx(norm(sums - aim) / norm(aim), rel=0.02)
    assert missing < 0.03


def test_one_that_is_known_is_itself_and_few_miss_much():
    known = [Profile(own, step) for step in (50, 100) for own in WIDTHS]
    factors, missing = nearest(Profile(0.1, 100), known)
    assert factors == pytest.approx([0, 0, 0, 1], abs=1e-9)
    assert missing < 1e-6
    assert nearest(Profile(0.25, 100), known)[1] > 0.3


@pytest.mark.parametrize("width", [0.0, -0.1, 0.3])
def test_widths_that_no_average_has_are_refused(width):
    with pytest.raises(InputError, match=r"the width of an average must lie in \(0, 0.2887\]"):
        exponent(width)
