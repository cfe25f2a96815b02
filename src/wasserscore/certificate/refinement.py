r"""What a grid costs: the distance between a sampler and its continuous-time limit.

The sampler is run on a grid four times finer with the same noise. Where the error at least halves
from each grid to the next one, the distance from the coarse run to the limit is at most twice
their difference. That it does is looked at on a third grid, sixteen times finer.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.statistics import mean_limit, root_mean_square
from wasserscore.core.errors import require
from wasserscore.core.results import Estimate
from wasserscore.core.typing import Noise
from wasserscore.data import in_data_units

FINER = 4
"""Each finer grid has this many times the steps."""
LOOKS = 32
"""Paths on the third grid."""


@dataclass(frozen=True)
class StepsGap:
    """Distance between the sampler and its continuous limit.

    Args:
        estimate: Twice the root-mean-square difference to the finer grid, data units.
        limit: Its upper limit.
        ratio: Difference between second and third grid over that between first and second.
    """

    estimate: Estimate
    limit: float
    ratio: float

    @property
    def assumption(self) -> Assumption:
        """That the error keeps falling as it did between these grids."""
        return Assumption(
            f"from a grid to one {FINER} times finer the error at least halves",
            "assumed" if self.ratio <= 0.5 else "violated",
            f"measured factor {self.ratio:.2g} between the first two refinements",
        )


@torch.no_grad()
def steps_gap(coupling: Coupling, n: int, level: float) -> StepsGap:
    """The gap of a sampler that takes one noise per step, or none.

    Args:
        coupling: The sampler.
        n: Number of paths.
        level: Level of the limit.
    """
    require(coupling.solver.noises == 1, "a finer grid needs one noise per step",
            got=coupling.solver.name)  # fmt: skip
    fine = refined(coupling, FINER)
    starts = coupling.starts(n)
    y = starts.x if coupling.start == "reference" else starts.y
    noise = fine.noise(n)
    first = squared_gap(coupling.sample(coupling.score, y, summed(noise, FINER)),
                        fine.sample(coupling.score, y, noise), coupling)  # fmt: skip
    few = y[: min(n, LOOKS)]
    finest = refined(coupling, FINER**2)
    noise = finest.noise(len(few))
    ends = [
        coupling.sample(coupling.score, few, summed(noise, FINER**2)),
        fine.sample(coupling.score, few, summed(noise, FINER)),
        finest.sample(coupling.score, few, noise),
    ]
    before, after = (squared_gap(a, b, coupling).mean() for a, b in pairwise(ends))
    size = float(ends[0].flatten(1).square().sum(1).mean())
    ratio = 0.0 if float(after) <= 1e-24 * size else float((after / before).sqrt())
    return StepsGap(
        root_mean_square(4 * first), math.sqrt(mean_limit(4 * first, level)),
        ratio if math.isfinite(ratio) else math.inf,
    )  # fmt: skip


def refined(coupling: Coupling, parts: int) -> Coupling:
    """The same sampler on a grid ``parts`` times finer, with noise of its own."""
    streams = coupling.streams.child("fine")
    return replace(coupling, grid=coupling.grid.refine(parts), streams=streams)


def summed(noise: Noise, parts: int) -> Noise:
    """The noise of a step from those of its equal parts."""
    return lambda k: (
        sum((noise(parts * k + j) for j in range(1, parts)), noise(parts * k)) / math.sqrt(parts)
    )


def squared_gap(x: Tensor, y: Tensor, coupling: Coupling) -> Tensor:
    """Squared distances of matching rows of the model, data units."""
    scaling = getattr(coupling.score, "scaling", coupling.reference.scaling)
    gap = in_data_units(scaling, x) - in_data_units(scaling, y)
    return gap.flatten(1).square().sum(1).nan_to_num(math.inf, math.inf)
