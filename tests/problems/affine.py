"""Mixtures moved by a symmetric positive definite affine map: the optimal map is known.

The model's score is the exact score of T#p with T(x) = A x + b, so that for a fine sampler its law
is T#p and W2^2 = E |T(x) - x|^2 = tr((A - I) C (A - I)) + |(A - I) m + b|^2.
"""

import math

import torch
from tests.problems import draw
from tests.problems.base import Problem

from wasserscore.process import EDM, VE, VP, SubVP
from wasserscore.score import MixtureScore

PROCESSES = (
    VP.linear(a=19.9, b=0.1, horizon=1.0),
    EDM(sigma_max=80.0),
    VE.from_sigmas(sigma_min=0.02, sigma_max=80.0),
    SubVP.linear(a=19.9, b=0.1),
)


def problem(i: int, generator: torch.Generator) -> Problem:
    solver, steps, eta = (("heun", 60, None), ("ancestral", 150, None))[i % 3 == 2]
    process = PROCESSES[i % len(PROCESSES)]
    name = f"affine {i} {process.name} {solver} d={1 + i % 10}"
    return moved(name, 1 + i % 10, 2 + i % 3, 0.4, process, generator, solver, steps, eta)


def moved(name, d, k, size, process, generator, solver, steps, eta, **options) -> Problem:
    """A mixture of ``k`` modes and the exact score of its image under T; ``size`` is that of A."""
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    eye = torch.eye(d, dtype=torch.float64)
    roots = 0.3 * normal(k, d, d) / math.sqrt(d)
    C = roots @ roots.mT + 0.05 * eye
    weights = torch.softmax(normal(k), 0)
    reference = MixtureScore(weights, 1.5 * normal(k, d), C, process)
    root = size * normal(d, d) / math.sqrt(d)
    A, b = root @ root.mT + 0.8 * eye, 0.75 * size * normal(d)
    model = MixtureScore(weights, reference.means @ A + b, A @ C @ A, process)
    mean, covariance = reference.moments()
    gap = A - eye
    truth = math.sqrt(float(torch.trace(gap @ covariance @ gap) + (gap @ mean + b).square().sum()))
    return Problem(name, model, reference, lambda _: truth, solver, steps, "karras", eta,
                   options=options)  # fmt: skip


def random_problem(i: int) -> Problem:
    """Problem ``i`` of an endless family: fine grids, so that the model's law is T#p."""
    choices, generator = draw.streams("affine", i)
    process = draw.process(choices, fine=True)
    solver, steps, eta = choices.choice((
        ("heun", 40, 0.0), ("dpmpp_2m", 80, 0.0), ("exponential", 100, 0.5),
        ("ancestral", 100, 1.0), ("exponential", 100, 1.0),
    ))  # fmt: skip
    d, k, size = choices.randint(1, 10), choices.randint(2, 5), 0.2 + draw.size(choices)
    name = f"affine {i}: {process.name}, {k} modes, {solver}, eta {eta:g}, d={d}"
    return moved(name, d, k, size, process, generator, solver, steps, eta, parts=6)


def problems(n: int = 9, seed: int = 1) -> list[Problem]:
    generator = torch.Generator().manual_seed(seed)
    return [problem(i, generator) for i in range(n)]
