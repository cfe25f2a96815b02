"""One dimension: the law of the sampler's output by quantiles or by its density on a grid."""

import math

import numpy as np
import torch
from scipy import stats
from tests.problems.base import Problem

from wasserscore.process import EDM, VE, VP
from wasserscore.score import MixtureScore

RESOLUTION = 0.01
"""Largest jump of a map between neighbouring normal scores."""
EDGE = 8.0
"""Standard normal quantiles beyond this many deviations are left out (mass 1e-15)."""


def mixture(weights, means, deviations, process) -> MixtureScore:
    tensor = lambda v: torch.tensor(v, dtype=torch.float64)
    return MixtureScore(
        tensor(weights),
        tensor(means)[:, None],
        tensor(deviations).square()[:, None, None],
        process,
    )


def cdf(weights, means, deviations, x):
    return sum(
        w * stats.norm.cdf(x, m, s) for w, m, s in zip(weights, means, deviations, strict=True)
    )


def quantiles(law, z):
    """Mixture quantiles at the normal scores ``z`` (bisection, both tails by symmetry)."""
    weights, means, deviations = law
    low = torch.full_like(z, min(m - 12 * s for m, s in zip(means, deviations, strict=True)))
    high = torch.full_like(z, max(m + 12 * s for m, s in zip(means, deviations, strict=True)))
    u = torch.from_numpy(stats.norm.cdf(z.numpy()))
    v = torch.from_numpy(stats.norm.sf(z.numpy()))
    for _ in range(90):
        middle = (low + high) / 2
        below = torch.from_numpy(cdf(weights, means, deviations, middle.numpy()))
        above = torch.from_numpy(cdf(weights, [-m for m in means], deviations, -middle.numpy()))
        left = torch.where(z < 0, below < u, above > v)
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return (low + high) / 2


def matched(law, x, mass) -> float:
    """W2 between the mixture and the masses at ``x``, by quantiles."""
    x, order = x.sort()
    mass = mass[order] / mass.sum()
    below = torch.cumsum(mass, 0) - mass / 2
    above = mass.flip(0).cumsum(0).flip(0) - mass / 2
    z = torch.from_numpy(
        np.where(below < 0.5, stats.norm.ppf(below.numpy()), -stats.norm.ppf(above.numpy()))
    )
    inside = z.isfinite() & (z.abs() < EDGE)
    gap = quantiles(law, z[inside]) - x[inside]
    return math.sqrt(float((mass[inside] * gap**2).sum()))


def flow_truth(law):
    """The sampler without noise is a map F of the prior; F and the target's quantiles are steep
    between modes, so normal scores are halved until neither jumps by more than RESOLUTION."""

    def truth(problem: Problem) -> float:
        sigma, run = (
            float(problem.reference.process.sigma(problem.grid.start)),
            problem.sampler().run,
        )
        z = torch.linspace(-EDGE, EDGE, 801, dtype=torch.float64)
        ends, target = run(sigma * z[:, None])[:, 0], quantiles(law, z)
        for _ in range(12):
            wide = (ends.diff().abs() + target.diff().abs() > RESOLUTION).nonzero()[:, 0]
            if not len(wide):
                break
            new = (z[wide] + z[wide + 1]) / 2
            z, order = torch.cat([z, new]).sort()
            ends = torch.cat([ends, run(sigma * new[:, None])[:, 0]])[order]
            target = torch.cat([target, quantiles(law, new)])[order]
        widths = torch.cat([z.diff()[:1], z[2:] - z[:-2], z.diff()[-1:]]) / 2
        mass = torch.exp(-(z**2) / 2) * widths
        if bool((ends.diff() > 0).all()):
            return math.sqrt(float((mass * (target - ends) ** 2).sum() / mass.sum()))
        return matched(law, ends, mass)

    return truth


def chain_truth(law):
    """The sampler with noise: its density by the Chapman-Kolmogorov integral, then quantiles."""

    def truth(problem: Problem) -> float:
        process, grid, method = problem.reference.process, problem.grid, problem.sampler().method
        sigma = float(process.sigma(grid.start))
        z = torch.linspace(-EDGE, EDGE, 801, dtype=torch.float64)
        x, mass = sigma * z, torch.exp(-(z**2) / 2)
        mass = mass / mass.sum()
        for k, t, s in grid.pairs():
            e, q, n = (float(c) for c in method.coefficients(process, t, s, problem.noise_level))
            centre = e * x + q * problem.score(x[:, None], t)[:, 0]
            mean = float((mass * centre).sum())
            deviation = math.sqrt(float((mass * (centre - mean) ** 2).sum()) + n)
            last = k == grid.steps - 1
            fine = torch.linspace(-EDGE, EDGE, 8001, dtype=torch.float64) if last else z
            y = mean + deviation * fine
            step = float(y[1] - y[0])
            assert math.sqrt(n) > 1.5 * step, "the grid is too coarse for this noise"
            kernel = torch.exp(-((y[None] - centre[:, None]) ** 2) / (2 * n))
            mass = mass @ kernel * (step / math.sqrt(2 * math.pi * n))
            assert abs(float(mass.sum()) - 1) < 1e-9
            mass, x = mass / mass.sum(), y
        return matched(law, x, mass)

    return truth


def problems() -> list[Problem]:
    vp = VP.linear(a=19.9, b=0.1, horizon=1.0)
    two = ([0.5, 0.5], [-1.0, 1.0], [0.2, 0.2])
    three = ([0.2, 0.5, 0.3], [-2.0, 0.0, 1.5], [0.3, 0.5, 0.2])
    # as large as a score is at this noise, else the sampler's map would fold
    small = lambda score, t: 1 / (1 + score.process.variance(t)).sqrt()
    wave = lambda score, a, b: (
        lambda x, t: score(x, t) + (a + b * torch.sin(2 * x)) * small(score, t)
    )
    tilt = lambda score, a: lambda x, t: (1 + a) * score(x, t)
    found = []
    for i, (law, process, steps, solver, kind) in enumerate([
        (two, vp, 40, "heun", "karras"),
        (two, VE.from_sigmas(sigma_min=0.02, sigma_max=30.0), 18, "heun", "karras"),
        (three, EDM(sigma_max=40.0), 25, "heun", "karras"),
        (three, vp, 60, "exponential", "logsnr"),
        (two, EDM(sigma_max=20.0), 30, "ddim", "karras"),
        (three, VP.cosine(), 40, "heun", "logsnr"),
        (two, vp, 12, "ddim", "karras"),
    ]):  # fmt: skip
        score = mixture(*law, process)
        model = wave(score, 0.1, 0.15) if i % 2 == 0 else tilt(score, 0.12)
        found.append(
            Problem(f"flow {i} {process.name} {solver}", model, score, flow_truth(law), solver,
                    steps, kind, 0.0)
        )  # fmt: skip
    for i, (law, solver, steps, eta) in enumerate([
        (two, "exponential", 60, 1.0), (three, "integrated_euler", 80, 1.0),
        (two, "euler_maruyama", 120, 1.0), (three, "exponential", 80, 0.7),
    ]):  # fmt: skip
        score = mixture(*law, vp)
        model = wave(score, -0.2, 0.2) if i % 2 == 0 else tilt(score, -0.15)
        found.append(
            Problem(f"chain {i} {solver}", model, score, chain_truth(law), solver, steps,
                    "uniform", eta)
        )  # fmt: skip
    return found


def check_quantiles() -> None:
    """The bisection inverts the distribution function."""
    law = ([0.2, 0.5, 0.3], [-2.0, 0.0, 1.5], [0.3, 0.5, 0.2])
    z = torch.tensor([-3.0, 0.0, 2.0], dtype=torch.float64)
    for zi, qi in zip(z.tolist(), quantiles(law, z).tolist(), strict=True):
        assert abs(float(cdf(*law, qi)) - float(stats.norm.cdf(zi))) < 1e-12
