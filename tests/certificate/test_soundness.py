"""The upper bound is never below the truth, and not far above it."""

import pytest
import torch
from tests.problems import adversarial, affine, gaussian, line
from tests.problems.base import Problem

from wasserscore.certificate import certify
from wasserscore.planner import gaussian_recursion

LEVEL = 0.999


def ratio(problem: Problem) -> float:
    """Upper bound over truth; nothing that the bound rests on may be violated."""
    certificate = certify(
        problem.score, problem.reference, level=LEVEL, **({"parts": 4} | problem.settings())
    )
    assert all(a.status != "violated" for a in certificate.assumptions)
    return float(certificate.upper) / problem.w2()


def check(problems, *, near):
    """No bound below the truth (computed to 1e-6); ``near`` or more within twice of it."""
    ratios = {problem.name: ratio(problem) for problem in problems}
    low = {name: value for name, value in ratios.items() if value < 1 - 1e-6}
    assert not low, low
    assert sum(value <= 2 for value in ratios.values()) >= near, ratios


@pytest.mark.slow
def test_some_gaussian_problems():
    check(gaussian.problems()[::3], near=3)


@pytest.mark.slow
def test_twenty_gaussian_problems():
    check(gaussian.problems(), near=10)


@pytest.mark.slow
def test_some_mixture_problems():
    check([line.problems()[6], affine.problems()[0]], near=1)


@pytest.mark.accept
@pytest.mark.parametrize("family", [line, affine], ids=["line", "affine"])
def test_twenty_mixture_problems(family):
    problems = family.problems()
    check(problems, near=len(problems) // 2 + 1)


def test_random_problems():
    check([gaussian.random_problem(i) for i in (0, 8)], near=2)
    check([line.random_problem(0)], near=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "first", "n", "near"),
    [(gaussian, 200, 20, 10), (line, 150, 3, 1), (affine, 160, 2, 1)],
    ids=["gaussian", "line", "affine"],
)
def test_many_random_problems(family, first, n, near):
    check([family.random_problem(i) for i in range(first, first + n)], near=near)


LONG = "B5 bump, eta 1"
"""Its twin without noise is among the slow ones."""


def adversaries():
    found = []
    for problem in adversarial.problems():
        quick, long = problem.name == "B2 different scalings", problem.name == LONG
        marks = [] if quick else [pytest.mark.accept if long else pytest.mark.slow]
        found.append(pytest.param(problem, marks=marks, id=problem.name))
    return found


@pytest.mark.parametrize("problem", adversaries())
def test_adversaries(problem):
    # a rung that a violated assumption makes invalid is fine: then it is not the smallest one
    found = certify(
        problem.score, problem.reference, level=LEVEL,
        **({"parts": 2, "n": 64} | problem.settings()),
    )  # fmt: skip
    assert found.best().upper.value >= problem.w2() * (1 - 1e-6)


def test_the_catalogue_has_twenty_mixtures():
    assert len(line.problems()) + len(affine.problems()) == 20


def test_quantiles_of_the_catalogue():
    line.check_quantiles()


@pytest.mark.parametrize(
    ("solver", "eta"), [("heun", 0.0), ("dpmpp_2m_sde", 1.0), ("exponential", 0.5)]
)
def test_moments_agree_with_the_planners_recursion(solver, eta):
    process = gaussian.PROCESSES[0]
    mean, values = torch.tensor([0.7, -1.0]).double(), torch.tensor([0.2, 2.0]).double()
    reference = gaussian.GaussianScore(mean, values.diag(), process)
    problem = Problem("", reference, reference, gaussian.truth, solver, 17, eta=eta)
    m, V = gaussian.moments(problem)
    other = gaussian_recursion(process, solver, problem.grid, mean, values, eta=eta)
    assert torch.allclose(m, other[0], rtol=1e-10)
    assert torch.allclose(V, other[1].diag(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("solver", "eta"), [("exponential", 0.0), ("exponential", 0.6),
                                             ("ancestral", 1.0)])  # fmt: skip
def test_truth_on_the_line_agrees_with_moments(solver, eta):
    # one mode and an affine score: quantiles, densities and moments know the same distance
    law = ([1.0], [0.4], [0.5])
    process = line.VP.linear(a=19.9, b=0.1, horizon=1.0)
    score = line.mixture(*law, process)
    model = lambda x, t: 1.1 * score(x, t)
    by = line.flow_truth(law) if eta == 0 else line.chain_truth(law)
    on_line = Problem("", model, score, by, solver, 25, "uniform", eta, "reference")
    normal = gaussian.GaussianScore(torch.tensor([0.4]).double(), torch.tensor([[0.25]]).double(),
                                    process)  # fmt: skip
    by_moments = Problem(
        "", model, normal, gaussian.truth, solver, 25, "uniform", eta, "reference"
    )
    assert on_line.w2() == pytest.approx(by_moments.w2(), rel=2e-4)
