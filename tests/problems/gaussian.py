"""Gaussian reference, score linear in x: the sampler's law is Gaussian, by recursion."""

import random

import torch
from tests.problems import draw
from tests.problems.base import Problem

from wasserscore.distance import w2_gaussian
from wasserscore.process import EDM, OU, VE, VP, SubVP
from wasserscore.score import GaussianScore

ERRORS = ("scale", "bias", "rotation", "isotropic", "both")
PROCESSES = (
    VP.linear(a=19.9, b=0.1, horizon=1.0),
    VE.from_sigmas(sigma_min=0.02, sigma_max=20.0),
    EDM(sigma_max=40.0),
    SubVP.linear(a=19.9, b=0.1),
    OU(alpha=1.0, sigma=1.5),
)
SAMPLERS = (
    ("heun", 18, "karras", None),
    ("ancestral", 40, "karras", 1.0),
    ("euler_maruyama", 120, "logsnr", 1.0),
    ("exponential", 30, "logsnr", 0.0),
    ("ddim", 25, "karras", 0.5),
    ("integrated_euler", 100, "karras", 1.0),
    ("exponential", 60, "karras", 0.7),
)


def moments(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of the sampler's output.

    The whole run is affine in the start and in every noise; its matrices are read off by one run
    whose rows are the origin, the unit starts, and the unit noises of every step.
    """
    sampler, (m, V) = problem.sampler(), problem.start_moments()
    d, steps = len(m), problem.grid.steps if sampler.stochastic else 0
    rows = 1 + d + steps * d
    start = torch.zeros(rows, d, dtype=torch.float64)
    start[1 : 1 + d] = torch.eye(d, dtype=torch.float64)

    def noise(k: int) -> torch.Tensor:
        z = torch.zeros(rows, d, dtype=torch.float64)
        first = 1 + d + k * d
        z[first : first + d] = torch.eye(d, dtype=torch.float64)
        return z

    ends = sampler.run(start, noise if sampler.stochastic else None)
    A, N = ends[1 : 1 + d] - ends[0], ends[1 + d :] - ends[0]
    return m @ A + ends[0], A.mT @ V @ A + N.mT @ N


def truth(problem: Problem) -> float:
    return w2_gaussian(*problem.reference.moments(), *moments(problem))


def wrong(reference: GaussianScore, error: str, size: float):
    """A score that is wrong in one way."""
    d, process = reference.dim, reference.process
    rotation = torch.zeros(d, d, dtype=torch.float64)
    if d > 1:
        rotation[0, 1], rotation[1, 0] = size, -size
    variance = float(torch.diagonal(reference.moments()[1]).mean())

    def small(t):
        """A score's own size at this noise."""
        return 1 / (1 + process.variance(t)).sqrt()

    def isotropic(x, t):
        alpha, s2 = process.alpha(t), process.variance(t)
        return -(x - alpha * reference.moments()[0]) / (alpha**2 * variance + s2)

    return {
        "scale": lambda x, t: (1 + size) * reference(x, t),
        "bias": lambda x, t: reference(x, t) + size * small(t),
        "rotation": lambda x, t: reference(x, t) + small(t) ** 2 * (x @ rotation),
        "isotropic": isotropic,
        "both": lambda x, t: (1 - size / 2) * reference(x, t) + size * small(t),
    }[error]


def problems(n: int = 20, seed: int = 0) -> list[Problem]:
    """``n`` problems that go through processes, errors, samplers and starts."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(n):
        d = 1 + i % 6
        root = torch.randn(d, d, generator=generator, dtype=torch.float64) * 0.6
        C = root @ root.mT + 0.1 * torch.eye(d, dtype=torch.float64)
        m = torch.randn(d, generator=generator, dtype=torch.float64)
        size = 0.1 + 0.4 * float(torch.rand((), generator=generator, dtype=torch.float64))
        error = ERRORS[i % len(ERRORS)]
        reference = GaussianScore(m, C, PROCESSES[(i // 2) % len(PROCESSES)])
        solver, steps, kind, eta = SAMPLERS[i % len(SAMPLERS)]
        found.append(
            Problem(
                f"{i} {reference.process.name} {error} {solver} d={d}",
                wrong(reference, error, size), reference, truth, solver, steps, kind, eta,
                start="reference" if i % 4 == 3 else "prior",
            )
        )  # fmt: skip
    return found


def random_problem(i: int) -> Problem:
    """Problem ``i`` of an endless family: any process, solver, grid, start, stop and error."""
    choices, generator = draw.streams("gaussian", i)
    d = choices.randint(1, 8)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    process = draw.process(choices)
    reference = _law(choices, normal, d, process)
    error = choices.choice((*ERRORS, "other law", "none"))
    if error == "other law":
        near = 1 + draw.size(choices)
        mean, covariance = reference.moments()
        score = GaussianScore(mean + 0.1 * normal(d), near * covariance, process)
    elif error == "none":
        score = reference
    else:
        score = wrong(reference, error, draw.size(choices))
    noisy = choices.random() < 0.6
    solver = choices.choice((*draw.CHAINS, "dpmpp_2m_sde", "heun_churn") if noisy else draw.FLOWS)
    level = None if solver in ("dpmpp_2m_sde", "heun_churn") else 0.0
    if noisy and level is not None:
        level = draw.eta(choices, solver)
    kind = choices.choice(("karras", "logsnr"))
    steps = draw.steps(choices)
    if process.name.startswith(("VP", "OU")) and steps >= 20:
        kind = choices.choice((kind, "uniform"))
    stop = float(process.time_at(10 ** choices.uniform(-4, -2))) if i % 7 == 6 else None
    start = "reference" if choices.random() < 0.25 else "prior"
    name = f"gaussian {i}: {process.name}, {error}, {solver}, {steps} {kind} steps, d={d}"
    return Problem(name, score, reference, truth, solver, steps, kind, level, start, stop)


def _law(choices: random.Random, normal, d, process) -> GaussianScore:
    """Variances from .02 to 3 along random axes, a mean of order one."""
    values = torch.tensor([10 ** choices.uniform(-1.7, 0.48) for _ in range(d)]).double()
    axes = torch.linalg.qr(normal(d, d))[0]
    return GaussianScore(normal(d), axes @ values.diag() @ axes.mT, process)
