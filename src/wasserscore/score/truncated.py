r"""A mixture of spiked Gaussians from its few components that matter, with the error controlled.

With :math:`W = (D + \tau)^{-1/2}` and :math:`\lambda_i` the largest eigenvalue of
:math:`V_i^T W^2 V_i`, no component weighs more at x than its bound

.. math:: \log w_i N(x; z_i, \Sigma_i + \tau I) \le
          c_i - \tfrac12 \frac{|W (x - z_i)|^2}{1 + \lambda_i}, \qquad
          c_i = \log w_i - \tfrac12 \log\det 2 \pi (\Sigma_i + \tau I),

which costs one matrix product for all of them. The k components of largest bound are evaluated
exactly; a broad one far away, which Euclidean neighbours would miss, is among them. If the
bounds of all others add up to less than 1e-4 of what was found, the log density is low by at
most 1e-4 and the weights of the score are off by at most 1e-4 in total; otherwise k is
quadrupled for that query, up to the whole mixture. Nothing is dropped on trust.

Under much noise everything matters, and a mixture of a few cells with the same moments replaces
the whole: at a noise level where the two scores agree to 1e-3 on points of that level.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wasserscore.core.random import normal_like
from wasserscore.core.tensors import tiles
from wasserscore.core.typing import PerPoint
from wasserscore.score.evolved import Evolved
from wasserscore.score.spiked import Queries, Spiked
from wasserscore.score.spiked_mixture import BLOCK_BYTES, CACHE_LEVELS, SpikedMixture

DROPPED = math.log(1e-4)
"""Log of the dropped share of a density, at most."""
AGREE = 1e-3
"""Largest difference of a coarse score, relative to the root mean square of the exact one."""
PROBES = 64
"""Points of a noise level at which a coarse score is compared."""
WIDEN = 4
CELL_RANK = 64
"""Most directions of a cell."""
UNION_BYTES = 2**26
"""Largest set of factors gathered for one tile of queries, 64 MiB."""


@dataclass(frozen=True, eq=False)
class TruncatedMixture(SpikedMixture):
    """The mixture, asked through few of its components or few cells.

    Args:
        near: How many components a query starts with; 0 for all.
        coarse: The mixture of cells, or None.
    """

    near: int = 0
    coarse: SpikedMixture | None = None
    _bounds: OrderedDict[float, tuple[Tensor, Tensor]] = field(
        default_factory=OrderedDict, init=False
    )
    _agrees: dict[float, bool] = field(default_factory=dict, init=False)

    def log_density(self, y: Queries, tau: float) -> PerPoint:
        """Log density; low by at most 1e-4 where components were dropped."""
        if self.coarse is not None and self._agree(tau):
            return self.coarse.log_density(y, tau)
        return self._narrow(y, tau, super().log_density, lambda logits, *_: logits.logsumexp(1))

    def score(self, y: Queries, tau: float) -> Queries:
        """The score, from the components that matter or from the cells."""
        if self.coarse is not None and self._agree(tau):
            return self.coarse.score(y, tau)

        def pull(logits: Tensor, projections: Tensor, block: Evolved, x: Queries) -> Queries:
            pulled = block.pull(logits.softmax(1), projections)
            return self.covariance.back(block.whiten * (pulled - x * block.whiten))

        return self._narrow(y, tau, super().score, pull)

    def _narrow(
        self, y: Queries, tau: float, whole: Callable[..., Tensor], finish: Callable[..., Tensor]
    ) -> Tensor:
        """``finish`` over tiles of queries and their components, ``whole`` where that is all."""
        if not len(y) or not self.near:
            return whole(y, tau)
        d, rank = self.centres.shape[1], max(self.covariance.rank, 1)

        def ask(y: Queries, k: int) -> Tensor:
            if 2 * k >= len(self.centres):
                return whole(y, tau)
            rows = max(1, UNION_BYTES // (self.centres.element_size() * k * d * rank))
            return torch.cat([tile(y[p], k) for p in tiles(len(y), min(rows, 1024))])

        def tile(y: Queries, k: int) -> Tensor:
            x = self.covariance.turned(y.to(self.centres) - self.middle)
            bound = self._bound(x.detach(), tau)
            index = bound.topk(k, dim=1).indices
            rest = bound.scatter(1, index, -torch.inf).logsumexp(1)
            chosen, where = index.unique(return_inverse=True)
            block = self._block(tau, chosen)
            logits, projections = block.logits(x * block.whiten)
            # A query sees its own components only, whatever came with it in the tile.
            own = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, where, True)
            logits = logits.masked_fill(~own, -torch.inf)
            value = finish(logits, projections, block, x)
            bad = rest - logits.detach().logsumexp(1) >= DROPPED
            return self._widened(value, bad, lambda: ask(y[bad], WIDEN * k))

        return ask(y, self.near)

    def _widened(
        self, value: Tensor, bad: Bool[Tensor, " b"], again: Callable[[], Tensor]
    ) -> Tensor:
        if not bool(bad.any()):
            return value
        value = value.clone()
        value[bad] = again()
        return value

    def _bound(self, x: Queries, tau: float) -> Float[Tensor, "b n"]:
        """Upper bounds of all components' log densities at centred queries."""
        scale, spread = self._spreads(tau)
        whiten = (self.covariance.floor + tau).rsqrt()
        z = self.covariance.turned(self.centres - self.middle) * whiten
        x = x * whiten
        size, sizes = x.square().sum(1, keepdim=True), z.square().sum(1)
        squared = size + sizes - 2 * x @ z.mT
        rounding = 8 * torch.finfo(x.dtype).eps * (size + sizes)
        return scale - (squared - rounding).clamp_min(0) / (2 * spread)

    def _spreads(self, tau: float) -> tuple[Tensor, Tensor]:
        r""":math:`c_i` and :math:`1 + \lambda_i` at a noise level; the last few are kept."""
        if tau not in self._bounds:
            floor, (_, d, rank) = self.covariance.floor + tau, self.covariance.factors.shape
            rows = max(1, BLOCK_BYTES // (self.centres.element_size() * d * max(rank, 1)))
            logs, largest = [], []
            for part in tiles(len(self.centres), rows):
                scaled = self.covariance.rows(part).turned_factors() * floor.rsqrt()[:, None]
                values = torch.linalg.eigvalsh(scaled.mT @ scaled).clamp_min(0)
                logs.append(values.log1p().sum(1))
                largest.append(values.amax(1) if rank else values.sum(1))
            constant = floor.log().sum() + d * math.log(2 * math.pi)
            scale = self.weights.log() - (torch.cat(logs) + constant) / 2
            self._bounds[tau] = (scale, 1 + torch.cat(largest))
            if len(self._bounds) > CACHE_LEVELS:
                self._bounds.popitem(last=False)
        return self._bounds[tau]

    def _block(self, tau: float, chosen: Tensor) -> Evolved:
        return Evolved.at(
            tau,
            self.covariance.turned(self.centres[chosen] - self.middle),
            self.covariance.rows(chosen).turned_factors(),
            self.covariance.floor,
            self.weights[chosen].log(),
        )

    def _agree(self, tau: float) -> bool:
        """Whether the cells' score is right at a noise level, by points of that level."""
        if tau not in self._agrees and self.coarse is not None:
            generator = torch.Generator().manual_seed(0)
            y = self.draw(PROBES, generator)
            y = y + tau**0.5 * normal_like(y, generator)
            right = super().score(y, tau)
            wrong = self.coarse.score(y, tau) - right
            self._agrees[tau] = bool(wrong.square().mean() <= AGREE**2 * right.square().mean())
        return self._agrees[tau]


def cells_of(law: SpikedMixture, count: int) -> SpikedMixture:
    r"""Cells of near components with their mass, mean and covariance.

    .. math:: m_c = \sum_i \frac{w_i}{w_c} z_i, \quad
              C_c = \sum_i \frac{w_i}{w_c} \bigl(\Sigma_i + (z_i - m_c)(z_i - m_c)^T\bigr)

    Args:
        law: The mixture.
        count: How many cells k-means looks for.
    """
    from sklearn.cluster import KMeans

    found = KMeans(min(count, len(law.centres)), n_init=1, random_state=0).fit(
        law.centres.double().cpu().numpy(), sample_weight=law.weights.double().cpu().numpy()
    )
    label = torch.from_numpy(found.labels_).long().to(law.centres.device)
    means, factors, weights = [], [], []
    for c in label.unique().tolist():
        rows = (label == c).nonzero().squeeze(1)
        share = law.weights[rows] / law.weights[rows].sum()
        mean = share @ law.centres[rows]
        apart = (law.centres[rows] - mean) * share.sqrt()[:, None]
        wide = law.covariance.rows(rows).factors
        spread = apart.mT @ apart
        for part in tiles(len(rows), max(1, BLOCK_BYTES // (8 * wide[0].numel() + 8))):
            scaled = (wide[part] * share[part].sqrt()[:, None, None]).permute(1, 0, 2).flatten(1)
            spread = spread + scaled @ scaled.mT
        values, vectors = torch.linalg.eigh(spread)
        kept = slice(max(0, len(values) - CELL_RANK), None)
        means.append(mean)
        factors.append(vectors[:, kept] * values[kept].clamp_min(0).sqrt())
        weights.append(law.weights[rows].sum())
    covariance = Spiked(torch.stack(factors), law.covariance.floor, law.covariance.basis)
    return SpikedMixture(torch.stack(means), covariance, torch.stack(weights))
