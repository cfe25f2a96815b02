r"""Local principal components: where the data go from each centre.

In coordinates where the per-column kernel is standard normal, the k nearest neighbours
:math:`y_1 .. y_k` of a point z, with mean m, give a covariance about their own mean

.. math:: C = \frac{1}{k} \sum_j (y_j - m)(y_j - m)^T

and its leading r eigenpairs; the centre is pulled towards that mean,

.. math:: c = z + \lambda (m - z).

A mixture with its centres *on* the points spreads wider than the data by its own kernel
covariance, and a pulled one less; pulling also keeps centres from being rows of the data.

Source: :cite:p:`zhang2024` Remark 4.1 (the precision as a metric of the data manifold); the pull
is one mean shift step on k neighbours.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.tensors import tiles
from wasserscore.core.typing import Cloud, Indices, Vector
from wasserscore.score.spiked import Factors, Spiked

TILE_BYTES = 2**21
"""Largest array of neighbourhoods held at once, 2 MiB: they pass through the processor's cache.

Larger ones are mapped and zeroed anew by the system at every use, which took half of the time.
"""


@dataclass(frozen=True, eq=False)
class LocalSpread:
    """How the data spread around every point, in whitened coordinates.

    Args:
        points: z, shape ``(n, d)``.
        shift: m - z, from a point to the mean of its neighbours, ``(n, d)``.
        variances: Leading eigenvalues, largest first, ``(n, r)``.
        directions: Their unit vectors, ``(n, d, r)``.
    """

    points: Cloud
    shift: Cloud
    variances: Float[Tensor, "n r"]
    directions: Factors

    def centres(self, pull: float) -> Cloud:
        """Points pulled towards their neighbours' mean, ``pull`` in [0, 1]."""
        return self.points + pull * self.shift

    def spiked(self, rank: int, shrink: float, floor: float, scale: Vector) -> Spiked:
        r"""The covariances in the units of the data, ``scale`` undoing the whitening.

        .. math:: S^{1/2} (\text{shrink} \cdot V \Lambda V^T + \text{floor} \cdot I) S^{1/2}
        """
        factors = self.directions[..., :rank] * (shrink * self.variances[:, None, :rank]).sqrt()
        return Spiked(factors * scale[:, None], floor * scale.square())


def local_spread(z: Cloud, near: Indices, rank: int) -> LocalSpread:
    """Local principal components of the first rows.

    Args:
        z: Whitened points, ``(n, d)``.
        near: The neighbours of as many of them as it has rows.
        rank: How many components to keep, at most min(k, d).
    """
    k, d = near.shape[1], z.shape[1]
    rows = max(1, TILE_BYTES // (8 * k * max(d, k)))
    pieces = [_components(z[near[part]], rank) for part in tiles(len(near), rows)]
    mean, variances, directions = (torch.cat(a) for a in zip(*pieces, strict=True))
    own = z[: len(near)]
    return LocalSpread(own, mean - own, variances, directions)


def _components(
    around: Float[Tensor, "n k d"], rank: int
) -> tuple[Cloud, Float[Tensor, "n r"], Factors]:
    """Mean, leading eigenvalues and eigenvectors of each neighbourhood."""
    k, d = around.shape[1:]
    mean = around.mean(1)
    a = (around - mean[:, None]) / k**0.5
    # The smaller of the two Gram matrices has the same non-zero eigenvalues.
    values, vectors = torch.linalg.eigh(a.mT @ a if d <= k else a @ a.mT)
    values = values.flip(-1)[:, :rank].clamp_min(0)
    vectors = vectors.flip(-1)[..., :rank]
    if d > k:
        vectors = torch.nn.functional.normalize(a.mT @ vectors, dim=1)
    return mean, values, vectors
