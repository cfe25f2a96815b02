"""Do two models fitted to two halves of the data agree on what the same noise becomes?

Models that have learned the law turn one starting point into nearly the same sample, whichever
half they saw; models that have learned rows turn it into a row of their own half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wasserscore.audit.closeness import mean_number
from wasserscore.audit.tables import distinct
from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, Record
from wasserscore.core.tensors import as_points
from wasserscore.kernel import nearest
from wasserscore.sampling import sample


@dataclass(frozen=True)
class SplitHalf(Record):
    """How far two halves' models are apart, beside how far their samples are from their rows.

    Args:
        apart: Mean distance of the two samples of one start.
        to_train: Mean distance of a sample to the nearest row its model was fitted to.
        between_rows: Mean distance of a row of one half to the nearest row of the other: about
            what ``apart`` is for models that only repeat rows, at best.
        dim: Numbers in a row.
    """

    apart: Estimate
    to_train: Estimate
    between_rows: Estimate
    dim: int

    @property
    def reproducible(self) -> bool:
        """Whether the models agree with each other more than with their rows.

        Two fits to n rows differ by about :math:`n^{-1/2}`, however good they are, and rows are
        :math:`n^{-1/d}` apart: in one dimension "no" is true of the best models, in two of
        some good ones.
        """
        return self.apart.value < self.to_train.value

    def __repr__(self) -> str:
        word = "Reproducible" if self.reproducible else "Not reproducible"
        if not self.reproducible and self.dim == 1:
            word = "Not judged, for in one dimension rows are nearer than good fits agree"
        return (
            f"{word}: from the same start, models of two halves end {self.apart.value:.3g} apart;"
            f" their samples are {self.to_train.value:.3g} from the nearest row of their own half"
            f" (rows of the halves: {self.between_rows.value:.3g})."
        )


def split_half(
    fit: Callable[[Tensor], Any] | tuple[Any, ...],
    rows: Any,
    *,
    n: int = 256,
    solver: str = "heun",
    steps: int = 40,
    seed: int = 0,
) -> SplitHalf:
    r"""Fit two models to two halves of the rows and sample both from the same starts.

    .. math:: \text{apart} = \frac1n \sum_i |x_i^A - x_i^B|, \qquad
              \text{to\_train} = \frac1{2n} \sum_i \min_{a \in A} |x_i^A - a|
                                 + \min_{b \in B} |x_i^B - b|

    along the probability flow, so that the start is all the randomness there is.

    Assumes: distances mean something in the units of the rows.
    Source: :cite:p:`kadkhodaie2024`, section 2.

    Args:
        fit: Makes a score of a half ``(n/2, *shape)``; or the two scores themselves, when
            ``rows`` is the pair of sets they were fitted to.
        rows: All rows ``(n, *shape)``; or the pair.
        n: How many starts.
        solver: A solver of the probability flow.
        steps: Its steps.
        seed: Seed of the split and the starts.

    Raises:
        InputError: On rows that cannot be halved, or fewer than two of anything.
    """
    require(n >= 2, "n must be at least 2", got=n)
    if isinstance(fit, tuple):
        halves = [as_points(half, "rows", minimum=2) for half in rows]
        scores = list(fit)
    else:
        points = as_points(rows, "rows", minimum=6)
        points = points[distinct(points)[1]]
        order = torch.randperm(len(points), generator=Streams(seed).generator("halves"))
        halves = [points[order[0::2]], points[order[1::2]]]
        scores = [fit(half) for half in halves]
    require(len(scores) == len(halves) == 2, "split_half needs two scores and two sets of rows",
            got=f"{len(scores)} and {len(halves)}")  # fmt: skip
    samples = [
        sample(score, n, solver=solver, steps=steps, eta=0.0, seed=seed).flatten(1).double()
        for score in scores
    ]
    known = [half.flatten(1).double() for half in halves]
    closest = [nearest(x, y)[0][:, 0] for x, y in zip(samples, known, strict=True)]
    return SplitHalf(
        apart=mean_number((samples[0] - samples[1]).norm(dim=1)),
        to_train=mean_number(torch.stack(closest).mean(0)),
        between_rows=mean_number(nearest(known[0], known[1])[0][:, 0]),
        dim=known[0].shape[1],
    )
