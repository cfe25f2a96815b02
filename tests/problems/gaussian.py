"""Gaussian reference, score linear in x: the sampler's law is Gaussian, by recursion."""

import torch
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

    Every step is affine in the point and in the noise; its matrices are read off by moving the
    origin, the unit vectors and unit noises.
    """
    sampler, (m, V) = problem.sampler(), problem.start_moments()
    eye, zero = torch.eye(len(m), dtype=torch.float64), torch.zeros(1, len(m), dtype=torch.float64)
    noisy = problem.noise_level > 0
    for k in range(problem.steps):
        still = zero if noisy else None
        shift = sampler.step(k, zero, still)
        A = sampler.step(k, eye, 0 * eye if noisy else None) - shift
        m = m @ A + shift[0]
        V = A.mT @ V @ A
        if noisy:
            N = sampler.step(k, 0 * eye, eye) - shift
            V = V + N.mT @ N
    return m, V


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
