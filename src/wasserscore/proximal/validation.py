"""Held-out log-likelihood of kernel models, everything rebuilt inside each fold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.kernel import nearest
from wasserscore.proximal.analysers import fit_analysers
from wasserscore.proximal.bandwidth import (
    Covariance,
    divided,
    kernel_covariance,
    log_volume,
    root_of,
)
from wasserscore.proximal.local_pca import LocalSpread, local_spread
from wasserscore.proximal.sample_rows import Rows
from wasserscore.proximal.search import Settings
from wasserscore.score.spiked_mixture import SpikedMixture

CACHE_BYTES = 2**21
"""Projections are squared and summed in pieces that stay in the processor's cache."""


@runtime_checkable
class Fold(Protocol):
    """Training rows that explain held-out rows."""

    @property
    def held_out(self) -> Rows:
        """Where the density is asked."""

    def log_density(self, settings: Settings) -> PerPoint:
        """Log density of the held-out rows, nats."""


@dataclass(eq=False)
class KernelFold:
    """Training rows, held-out rows, and the kernel that the training rows alone suggest.

    Args:
        train: The centres.
        held_out: Where the density is asked.
        kind: Kind of kernel covariance.
        least: Smallest variance allowed per column.
    """

    train: Rows
    held_out: Rows
    kind: str
    least: Float[Tensor, " d"]
    kernel: Covariance = field(init=False)
    root: Covariance = field(init=False)
    squared: Float[Tensor, "b n"] = field(init=False)

    def __post_init__(self) -> None:
        self.kernel = kernel_covariance(self.train, self.kind, self.least)
        self.root = root_of(self.kernel)
        # distances by products lose their digits beside what all rows have in common
        middle = self.train.counts @ self.train.points / self.train.counts.sum()
        self.z = divided(self.train.points - middle, self.root)
        self.queries = divided(self.held_out.points - middle, self.root)
        self.squared = torch.cdist(self.queries, self.z).square()

    @cached_property
    def constant(self) -> Float[Tensor, " n"]:
        """Log weight and normalisation of each centre's standard normal, in data units."""
        d = self.z.shape[1]
        share = (self.train.counts / self.train.counts.sum()).log()
        return share - d / 2 * math.log(2 * math.pi) - log_volume(self.root, d)

    def log_density(self, settings: Settings) -> PerPoint:
        """With the kernel covariance times ``settings["floor"]``."""
        floor, d = settings["floor"], self.z.shape[1]
        logits = self.constant - d / 2 * math.log(floor) - self.squared / (2 * floor)
        return logits.logsumexp(1)


@dataclass(eq=False)
class LocalFold(KernelFold):
    """A per-column fold whose centres carry local principal components too."""

    rank: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        self._near = torch.empty(0, 0, dtype=torch.long)
        self._spreads: dict[int, tuple[LocalSpread, Tensor]] = {}

    def log_density(self, settings: Settings) -> PerPoint:
        """With the covariances of ``settings``: k, pull, rank, shrink, floor."""
        spread, seen = self._spread(int(settings["k"]))
        rank, floor = int(settings["rank"]), settings["floor"]
        d = self.z.shape[1]
        along = settings["shrink"] * spread.variances[:, :rank]
        explained = along / (along + floor)
        centres = spread.centres(settings["pull"])
        own = (centres[:, None] @ spread.directions[..., :rank]).squeeze(1)
        squared = torch.cdist(self.queries, centres).square()
        for part in tiles(len(squared), max(1, CACHE_BYTES // (8 * own.numel()))):
            gap = (seen[part, :, :rank] - own).square_()
            squared[part] -= torch.einsum("bnr,nr->bn", gap, explained)
        log_det = torch.log1p(along / floor).sum(1) + d * math.log(floor)
        return (self.constant - log_det / 2 - squared / (2 * floor)).logsumexp(1)

    def _spread(self, k: int) -> tuple[LocalSpread, Float[Tensor, "b n r"]]:
        """Local components, and the queries seen along them; the last two k are kept."""
        k = min(k, len(self.z) - 1)
        if k not in self._spreads:
            if self._near.shape[1] < k:
                reach = min(2 * k, len(self.z) - 1)
                self._near = nearest(self.z, self.z, reach, exclude_self=True)[1]
            spread = local_spread(self.z, self._near[:, :k], min(self.rank, k, self.z.shape[1]))
            n, r = spread.variances.shape
            seen = self.queries @ spread.directions.permute(1, 0, 2).flatten(1)
            self._spreads[k] = (spread, seen.reshape(len(self.queries), n, r))
            if len(self._spreads) > 2:
                self._spreads.pop(next(iter(self._spreads)))
        return self._spreads[k]


@dataclass(eq=False)
class AnalyserFold:
    """Training rows, held-out rows, and mixtures of factor analysers fitted to the former.

    Args:
        train: What is fitted.
        held_out: Where the density is asked.
        least: Smallest variance allowed per column.
    """

    train: Rows
    held_out: Rows
    least: Float[Tensor, " d"]
    fitted: SpikedMixture | None = field(init=False, default=None)
    """The last mixture."""

    def log_density(self, settings: Settings) -> PerPoint:
        """With as many ``cells`` and directions (``rank``) as ``settings`` say."""
        cells, rank = int(settings["cells"]), int(settings["rank"])
        self.fitted = fit_analysers(self.train, cells, rank, self.least, Streams(0)).mixture
        return self.fitted.log_density(self.held_out.points, 0.0)


def mean_log_density(folds: Sequence[Fold], settings: Settings) -> tuple[float, float]:
    """Mean over all held-out points, and its standard error, in nats per point."""
    values = torch.cat([fold.log_density(settings) for fold in folds])
    return weighted_mean(values, [fold.held_out for fold in folds])


def weighted_mean(values: PerPoint, held_out: Sequence[Rows]) -> tuple[float, float]:
    """Mean of one value per held-out row, counted as often as it came, and its standard error.

    A row that came often is one draw of the rows, not many: its deviation enters as one.
    """
    counts = torch.cat([rows.counts for rows in held_out])
    mean = float((values * counts).sum() / counts.sum())
    deviations = (values - mean) * counts
    return mean, float(deviations.square().sum().sqrt() / counts.sum())
