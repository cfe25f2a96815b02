"""Where the two sides of a coupling are on the way down: pairs of points at the grid's times."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from wasserscore.certificate.adaptive_flow import AdaptiveFlowPath
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.flow import FlowPath
from wasserscore.certificate.mixed import MixedPath
from wasserscore.certificate.path import ReferencePath, ReversePath
from wasserscore.dynamics import TimeGrid
from wasserscore.sampling import Sampler

FLOW_PARTS = 4
"""Parts of the reference's flow over one step."""
TRIED = 32
"""Pairs along which a constant is tried."""
TIMES = 12
"""Times at which it is tried, about."""


class Meeting(NamedTuple):
    """Coupled points at one time, scaled units; rows belong together."""

    t: float
    x: Tensor
    """The reference's, distributed as its noised law at ``t``."""
    y: Tensor
    """The sampler's."""


@torch.no_grad()
def meetings(coupling: Coupling, n: int) -> list[Meeting]:
    """Coupled points at every time of the grid, from the start to the stop.

    The sampler's side is the run that ``Coupling.run`` makes. The reference's side goes by the
    same rule step by step; where its probability flow is solved, every step is, and the small
    errors add up: good for looking, no substitute for the coupled ends.

    Args:
        coupling: What is coupled.
        n: Number of pairs.
    """
    starts = coupling.starts(n)
    x, y = starts.x, starts.x if coupling.start == "reference" else starts.y
    noise, path_noise = coupling.noise(n), coupling.path_noise(n)
    sampler = Sampler(
        coupling.score, coupling.reference.process, coupling.solver, coupling.grid, coupling.eta
    )
    advance, path = sampler.stepper(), coupling.path
    found = [Meeting(coupling.grid.start, x, y)]
    for k, t, s in coupling.grid.pairs():
        here: ReferencePath = path
        if isinstance(path, FlowPath | AdaptiveFlowPath):
            flow = path if isinstance(path, FlowPath) else path.flow
            here = replace(flow, parts=FLOW_PARTS, doublings=0)
        elif isinstance(path, ReversePath):
            here = replace(path, streams=path.streams.child(f"step/{k}"))
        elif isinstance(path, MixedPath):
            own = path.reverse.streams.child(f"step/{k}")
            here = replace(path, reverse=replace(path.reverse, streams=own))
        z = path_noise(k) if coupling.eta > 0 else torch.zeros_like(x)
        step = TimeGrid(torch.tensor([t, s], dtype=torch.float64))
        x = here.run(x, step, lambda _, z=z: z).x  # type: ignore[misc]
        y = advance(k, y, noise(k) if sampler.stochastic else None)
        found.append(Meeting(s, x, y))
    return found


@torch.no_grad()
def same_sampler(coupling: Coupling, n: int) -> list[Meeting]:
    """Both sides by the model's sampler, on the same noise: the reference's score and the model's.

    On a fine grid the reference's side has nearly the reference's law, and the two move by drifts
    alone: what the theorem's proof looks at.

    Args:
        coupling: What is coupled.
        n: Number of pairs.
    """
    starts, noise = coupling.starts(n), coupling.noise(n)
    x, y = starts.x, starts.x if coupling.start == "reference" else starts.y
    process, grid = coupling.reference.process, coupling.grid
    one, two = (
        Sampler(score, process, coupling.solver, grid, coupling.eta)
        for score in (coupling.reference, coupling.score)
    )
    true, model = one.stepper(), two.stepper()
    found = [Meeting(grid.start, x, y)]
    for k, _, s in grid.pairs():
        z = noise(k) if one.stochastic else None
        x, y = true(k, x, z), model(k, y, z)
        found.append(Meeting(s, x, y))
    return found


def some_pairs(coupling: Coupling) -> list[Meeting]:
    """Coupled points at a few times of the grid."""
    met = same_sampler(coupling, TRIED)
    return met[:: max(1, len(met) // TIMES)]
