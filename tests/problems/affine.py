"""Mixtures moved by a symmetric positive definite affine map: the optimal map is known.

The model's score is the exact score of T#p with T(x) = A x + b, so that in the limit of many
steps the sampler's law is T#p and W2^2 = E |T(x) - x|^2. What a finite number of steps adds or
takes away is left out of that, so no certificate is held to it:

* General mixtures are held to Gelbrich's lower bound of p and of the law the sampler has with the
  steps it takes, from the latter's moments; for T#p itself that bound is the distance.
* Mixtures that are products along some orthogonal axes, A with the same axes, have the exact
  distance: every solver acts on each axis alone, and W2^2 is the sum of those on the axes.
"""

import itertools
import math

import torch
from tests.problems import draw, gaussian, line
from tests.problems.base import Problem

from wasserscore.core.random import Streams
from wasserscore.distance import w2_gaussian
from wasserscore.process import EDM, VE, VP, SubVP
from wasserscore.sampling import RowNoise
from wasserscore.score import GaussianScore, MixtureScore

BLOCKS, ROWS = 32, 256
"""Independent blocks of samples for a sampler's moments, and rows of each."""

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
    return Problem(name, model, reference, least, solver, steps, "karras", eta, options=options)


def limit(problem: Problem) -> float:
    """W2 in the limit of many steps: the Gelbrich distance, as T is affine and increasing."""
    return w2_gaussian(*problem.reference.moments(), *problem.score.moments())


def least(problem: Problem) -> float:
    """A lower limit of W2(p, q), q the law of the sampler with its steps; fails once in 30,000.

    The Gelbrich distance of p's moments, which are known, and q's, from independent blocks of
    samples by the jackknife.
    """
    streams, sampler = Streams(0), problem.sampler()
    start, noises = problem.reference.process.sigma(problem.grid.start), sampler.method.noises
    parts = []
    for rows in (slice(k * ROWS, (k + 1) * ROWS) for k in range(BLOCKS)):
        noise = RowNoise(streams, rows, problem.reference.shape, torch.empty(0).double(), noises)
        parts.append(sampler.run(float(start) * noise("start"), noise))
    y = torch.stack(parts)
    first = y.mean(1)
    second = y.mT @ y / ROWS

    def distance(first, second):
        covariance = second - torch.outer(first, first)
        return w2_gaussian(*problem.reference.moments(), first, covariance)

    whole = distance(first.mean(0), second.mean(0))
    left = torch.tensor([
        distance((first.sum(0) - f) / (BLOCKS - 1), (second.sum(0) - s) / (BLOCKS - 1))
        for f, s in zip(first, second, strict=True)
    ])  # fmt: skip
    error = math.sqrt((BLOCKS - 1) * float(left.var(correction=0)))
    return whole - (BLOCKS - 1) * (float(left.mean()) - whole) - 4 * error


def random_problem(i: int) -> Problem:
    """Problem ``i`` of an endless family: one general mixture, then two products."""
    return _product(i) if i % 3 else _general(i)


def _general(i: int) -> Problem:
    """A mixture in general position, on a grid fine enough for its law to be near T#p."""
    choices, generator = draw.streams("affine", i)
    process = draw.process(choices, fine=True)
    solver, steps, eta = choices.choice((
        ("heun", 25, 0.0), ("dpmpp_2m", 50, 0.0), ("exponential", 40, 0.5),
        ("ancestral", 60, 1.0), ("exponential", 60, 1.0),
    ))  # fmt: skip
    d, k, size = choices.randint(1, 10), choices.randint(2, 5), 0.2 + draw.size(choices)
    name = f"affine {i}: {process.name}, {k} modes, {solver}, eta {eta:g}, d={d}"
    return moved(name, d, k, size, process, generator, solver, steps, eta, parts=6)


def _product(i: int) -> Problem:
    """Independent coordinates along random axes, of which one or two have several modes."""
    choices, generator = draw.streams("product", i)
    process, d = draw.process(choices), choices.randint(1, 10)
    size = 0.2 + draw.size(choices)
    laws = [_law(choices, choices.randint(2, 3) if j < 1 + i % 2 else 1) for j in range(d)]
    factors = [math.exp(choices.gauss(0, size)) for _ in laws]
    shifts = [choices.gauss(0, 0.5 * size) for _ in laws]
    moved = [
        (w, [a * m + b for m in means], [a * s for s in deviations])
        for (w, means, deviations), a, b in zip(laws, factors, shifts, strict=True)
    ]
    axes = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    words, settings = line.sampler(choices, process)

    def truth(problem: Problem) -> float:
        along = [
            Problem("", _score(new, process), _score(old, process), _truth(old, settings["eta"]),
                    **settings).w2()
            for old, new in zip(laws, moved, strict=True)
        ]  # fmt: skip
        return math.hypot(*along)

    modes = math.prod(len(w) for w, _, _ in laws)
    name = f"affine {i}: {process.name}, product of {modes} modes, {words}, d={d}"
    return Problem(name, joint(moved, axes, process), joint(laws, axes, process), truth,
                   **settings)  # fmt: skip


def _law(choices, modes: int):
    """A law on an axis: weights, means, deviations."""
    parts = [choices.uniform(0.2, 1) for _ in range(modes)]
    return (
        [p / sum(parts) for p in parts],
        [choices.uniform(-2, 2) for _ in parts],
        [choices.uniform(0.15, 0.6) for _ in parts],
    )


def _score(law, process):
    """The score of a law on an axis; Gaussian where it has one mode."""
    mixture = line.mixture(*law, process)
    return mixture if len(law[0]) > 1 else GaussianScore(*mixture.moments(), process)


def _truth(law, eta: float):
    if len(law[0]) == 1:
        return gaussian.truth
    return line.flow_truth(law) if eta == 0 else line.chain_truth(law)


def joint(laws, axes, process) -> MixtureScore:
    """The law whose coordinates along the columns of ``axes`` are independent."""
    chosen = list(itertools.product(*(range(len(w)) for w, _, _ in laws)))
    pick = lambda part: torch.tensor(
        [[law[part][j] for law, j in zip(laws, one, strict=True)] for one in chosen],
        dtype=torch.float64,
    )
    covariances = axes @ torch.diag_embed(pick(2).square()) @ axes.mT
    return MixtureScore(pick(0).prod(1), pick(1) @ axes.mT, covariances, process)


def problems(n: int = 9, seed: int = 1) -> list[Problem]:
    generator = torch.Generator().manual_seed(seed)
    return [problem(i, generator) for i in range(n)]
