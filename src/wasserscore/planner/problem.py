"""What all candidates of one plan share: the data's stand-in, the target, and what was learned."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property

import torch

from wasserscore.planner.density import StepDensity, optimal_density
from wasserscore.planner.exact_flow import ExactFlow
from wasserscore.planner.surrogate import Surrogate
from wasserscore.process import Process

LATTICE = 0.5
"""Spacing of log S between horizons: halfway is within 3 % of the best cost."""
LAST_STEP_SHARE = 0.1
"""Share of the target that the jump from the least noise to zero may cost."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A surrogate and a target, with what one candidate learns for the next.

    Args:
        surrogate: The Gaussian stand-in for the data.
        target: The W2 to reach, in data units.
        score_error: Bound on the L2 norm of the score's error.
        flow: The exact flow of the mixture that stands in; None where a Gaussian does.
        tell: Told how far the search has come, as ``tell(stage, done, total)``.
        hints: Best horizons found so far, by candidate group; only a place to start looking.
    """

    surrogate: Surrogate
    target: float
    score_error: float = 0.0
    flow: ExactFlow | None = field(default=None, repr=False)
    tell: Callable[[str, int, int], object] = field(default=silent, repr=False)
    hints: dict[Hashable, int] = field(default_factory=dict, repr=False)
    _densities: dict[tuple[Process, float], StepDensity] = field(default_factory=dict, repr=False)

    def mark(self, ratio: float) -> int:
        """The first mark of the lattice of horizons at or beyond a noise-to-signal ratio S.

        Marks count from the data's largest variance: in every unit the same horizons are tried.
        """
        return math.ceil(math.log(ratio / self._largest) / LATTICE)

    def ratio(self, mark: int) -> float:
        """The noise-to-signal variance ratio S at a mark."""
        return self._largest * math.exp(mark * LATTICE)

    @cached_property
    def _largest(self) -> float:
        return float(self.surrogate.eigenvalues.max())

    def density(self, process: Process, start: float) -> StepDensity:
        """The optimal step density from ``start``, worked out once."""
        key = (process, start)
        if key not in self._densities:
            self._densities[key] = optimal_density(
                process, start, self.surrogate.eigenvalues, self.surrogate.weights
            )
        return self._densities[key]

    @cached_property
    def least_noise(self) -> float:
        """The noise level from which the last step of a spaced grid goes to zero."""
        return least_noise(self.surrogate, LAST_STEP_SHARE * self.target)


def least_noise(surrogate: Surrogate, budget: float) -> float:
    r"""Noise level whose removal in a single last step costs at most ``budget`` in W2.

    A Euler step of the probability flow from noise r to zero leaves :math:`\sqrt{l}` too small by
    :math:`r^2 / (2 \sqrt l)` (and by at most r). The largest such r, ten levels to a decade.
    """
    levels = torch.logspace(1, -12, 131, dtype=torch.float64).unsqueeze(-1) * surrogate.spread
    errors = torch.minimum(levels**2 / (2 * surrogate.eigenvalues.sqrt()), levels)
    cost = (surrogate.weights * errors**2).sum(-1).sqrt()
    within = (cost <= budget).nonzero()
    return float(levels[int(within[0])]) if within.numel() else float(levels[-1])
