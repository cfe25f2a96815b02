r"""Local components of many rows: fewer centres than rows, with more directions each.

Memory holds so many numbers, centres x d x rank. With few rows every one must be a centre; with
many, some of them, each with a larger neighbourhood and more directions, explain held-out rows
better for the same memory (docs/theory/proximal.md has numbers). Neighbours come from all rows.
The settings are chosen on the model itself, fitted to all rows but a few and asked for those:
what is right for a subset is too wide for the whole.

Source: :cite:p:`zhang2024` section 4.2 (the centres are a subset of the rows).
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, Indices, PerPoint, Vector
from wasserscore.kernel import nearest
from wasserscore.proximal import tuning
from wasserscore.proximal.bandwidth import log_volume
from wasserscore.proximal.local_pca import LocalSpread, local_spread
from wasserscore.proximal.sample_rows import Rows
from wasserscore.proximal.search import Settings
from wasserscore.score.spiked import Spiked

HELD_OUT = 128
"""Rows that judge the settings; they are nobody's neighbours."""
WIDE = (*tuning.NEIGHBOURS, 96, 128, 192, 256, 384, 512, 768, 1024)
RICH = (*tuning.RANKS, 48, 64, 96, 128, 192, 256)
WORK = 10**11
"""Multiplications that the eigenvectors of all neighbourhoods may take."""
SEARCH = 10**12
"""Multiplications that finding the neighbours may take."""
AHEAD = 2
"""How many times the neighbours asked for are found, for the larger k that may be tried next."""
SEEN_BYTES = 2**28
"""Largest array of held-out rows seen along all directions, 256 MiB."""


def top_rank(d: int, k: int) -> int:
    """The most directions of a neighbourhood: half of its rows where these are many."""
    return min(d, k, max(tuning.MAX_RANK, k // 2), RICH[-1])


def centre_count(n: int, d: int, k: int) -> int:
    """How many of n rows become centres: all that memory and work allow."""
    rank = top_rank(d, k)
    memory = min(tuning.FACTOR_BYTES // (8 * d * rank), SEEN_BYTES // (4 * HELD_OUT * rank))
    work = min(WORK // (min(k, d) ** 2 * max(k, d)), SEARCH // (n * max(d, 16)))
    return max(1, min(n, memory, work))


@dataclass(eq=False)
class ManyRows:
    """Nearly all rows, and a few that ask for the density of the model fitted to them.

    Args:
        rows: The former, in the order in which they become centres.
        held_out: The latter.
        kernel: Kernel covariance per column, ``(d,)``.
    """

    rows: Rows
    held_out: Rows
    kernel: Vector
    _near: Indices = field(init=False)
    _spreads: dict[int, tuple[LocalSpread, "_Seen"]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.scale = self.kernel.sqrt()
        self.middle = self.rows.points.mean(0)
        # Single precision is enough to find directions, and halves the time.
        self.z = self._whitened(self.rows.points)
        self.queries = self._whitened(self.held_out.points)
        self._near = torch.empty(0, 0, dtype=torch.long)

    def log_density(self, settings: Settings) -> PerPoint:
        """Of the held-out rows, nats; settings as in a fold: k, pull, rank, shrink, floor."""
        spread, seen = self._spread(int(settings["k"]))
        rank, floor, pull = int(settings["rank"]), settings["floor"], settings["pull"]
        along = settings["shrink"] * spread.variances[:, :rank].to(seen.own.dtype)
        d = self.z.shape[1]
        if rank == d:  # nothing is left across, where a difference would be rounding alone
            share, squared = floor / (along + floor), torch.zeros_like(seen.squared)
        else:
            share = -along / (along + floor)
            squared = seen.squared - 2 * pull * seen.aside + pull**2 * spread.shift.square().sum(1)
        for part in tiles(len(squared), max(1, 2**22 // seen.own.numel())):
            gap = seen.along[part, :, :rank] - pull * seen.own[:, :rank]
            squared[part] += torch.einsum("bnr,nr->bn", gap.square_(), share)
        counts = self.rows.counts[: len(along)]
        constant = (counts / counts.sum()).log() - d / 2 * math.log(2 * math.pi * floor)
        constant = constant - log_volume(self.scale, d) - torch.log1p(along / floor).sum(1) / 2
        return (constant - squared.double() / (2 * floor)).logsumexp(1)

    def model(self, settings: Settings) -> tuple[Cloud, Spiked, Tensor | None]:
        """Centres, covariances, and weights where rows were repeated."""
        spread, _ = self._spread(int(settings["k"]))
        rank = min(int(settings["rank"]), spread.variances.shape[1])
        covariance = spread.spiked(rank, settings["shrink"], settings["floor"], self.scale)
        weights = self.rows.counts[: len(spread.points)] if self.rows.repeated else None
        centres = spread.centres(settings["pull"]) * self.scale + self.middle
        return centres, covariance, weights

    def _whitened(self, x: Cloud) -> Cloud:
        return ((x - self.middle) / self.scale).float()

    def _spread(self, k: int) -> tuple[LocalSpread, "_Seen"]:
        """Local components of the centres, and the queries seen by them; the last two k."""
        k = min(k, len(self.z) - 1)
        if k not in self._spreads:
            if len(self._spreads) > 1:
                self._spreads.pop(next(iter(self._spreads)))
            n, d = self.z.shape
            near = self._neighbours(centre_count(n, d, k), k)
            spread = local_spread(self.z, near, top_rank(d, k))
            self._spreads[k] = (spread, _Seen.of(self.queries, spread))
        return self._spreads[k]

    def _neighbours(self, count: int, k: int) -> Indices:
        """Of the first rows, k each; kept, and found for the larger k that may come next."""
        if self._near.shape[1] < k:
            self._near = torch.empty(0, min(AHEAD * k, len(self.z) - 1), dtype=torch.long)
        known, most = self._near.shape
        if known < count:
            found = nearest(self.z[known:count], self.z, most + 1)[1][:, 1:]
            self._near = torch.cat([self._near, found])
        return self._near[:count, :k]


@dataclass(frozen=True, eq=False)
class _Seen:
    """Queries as the centres see them, whatever the pull.

    With q a query, z a row that is a centre, and G its directions:

    Args:
        squared: |q - z|^2, ``(b, n)``.
        aside: (q - z) . shift, ``(b, n)``.
        along: G^T (q - z), ``(b, n, r)``.
        own: G^T shift, ``(n, r)``.
    """

    squared: Float[Tensor, "b n"]
    aside: Float[Tensor, "b n"]
    along: Float[Tensor, "b n r"]
    own: Float[Tensor, "n r"]

    @classmethod
    def of(cls, queries: Cloud, spread: LocalSpread) -> "_Seen":
        """From the components of the centres."""
        n, _, r = spread.directions.shape
        # what lies across the directions is a difference: in double precision where there is room
        roomy = 8 * len(queries) * n * r <= SEEN_BYTES
        parts = queries, spread.points, spread.directions, spread.shift
        queries, points, directions, shift = (
            part.to(torch.float64 if roomy else torch.float32) for part in parts
        )
        away = queries @ directions.permute(1, 0, 2).flatten(1)
        at = (points[:, None] @ directions).squeeze(1)
        return cls(
            squared=torch.cdist(queries, points).square(),
            aside=queries @ shift.mT - (points * shift).sum(1),
            along=away.reshape(len(queries), n, r).sub_(at),
            own=(shift[:, None] @ directions).squeeze(1),
        )
