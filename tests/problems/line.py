"""One dimension: the law of the sampler's output by quantiles or by its density on a grid."""

import math
import random

import numpy as np
import torch
from scipy import stats
from tests.problems import draw
from tests.problems.base import Problem

from wasserscore.process import EDM, VE, VP
from wasserscore.sampling import time_grid
from wasserscore.score import MixtureScore

RESOLUTION = 0.01
"""Largest jump of a map between neighbouring normal scores."""
FINE, FINEST = 4001, 16_001
"""Points of the last two densities, and of any density at most."""
LARGEST = 60_000
"""Points of a map at most."""
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


def start_points(problem: Problem, law, z):
    """Starts at the normal scores ``z``: of the prior, or of the noised law."""
    process, t = problem.reference.process, problem.grid.start
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    if problem.start == "prior":
        return sigma * z
    weights, means, deviations = law
    noised = [alpha * m for m in means], [math.hypot(alpha * s, sigma) for s in deviations]
    return quantiles((weights, *noised), z)


def flow_truth(law):
    """The sampler without noise is a map F of its start; F and the target's quantiles are steep
    between modes, so normal scores are halved until neither jumps by more than RESOLUTION."""

    def truth(problem: Problem) -> float:
        run = lambda z: problem.sampler().run(start_points(problem, law, z)[:, None])[:, 0]
        z = torch.linspace(-EDGE, EDGE, 801, dtype=torch.float64)
        ends, target = run(z), quantiles(law, z)
        for _ in range(12):
            wide = (ends.diff().abs() + target.diff().abs() > RESOLUTION).nonzero()[:, 0]
            if not len(wide) or len(z) > LARGEST:
                break
            new = (z[wide] + z[wide + 1]) / 2
            z, order = torch.cat([z, new]).sort()
            ends = torch.cat([ends, run(new)])[order]
            target = torch.cat([target, quantiles(law, new)])[order]
        widths = torch.cat([z.diff()[:1], z[2:] - z[:-2], z.diff()[-1:]]) / 2
        mass = torch.exp(-(z**2) / 2) * widths
        if bool((ends.diff() > 0).all()):
            return math.sqrt(float((mass * (target - ends) ** 2).sum() / mass.sum()))
        return matched(law, ends, mass)

    return truth


def chain_truth(law):
    """The sampler with noise: its density by the Chapman-Kolmogorov integral, then quantiles.

    Every grid resolves the Gaussian of its step and of the next one; a last step too quiet for
    that spreads each point by the three-point Gauss-Hermite rule.
    """

    def truth(problem: Problem) -> float:
        process, grid, method = problem.reference.process, problem.grid, problem.sampler().method
        steps = [
            tuple(float(c) for c in method.coefficients(process, t, s, problem.noise_level))
            for _, t, s in grid.pairs()
        ]
        z = torch.linspace(-EDGE, EDGE, 1601, dtype=torch.float64)
        x, mass = start_points(problem, law, z), torch.exp(-(z**2) / 2)
        mass = mass / mass.sum()
        for (k, t, _), (e, q, n) in zip(grid.pairs(), steps, strict=True):
            centre, last = e * x + q * problem.score(x[:, None], t)[:, 0], k >= grid.steps - 2
            mean = float((mass * centre).sum())
            deviation = math.sqrt(float((mass * (centre - mean) ** 2).sum()) + n)
            noises = [m for _, _, m in steps[k : k + 2] if m > 0]
            least = math.sqrt(min(noises, default=0.0))
            fit = FINE if last else math.ceil(4 * EDGE * deviation / max(least, 1e-9))
            count = min(max(fit, 801), FINEST)
            y = mean + deviation * torch.linspace(-EDGE, EDGE, count, dtype=torch.float64)
            step = float(y[1] - y[0])
            if last and math.sqrt(n) < 1.5 * step:
                node = math.sqrt(3 * n)
                x = torch.cat([centre - node, centre, centre + node])
                mass = torch.cat([mass / 6, 2 * mass / 3, mass / 6])
                continue
            assert math.sqrt(n) > 1.4 * step, "the grid is too coarse for this noise"
            mass = smoothed(centre, mass, y, n) * step
            assert abs(float(mass.sum()) - 1) < 1e-6
            mass, x = mass / mass.sum(), y
        return matched(law, x, mass)

    return truth


def smoothed(centre, mass, y, variance):
    """Density at the increasing ``y`` of masses at ``centre`` spread by N(0, variance)."""
    centre, order = centre.sort()
    mass, reach, found = mass[order], 8.5 * math.sqrt(variance), []
    for block in y.split(128):
        ends = torch.stack([block[0] - reach, block[-1] + reach])
        low, high = torch.searchsorted(centre, ends).tolist()
        gap = block[None] - centre[low:high, None]
        found.append(mass[low:high] @ torch.exp(-(gap**2) / (2 * variance)))
    return torch.cat(found) / math.sqrt(2 * math.pi * variance)


def random_problem(i: int) -> Problem:
    """Problem ``i`` of an endless family: any mixture of up to four modes, any process."""
    choices, _ = draw.streams("line", i)
    process = draw.process(choices)
    k = choices.randint(1, 4)
    parts = [choices.uniform(0.2, 1) for _ in range(k)]
    law = (
        [p / sum(parts) for p in parts],
        [choices.uniform(-2, 2) for _ in range(k)],
        [choices.uniform(0.15, 0.6) for _ in range(k)],
    )
    score, size = mixture(*law, process), draw.size(choices)
    error = choices.choice(("wave", "tilt", "bias", "other law"))
    model = _wrong(score, law, error, size, choices)
    words, settings = sampler(choices, process)
    truth = flow_truth(law) if settings["eta"] == 0 else chain_truth(law)
    name = f"line {i}: {process.name}, {k} modes, {error}, {words}"
    return Problem(name, model, score, truth, **settings)


def sampler(choices: random.Random, process) -> tuple[str, dict]:
    """Solver, steps, grid, noise level and start whose law can be followed on a line."""
    quiet = choices.random() < 0.5
    solver = choices.choice(draw.FLOWS if quiet else draw.CHAINS)
    kind, steps = choices.choice(("karras", "logsnr")), draw.steps(choices)
    flat = process.name.startswith("VP") and steps >= 40
    if flat and choices.random() < 0.4:
        kind = "uniform"
    eta = 0.0 if quiet else draw.eta(choices, solver)
    start = "reference" if choices.random() < 0.25 else "prior"
    words = f"{solver}, {steps} {kind} steps"
    if not quiet and kind != "uniform":  # the density on a grid needs a noise it can resolve
        steps = min(steps, 80)
        kind = time_grid(process, steps, kind, least_noise=0.04)
        eta = max(eta, 0.5)
    return words, {"solver": solver, "steps": steps, "kind": kind, "eta": eta, "start": start,
                   "options": {"parts": min(16, max(3, 480 // steps))}}  # fmt: skip


def _wrong(score, law, error, size, choices):
    small = lambda t: 1 / (1 + score.process.variance(t)).sqrt()
    if error == "other law":
        weights, means, deviations = law
        parts = [w * math.exp(choices.gauss(0, size)) for w in weights]
        return mixture(
            [p / sum(parts) for p in parts],
            [m + choices.gauss(0, size / 2) for m in means],
            [s * math.exp(choices.gauss(0, size / 2)) for s in deviations],
            score.process,
        )
    sign = choices.choice((-1, 1))
    return {
        "wave": lambda x, t: score(x, t) + size * torch.sin(2 * x) * small(t),
        "tilt": lambda x, t: (1 + sign * size / 2) * score(x, t),
        "bias": lambda x, t: score(x, t) + sign * size * small(t),
    }[error]


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
