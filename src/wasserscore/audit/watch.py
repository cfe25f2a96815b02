"""A look at what a score in training generates: how far, how near the floor, how many copies."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from wasserscore.audit.neighbours import Training, training
from wasserscore.core.errors import require
from wasserscore.core.integers import as_integer
from wasserscore.core.random import Streams
from wasserscore.core.tensors import as_points, require_alike
from wasserscore.core.typing import Points
from wasserscore.distance import w2
from wasserscore.sampling import sample

MOST = 10_000
"""Training points that copies are counted among; their spacing costs their square."""


class Watch:
    """``measure=`` of :func:`~wasserscore.training.train_score`: W2 beside its floor, and copies.

    Every time the same samples of the seed, at as many points as the floor, so that two looks
    differ by the score alone. Logs ``w2`` (samples to held-out points), ``w2_floor`` (training
    points to them), ``copies`` (share of samples nearer to a training point than 99 % of training
    points are to each other) and ``copies_fresh`` (the same of the held-out points, what a score
    that copies nothing comes to).

    Args:
        train: The training points ``(n, *shape)``, in the units of samples: data units where the
            score knows its scaling. At most 10,000 of them are drawn, which copies are counted
            among.
        holdout: Points that are not trained on, in the same units.
        n: Samples of a look, at most; no more than either side has points.
        solver: Name of a solver.
        steps: Its steps.
        seed: Of the points that are drawn and of the samples.
    """

    def __init__(
        self,
        train: Any,
        holdout: Any,
        *,
        n: int = 500,
        solver: str = "heun",
        steps: int = 18,
        seed: int = 0,
    ) -> None:
        known, unseen = as_points(train, "train", minimum=3), as_points(holdout, "holdout")
        require_alike(train=train, holdout=holdout)
        require(known.shape[1:] == unseen.shape[1:], "holdout must be like train",
                got=tuple(unseen.shape[1:]))  # fmt: skip
        self.seed, self.n = seed, min(as_integer(n, "n", most=MOST), len(known), len(unseen))
        self.how: dict[str, Any] = {"solver": solver, "steps": steps}
        self.known = self._some("train", known, MOST)
        self.unseen = self._some("holdout", unseen, self.n)

    def __call__(self, score: Callable[..., Tensor]) -> dict[str, float]:
        """The numbers of a score as it is."""
        key = Streams(self.seed).key("watch")
        generated = sample(score, self.n, **self.how, seed=key).cpu().double()
        return {
            "w2": w2(generated, self.unseen).value,
            "w2_floor": self._floor,
            "copies": self._copies(generated),
            "copies_fresh": self._copies_fresh,
        }

    @cached_property
    def _floor(self) -> float:
        return w2(self.known[: self.n], self.unseen).value

    @cached_property
    def _copies_fresh(self) -> float:
        return self._copies(self.unseen)

    @cached_property
    def _yardstick(self) -> Training:
        return training(self.known.flatten(1))

    def _copies(self, points: Points) -> float:
        found = self._yardstick.closest(points.flatten(1))
        return float(self._yardstick.copies(found).double().mean())

    def _some(self, name: str, points: Tensor, most: int) -> Tensor:
        generator = Streams(self.seed).generator(f"watch/{name}")
        order = torch.randperm(len(points), generator=generator)[:most]
        return points.cpu()[order].double()
