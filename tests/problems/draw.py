"""Settings of random problems: forward process, solver, grid, steps, noise level, start, stop.

Problem i of a family is drawn from a stream of its own, so any of them can be had alone.
"""

import math
import random

import torch

from wasserscore.process import EDM, OU, VE, VP, Process, SubVP

FLOWS = ("heun", "dpmpp_2m", "dpmpp_2s", "dpmpp_1s", "deis", "ddim", "euler", "exponential")
"""Solvers that run without noise."""
CHAINS = ("ancestral", "ddim", "exponential", "integrated_euler", "euler_maruyama")
"""Solvers with one Gaussian and one evaluation per step."""


def streams(family: str, i: int) -> tuple[random.Random, torch.Generator]:
    """The two sources of problem ``i``: plain choices, and tensors."""
    choices = random.Random(f"{family}/{i}")
    return choices, torch.Generator().manual_seed(choices.getrandbits(32))


def process(choices: random.Random, *, fine: bool = False) -> Process:
    """A forward process; ``fine`` leaves out those whose start is far from their prior."""
    found = [
        VP.linear(a=19.9, b=0.1, horizon=1.0),
        VP.constant(beta=choices.uniform(6, 12)),
        VE.from_sigmas(sigma_min=0.02, sigma_max=80.0),
        SubVP.linear(a=19.9, b=0.1),
        EDM(sigma_max=80.0),
    ]
    if not fine:
        found += [
            VP.cosine(),
            VE.from_sigmas(sigma_min=0.02, sigma_max=choices.uniform(5, 50)),
            EDM(sigma_max=choices.uniform(5, 40)),
            OU(alpha=1.0, sigma=1.5),
        ]
    return choices.choice(found)


def steps(choices: random.Random, low: int = 5, high: int = 200) -> int:
    """Steps, log-uniform."""
    return round(math.exp(choices.uniform(math.log(low), math.log(high))))


def size(choices: random.Random) -> float:
    """How wrong a score is, log-uniform from 0.03 to 0.6."""
    return math.exp(choices.uniform(math.log(0.03), math.log(0.6)))


def eta(choices: random.Random, solver: str) -> float:
    """A noise level above zero that the solver is meant for."""
    return (
        1.0 if solver in ("ancestral", "euler_maruyama") else choices.choice([1.0, 0.8, 0.5, 0.3])
    )
