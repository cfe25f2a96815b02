"""Where no exact truth is known: coarse samplers of mixtures and networks in d > 1."""

import math
from collections.abc import Callable, Iterator

import torch
from tests.problems import affine, draw

from wasserscore.certificate import Certificate, certify
from wasserscore.network import MLP
from wasserscore.process import EDM
from wasserscore.score import MixtureScore
from wasserscore.training import train_score

Row = dict[str, object]
LEVEL, COUNT = 0.999, 20


def coarse(i: int) -> Row:
    r"""A moved mixture with 5 to 40 steps: the truth is known up to what the steps add.

    .. math:: |W_2(p, q) - W_2(p, T\#p)| \le W_2(T\#p, q) \le \text{certificate of } T\#p

    From below Gelbrich's bound of the sampler's own moments is mostly better.
    """
    choices, generator = draw.streams("coarse", i)
    solver, eta = choices.choice((("heun", 0.0), ("ddim", 0.0), ("ancestral", 1.0)))
    steps, d = draw.steps(choices, 5, 40), choices.randint(2, 10)
    process = draw.process(choices, fine=True)
    problem = affine.moved(f"{process.name}, {solver}, {steps} steps, d={d}", d, 3, 0.4, process,
                           generator, solver, steps, eta)  # fmt: skip
    settings = {"level": LEVEL, "seed": i, **problem.settings()}
    found = certify(problem.score, problem.reference, **settings)
    own = certify(problem.score, problem.score, **settings)
    truth, gap = affine.limit(problem), float(own.upper)
    return row(problem.name, found, max(truth - gap, problem.w2()), truth + gap)


def network(updates: int) -> Row:
    """A small network trained on a mixture; only lower estimates lie below its distance."""
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.0]], dtype=torch.float64)
    covariances = 0.05 * torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    reference = MixtureScore(torch.full((3,), 1 / 3).double(), means, covariances,
                             EDM(sigma_max=80.0))  # fmt: skip
    data = reference.sample_marginal(2000, generator=generator).float()
    score = train_score(MLP(2, 64, 2), data, reference.process, steps=updates)
    found = certify(score, reference, level=LEVEL, steps=20)
    return row(f"network, {updates} updates, heun, 20 steps, d=2", found, math.nan, math.nan)


def row(name: str, found: Certificate, low: float, high: float) -> Row:
    upper, lower = float(found.upper), float(found.lower)
    known = math.isfinite(low)
    return {
        "problem": name,
        "lower estimate": f"{lower:.4g} +- {found.lower.stderr:.2g}",
        "triangle interval": f"{low:.4g} to {high:.4g}" if known else "none known",
        "upper": upper,
        "spread": found.spread,
        "lower <= upper": lower <= upper,
        "upper >= interval's low end": upper >= low if known else "-",
    }


def cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """All problems by name."""
    for i in range(COUNT):
        yield f"coarse {i}", lambda i=i: coarse(i)
    for updates in (50, 400):
        yield f"network {updates}", lambda updates=updates: network(updates)
