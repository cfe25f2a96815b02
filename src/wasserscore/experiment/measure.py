"""Every law of a run, model or baseline, weighed on the same scales."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wasserscore.audit.closeness import mean_number
from wasserscore.core.results import Estimate, plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset
from wasserscore.distance import (
    NoiseFloor,
    frechet,
    median_bandwidth,
    mmd,
    noise_floor,
    sliced_w2,
    w2,
    with_floor,
)
from wasserscore.distance.prdc import prdc

NEIGHBOURS = 5
"""The k of precision, recall, density and coverage, as in the papers."""
MEASURED = 2000
"""Most rows of a cloud in a distance: exact W2 takes seconds at so many, and is taken often."""


@dataclass(frozen=True, eq=False)
class Scales:
    """The distances of a run, with bandwidth and seed fixed so that all laws are measured alike.

    Args:
        train: The training rows.
        holdout: As many rows that no model has seen.
        resplits: Resplits behind every error bar.
        seed: Of the resplits and the sliced directions.
    """

    train: Dataset
    holdout: Dataset
    resplits: int
    seed: int

    @property
    def n(self) -> int:
        """Rows of every cloud: all, or as many drawn as distances are measured at."""
        return min(MEASURED, self.train.n, self.holdout.n)

    def distances(self) -> dict[str, Callable[[Tensor, Tensor], Any]]:
        """The distances by name."""
        bandwidth = median_bandwidth(self.train.points)
        return {
            "w2": w2,
            "sliced_w2": partial(sliced_w2, seed=self.seed),
            "mmd": partial(mmd, bandwidth=bandwidth),
            "frechet": frechet,
        }

    def floors(self, told: Callable[[int, int], object]) -> dict[str, NoiseFloor]:
        """Floor and bootstrap of train for every distance."""
        found = {}
        distances = self.distances()
        for done, (name, distance) in enumerate(distances.items(), 1):
            found[name] = noise_floor(
                distance, train=self.train.points, holdout=self.holdout.points, n=self.n,
                resplits=self.resplits, seed=self.seed,
            )  # fmt: skip
            told(done, len(distances))
        return found

    def weigh(self, generated: Cloud, floors: dict[str, NoiseFloor]) -> dict[str, Any]:
        """Every distance of generated rows to the hold-out, and precision to coverage.

        Args:
            generated: Rows ``(m, D)``, at least :attr:`n`, data units.
            floors: What :meth:`floors` found.
        """
        found: dict[str, Any] = {}
        for name, distance in self.distances().items():
            found[name] = with_floor(
                distance, generated=generated, train=self.train.points,
                holdout=self.holdout.points, n=self.n, resplits=self.resplits, seed=self.seed,
                floor=floors[name],
            ).value  # fmt: skip
        out: dict[str, Any] = plain({**found, **self.fidelity(generated)})
        return out

    def fidelity(self, generated: Cloud) -> dict[str, Any]:
        """Precision, recall, density and coverage against the hold-out."""
        few = min(len(generated), self.holdout.n)
        if few <= NEIGHBOURS:
            return dict.fromkeys(("precision", "recall", "density", "coverage"))
        four = prdc(generated, self.holdout.points, NEIGHBOURS)
        return {
            name: getattr(four, name) for name in ("precision", "recall", "density", "coverage")
        }


def mean_log_density(values: Tensor) -> Estimate:
    """The mean over held-out rows with its standard error, in nats per row."""
    finite = bool(torch.isfinite(values).all())
    return replace(mean_number(values, "nats per row"),
                   status="ok" if finite else "a held-out row has density zero")  # fmt: skip
