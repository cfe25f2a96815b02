r"""The exact probability flow of a mixture, and how far the end of a sampler's run is from it.

In the natural clock the flow is one map :math:`X(z)` for every process: start at
:math:`m + (C + r^2)^{1/2} z` far out, where the mixture is its own Gaussian, and solve. A sampler
starts from the prior :math:`r_T z` with the same z and ends in :math:`Y(z)`, so

.. math:: W_2^2(\text{mixture}, \text{sampler}) \le E\,|X(z) - Y(z)|^2

with start, steps and samples that end in another mode all counted. In one dimension the coupling
is the optimal one wherever both maps rise.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from wasserscore.certificate.flow import FlowPath
from wasserscore.core.linalg import symmetric
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.data import in_data_units
from wasserscore.dynamics import TimeGrid, simulate
from wasserscore.process import VE, Process
from wasserscore.sampling import Law, Solver
from wasserscore.score import MixtureScore

FAR = 100.0
"""The exact flow starts at this multiple of the spread, where the law is its own Gaussian."""
TOLERANCE = 1e-3
"""Root-mean-square error of the exact flow, in units of the spread."""
PAIRS = 512
MOST_PAIRS = 65536
PER_JUMP = 10
"""Expected number of jumping pairs at the share that would cost the whole target."""
STARTS = 256
"""Pairs by which the horizon is chosen."""
COUNTED = 10
"""Fewer pairs than this behind a mean of squares do not measure it."""
ALL = slice(None)
LONGEST = 1e6
"""Longest horizon that is tried, in units of the spread."""


@dataclass(frozen=True, eq=False)
class ExactFlow:
    """The exact probability flow of a mixture, and how far samplers end from it.

    Args:
        law: The mixture.
        n: How many starts.
        seed: Of the starts.
    """

    law: MixtureScore
    n: int = PAIRS
    seed: int = 0
    _ends: dict[float, Cloud] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def z(self) -> Cloud:
        """The standard normal starts."""
        like = torch.empty(0, dtype=torch.float64)
        return Streams(self.seed).normal("start", 0, self.n, (self.law.dim,), like)

    @cached_property
    def ends(self) -> Cloud:
        """``X(z)``, distributed as the mixture."""
        mean, covariance = self.law.moments()
        far = FAR * self._spread
        values, vectors = torch.linalg.eigh(symmetric(covariance))
        root = (vectors * (values.clamp_min(0) + far**2).sqrt()) @ vectors.T
        return self._solve(mean + self.z @ root, far)

    def enough(self, budget: float) -> float:
        r"""A noise-to-signal ratio from which the prior costs at most ``budget``.

        While samples that end in another mode dominate, their share falls like 1/r and W2 like
        its root; once too few of them are left to count, that law is followed to the budget.
        """
        few = replace(self, n=STARTS)
        ratio = 0.5 * few._spread
        while ratio < LONGEST * few._spread:
            squares = few.squares(few.ends, few.ends_from(ratio))
            cost = upper_root(squares, 2.0)
            if cost <= budget:
                return ratio
            if float(squares.sum() ** 2 / squares.square().sum()) < COUNTED:
                return ratio * (cost / budget) ** 2
            ratio *= 2
        return ratio

    def resolving(self, target: float) -> "ExactFlow":
        """The same flow with so many pairs that a single one in a wrong mode stays below it.

        A pair that jumps costs about twice the variance of the law; at ``PER_JUMP`` pairs per
        ratio of that to the squared target, a share of jumps worth the target is hardly missed.
        """
        ends = in_data_units(self.law.scaling, self.ends)
        spread = float((ends - ends.mean(0)).square().sum(1).mean().sqrt())
        n = math.ceil(PER_JUMP * 2 * (spread / target) ** 2)
        return replace(self, n=max(self.n, min(n, MOST_PAIRS)))

    def ends_from(self, ratio: float) -> Cloud:
        """Where the exact flow takes the prior ``ratio z`` at that noise-to-signal ratio."""
        if ratio not in self._ends:
            self._ends[ratio] = self._solve(ratio * self.z, ratio)
        return self._ends[ratio]

    def runs_to(
        self, process: Process, solver: Solver, grid: TimeGrid, rows: Tensor | slice = ALL
    ) -> Cloud:
        """``Y(z)``: where a sampler ends. The rows go together, not in a sampler's small tiles."""
        step = solver.start(Law(self.law.under(process), process, 0.0, grid))
        return simulate(step, float(process.sigma(grid.start)) * self.z[rows], grid, None)

    def distance(self, x: Cloud, y: Cloud, *, most: float = math.inf) -> float:
        """Root of the mean of squares in data units.

        A pair counts for at most ``most``, squared, in the mean.
        """
        return upper_root(self.squares(x, y).clamp_max(self.n * most**2), 0.0)

    def squares(self, x: Cloud, y: Cloud) -> Tensor:
        """Squared distances, one per pair, in data units."""
        gap: Tensor = in_data_units(self.law.scaling, x) - in_data_units(self.law.scaling, y)
        return gap.square().sum(1)

    @property
    def _spread(self) -> float:
        return float(torch.diagonal(self.law.moments()[1]).sum().sqrt())

    def _solve(self, y: Cloud, ratio: float) -> Cloud:
        lifted = self.law.under(VE.constant(a=1.0, horizon=ratio**2))
        flow = FlowPath(lifted, TOLERANCE * self._spread)
        grid = TimeGrid(torch.tensor([ratio**2, 0.0], dtype=torch.float64))
        return flow.solve(y, grid, flow.steps(grid))  # a pilot says how finely


def upper_root(squares: Tensor, safety: float) -> float:
    """Root of a mean of squares, ``safety`` standard errors above it; infinite if any is."""
    if not bool(torch.isfinite(squares).all()):
        return math.inf
    return math.sqrt(float(squares.mean() + safety * squares.std() / len(squares) ** 0.5))
