r"""A mixture of spiked Gaussians at a noise level, :math:`\sum_i w_i N(z_i, \Sigma_i + \tau I)`.

Queries and centres are streamed in tiles, with one log-sum-exp over all of them, so that memory
stays near :data:`TILE_BYTES` whatever their number.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wasserscore.core.random import normal_like
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, PerPoint
from wasserscore.score.evolved import Evolved
from wasserscore.score.spiked import Queries, Spiked

TILE_BYTES = 2**24
"""Largest array of one evaluation (queries x centres x rank), 16 MiB; a few live at once.

Larger ones are mapped and zeroed anew by the system at every use, which took half of the time.
"""
BLOCK_BYTES = 2**22
"""Largest set-up of one block of centres, 4 MiB."""
CACHE_BYTES = 2**29
"""Set-ups of the last noise levels are kept for the next call as far as this, 512 MiB, goes."""
CACHE_LEVELS = 4
"""So many at most."""
GPU = 2**4
"""A GPU takes so many times more of each: calls cost it more, memory less."""


@dataclass(frozen=True, eq=False)
class SpikedMixture:
    r"""The law behind a proximal score.

    Args:
        centres: :math:`z`, shape ``(n, d)``.
        covariance: :math:`\Sigma_i`, one per centre.
        weights: Positive, sum one, shape ``(n,)``.
    """

    centres: Cloud
    covariance: Spiked
    weights: Float[Tensor, " n"]
    _levels: OrderedDict[float, list[Evolved]] = field(default_factory=OrderedDict, init=False)

    @property
    def middle(self) -> Float[Tensor, " d"]:
        """The mean; distances are taken from here, which saves digits when data lie far off."""
        return self.weights @ self.centres

    def log_density(self, y: Queries, tau: float) -> PerPoint:
        """Log density, differentiable in ``y``."""

        def tile(x: Queries) -> PerPoint:
            parts = [b.logits(x * b.whiten)[0].logsumexp(1) for b in self._blocks(tau)]
            return torch.stack(parts).logsumexp(0)

        return self._tiled(tile, y)

    def score(self, y: Queries, tau: float) -> Queries:
        r""":math:`-\sum_i r_i (\Sigma_i + \tau I)^{-1} (y - z_i)`, ``(b, d)``."""

        def tile(x: Queries) -> Queries:
            peak = x.new_full((len(x), 1), -torch.inf)
            total, pulled = torch.zeros_like(peak), torch.zeros_like(x)
            for block in self._blocks(tau):
                logits, projections = block.logits(x * block.whiten)
                top = torch.maximum(peak, logits.amax(1, keepdim=True))
                share, fade = (logits - top).exp(), (peak - top).exp()
                total = total * fade + share.sum(1, keepdim=True)
                pulled = pulled * fade + block.pull(share, projections)
                peak = top
            whiten = (self.covariance.floor + tau).rsqrt()
            return self.covariance.back(whiten * (pulled / total - x * whiten))

        return self._tiled(tile, y)

    def laplacian(self, y: Queries, tau: float) -> PerPoint:
        r""":math:`\Delta p / p = \sum_i r_i (|\Gamma_i (y - z_i)|^2 - tr \Gamma_i)`, ``(b,)``."""

        def tile(x: Queries) -> PerPoint:
            parts, curvatures = [], []
            for block in self._blocks(tau):
                logits, projections = block.logits(x * block.whiten)
                level = logits.logsumexp(1)
                curvature = block.curvature(x * block.whiten, projections)
                parts.append(level)
                curvatures.append(((logits - level[:, None]).exp() * curvature).sum(1))
            share = torch.stack(parts).softmax(0)
            return (share * torch.stack(curvatures)).sum(0)

        return self._tiled(tile, y)

    def component(self, y: Queries, tau: float, uniform: PerPoint) -> Int[Tensor, " b"]:
        """A component from its posterior given ``y``: the inverse CDF at ``uniform``."""

        def tile(x: Queries, u: PerPoint) -> Int[Tensor, " b"]:
            cumulative = self._joint(x, tau).double().softmax(1).cumsum(1)
            index = torch.searchsorted(cumulative, u[:, None] * cumulative[:, -1:], right=True)
            return index.squeeze(1).clamp_max(len(self.centres) - 1)

        return self._tiled(tile, y, uniform.double())

    def log_joint(self, y: Queries, tau: float = 0.0) -> Float[Tensor, "b n"]:
        """Log weight plus log density of every component at every query."""

        def tile(x: Queries) -> Float[Tensor, "b n"]:
            return self._joint(x, tau)

        return self._tiled(tile, y)

    def _joint(self, x: Queries, tau: float) -> Float[Tensor, "b n"]:
        return torch.cat([b.logits(x * b.whiten)[0] for b in self._blocks(tau)], dim=1)

    def bridge(
        self, y: Queries, index: Int[Tensor, " b"], tau: PerPoint, lower: PerPoint, noise: Queries
    ) -> Queries:
        r"""From noise level ``tau`` down to ``lower``, given the component of each point.

        With :math:`\Delta` the difference of the levels, A is spiked again in the floor's basis,

        .. math:: A = I - \Delta (\Sigma + \tau I)^{-1} = \mathrm{diag}(e) + H H^T, \qquad
                  e = \frac{D + \text{lower}}{D + \tau}, \quad H = \sqrt{\Delta}\, W G,

        and :math:`K = e^{1/2} (I + B B^T)^{1/2}`, :math:`B = e^{-1/2} H`, has
        :math:`K K^T = A` at the price of an r x r eigenproblem per point.
        """
        rows = self._rows(3 * self.centres.shape[1])
        pieces = [
            self._bridge_tile(y[p], index[p], tau[p, None], lower[p, None], noise[p])
            for p in tiles(len(y), rows)
        ]
        return torch.cat(pieces) if pieces else y

    def draw(self, n: int, generator: torch.Generator) -> Queries:
        """``n`` points of the law at tau = 0: a centre, then its Gaussian."""
        d, rank, centres = self.centres.shape[1], self.covariance.rank, self.centres
        empty = torch.empty(n, d + rank, dtype=torch.float64, device=generator.device)
        along, around = normal_like(empty, generator).to(centres).split([rank, d], dim=1)
        chosen = torch.rand(
            n, generator=generator, dtype=torch.float64, device=generator.device
        ).to(centres.device)
        cumulative = self.weights.double().cumsum(0)
        index = torch.searchsorted(cumulative, chosen * cumulative[-1], right=True)
        index = index.clamp_max(len(centres) - 1)
        x = centres[index] + self.covariance.back(around * self.covariance.floor.sqrt())
        spread = [(self.covariance.factors[index[p]] @ along[p, :, None]).squeeze(-1)
                  for p in tiles(n, self._rows(d))]  # fmt: skip
        return x + torch.cat(spread) if spread else x

    def _bridge_tile(
        self, y: Queries, index: Tensor, tau: Tensor, lower: Tensor, noise: Queries
    ) -> Queries:
        covariance, step = self.covariance, tau - lower
        floor = covariance.floor
        whiten = (floor + tau).rsqrt()
        scaled = covariance.rows(index).turned_factors() * whiten.unsqueeze(-1)
        inner = scaled.mT @ scaled
        root = torch.linalg.cholesky(inner + torch.eye(inner.shape[-1]).to(inner))
        g = torch.linalg.solve_triangular(root.mT, scaled, upper=True, left=False)
        gap = covariance.turned(y - self.centres[index])
        pulled = whiten * gap - (g @ (g.mT @ (whiten * gap).unsqueeze(-1))).squeeze(-1)
        mean = gap - step * whiten * pulled
        kept = ((floor + lower) / (floor + tau)).clamp_min(torch.finfo(y.dtype).tiny ** 0.5)
        b = (step.sqrt() * whiten / kept.sqrt()).unsqueeze(-1) * g
        values, vectors = torch.linalg.eigh(b.mT @ b)
        values = values.clamp_min(0)
        # (I + B B^T)^{1/2} = I + B Q diag((sqrt(1 + m) - 1) / m) Q^T B^T, without 0 / 0 at m = 0.
        weight = 1 / ((1 + values).sqrt() + 1)
        z = covariance.turned(noise).unsqueeze(-1)
        turned = vectors.mT @ (b.mT @ z)
        widened = (z + b @ (vectors @ (weight.unsqueeze(-1) * turned))).squeeze(-1)
        moved = mean + (step * kept).sqrt() * widened
        return self.centres[index] + covariance.back(moved)

    def _tiled(self, function: Callable[..., Tensor], y: Queries, *others: Tensor) -> Tensor:
        """``function`` over tiles of centred queries in the floor's basis, in our dtype."""
        x = self.covariance.turned(y.to(self.centres.dtype) - self.middle)
        block = min(len(self.centres), self._block_rows())
        rows = self._rows(block)
        parts = [function(x[p], *(o[p] for o in others)) for p in tiles(len(x), rows)]
        return torch.cat(parts) if parts else function(x, *others)

    def _rows(self, width: int) -> int:
        """How many queries of ``width`` x rank numbers one tile holds."""
        size = width * max(self.covariance.rank, 1) * self.centres.element_size()
        return max(1, self._room(TILE_BYTES) // size)

    def _block_rows(self) -> int:
        """How many centres one block holds."""
        d, rank = self.centres.shape[1], self.covariance.rank
        return max(1, self._room(BLOCK_BYTES) // ((rank + 1) * d * self.centres.element_size()))

    def _room(self, size: int) -> int:
        """``size`` on a CPU, and what takes its place on a GPU."""
        return size * (GPU if self.centres.is_cuda else 1)

    def _blocks(self, tau: float) -> Iterator[Evolved]:
        """The centres at one noise level, block by block; small set-ups are kept."""
        d, rank = self.centres.shape[1], self.covariance.rank
        total = len(self.centres) * (rank + 1) * d * self.centres.element_size()
        if total > self._room(CACHE_BYTES):
            yield from self._evolve(tau)
            return
        if tau not in self._levels:
            while len(self._levels) >= min(CACHE_LEVELS, self._room(CACHE_BYTES) // total):
                self._levels.popitem(last=False)
            self._levels[tau] = list(self._evolve(tau))
        yield from self._levels[tau]

    def _evolve(self, tau: float) -> Iterator[Evolved]:
        for part in tiles(len(self.centres), self._block_rows()):
            yield Evolved.at(
                tau,
                self.covariance.turned(self.centres[part] - self.middle),
                self.covariance.rows(part).turned_factors(),
                self.covariance.floor,
                self.weights[part].log(),
            )
