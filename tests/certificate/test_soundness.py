"""The upper bound is never below the truth, and not far above it."""

import pytest
from tests.problems import affine, gaussian, line

from wasserscore.certificate import certify

LEVEL = 0.999


def check(problems, *, near):
    """No bound below the truth (relative tolerance 1e-6); at least ``near`` within twice of it."""
    ratios = {}
    for problem in problems:
        certificate = certify(
            problem.score, problem.reference, level=LEVEL, parts=4, **problem.settings()
        )
        ratios[problem.name] = float(certificate.upper) / problem.w2()
        assert all(a.status != "violated" for a in certificate.assumptions)
    low = {name: ratio for name, ratio in ratios.items() if ratio < 1 - 1e-6}
    assert not low, low
    assert sum(ratio <= 2 for ratio in ratios.values()) >= near, ratios


def test_twenty_gaussian_problems():
    check(gaussian.problems(), near=10)


def test_some_mixture_problems():
    check([line.problems()[6], line.problems()[7], affine.problems()[0]], near=1)


@pytest.mark.slow
@pytest.mark.parametrize("family", [line, affine], ids=["line", "affine"])
def test_twenty_mixture_problems(family):
    problems = family.problems()
    check(problems, near=len(problems) // 2 + 1)


def test_the_catalogue_has_twenty_mixtures():
    assert len(line.problems()) + len(affine.problems()) == 20


def test_quantiles_of_the_catalogue():
    line.check_quantiles()
