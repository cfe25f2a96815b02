r"""A mixture of factor analysers: few centres, each with a few directions, one floor for all.

.. math:: \pi(x) = \sum_j \pi_j\, N(x;\ \mu_j,\ V_j V_j^T + \Psi)

Where neighbourhoods are too small to give every row its own covariance, or rows too many to be
centres, cells share one. Fitted by expectation maximisation; every step raises the likelihood:
with :math:`e = \beta_j (x - \mu_j)` the expected factors of a row, :math:`\beta_j = (I + V_j^T
\Psi^{-1} V_j)^{-1} V_j^T \Psi^{-1}`, and h the responsibilities,

.. math::
    [V_j, \delta_j] = \Bigl(\sum h\, (x - \mu_j) [e^T, 1]\Bigr)
    \begin{pmatrix} \sum h\, (I - \beta_j V_j + e e^T) & \sum h\, e \\
                    \sum h\, e^T & \sum h \end{pmatrix}^{-1}, \quad
    \mu_j \leftarrow \mu_j + \delta_j .

The floor is diagonal and shared, so no component can become a pancake through one row.

Source: Ghahramani and Hinton, Technical report CRG-TR-96-1 (1996), eqs. (13)-(16).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, Vector
from wasserscore.proximal.sample_rows import Rows
from wasserscore.score.spiked import Spiked
from wasserscore.score.spiked_mixture import SpikedMixture

STEPS = 100
TOLERANCE = 1e-3
"""Steps end when the likelihood rises by less, in nats per row and column."""
NEGLIGIBLE = 1e-9
"""Responsibilities below this do not count: in many dimensions nearly all of them."""


@dataclass(frozen=True, eq=False)
class Analysers:
    """A fitted mixture.

    Args:
        mixture: Its means, covariances and weights.
        values: Mean log-likelihood of the rows before every step, nats; never falls.
    """

    mixture: SpikedMixture
    values: tuple[float, ...]


def fit_analysers(
    rows: Rows, cells: int, rank: int, least: Vector, streams: Streams, *, steps: int = STEPS
) -> Analysers:
    """The mixture of ``cells`` factor analysers with ``rank`` directions each.

    Args:
        rows: The data.
        cells: Number of components to start from; those that lose their rows are dropped.
        rank: Directions of each, at most d.
        least: Smallest variance allowed per column.
        streams: Decides the first cells.
        steps: At most so many.
    """
    share = rows.counts / rows.counts.sum()
    mixture, values = _start(rows, cells, rank, least, streams), list[float]()
    for _ in range(steps):
        joint = mixture.log_joint(rows.points)
        level = joint.logsumexp(1)
        values.append(float(share @ level))
        if len(values) > 1 and values[-1] - values[-2] < TOLERANCE * rows.points.shape[1]:
            break
        weights = (joint - level[:, None]).exp() * share[:, None]
        mixture = _step(rows.points, weights, mixture, least, 1 / float(rows.counts.sum()))
    return Analysers(mixture, tuple(values))


def _start(rows: Rows, cells: int, rank: int, least: Vector, streams: Streams) -> SpikedMixture:
    """k-means cells in units of the columns' spread, and the leading directions of each."""
    from sklearn.cluster import KMeans

    x, share = rows.points, rows.counts / rows.counts.sum()
    scale = torch.maximum((share @ (x - share @ x).square()), least).sqrt()
    seed = streams.key("cells") % 2**32
    means = KMeans(min(cells, len(x)), n_init=1, random_state=seed).fit(
        (x / scale).numpy(), sample_weight=rows.counts.numpy()
    )
    cell = torch.from_numpy(means.labels_).long()
    near = torch.nn.functional.one_hot(cell).to(x) * share[:, None]
    weights = near.sum(0)
    centres = near.T @ x / weights[:, None]
    gap = x - centres[cell]
    floor = torch.maximum(share @ gap.square(), least)
    factors = torch.stack([
        _leading(gap[cell == j], near[cell == j, j] / weights[j], floor, rank)
        for j in range(len(weights))
    ])  # fmt: skip
    return SpikedMixture(centres, Spiked(factors, floor / 2), weights)


def _leading(
    gap: Cloud, share: Float[Tensor, " n"], floor: Vector, rank: int
) -> Float[Tensor, "d r"]:
    """Principal directions above half of the floor, zeros where there are no more."""
    scaled = gap * share[:, None].sqrt() / floor.sqrt()
    # The smaller of the two Gram matrices has the same non-zero eigenvalues.
    wide = scaled.shape[1] > len(scaled)
    values, vectors = torch.linalg.eigh(scaled @ scaled.T if wide else scaled.T @ scaled)
    values, vectors = values.flip(0)[:rank], vectors.flip(1)[:, :rank]
    if wide:
        vectors = torch.nn.functional.normalize(scaled.T @ vectors, dim=0)
    found = vectors * (values - 0.5).clamp_min(0).sqrt() * floor.sqrt()[:, None]
    return torch.nn.functional.pad(found, (0, rank - found.shape[1]))


def _step(
    x: Cloud, weights: Float[Tensor, "n m"], old: SpikedMixture, least: Vector, one: float
) -> SpikedMixture:
    """One step of expectation maximisation; ``one`` is the weight of a single row."""
    alive = (weights.sum(0) >= one).nonzero()[:, 0].tolist()
    floor, factors, centres = torch.zeros_like(least), [], []
    for j in alive:
        rows = (weights[:, j] > NEGLIGIBLE * one).nonzero()[:, 0]
        h, gap, v = weights[rows, j, None], x[rows] - old.centres[j], old.covariance.factors[j]
        pulled = v / old.covariance.floor[:, None]
        inner = torch.eye(v.shape[1]).to(v) + v.T @ pulled
        expected = torch.linalg.solve(inner, (gap @ pulled).T).T
        extended = torch.cat([expected, torch.ones_like(h)], 1)
        moments = extended.T @ (h * extended)
        moments[:-1, :-1] += h.sum() * torch.linalg.inv(inner)
        cross = gap.T @ (h * extended)
        found = torch.linalg.solve(moments, cross.T).T
        floor += (h * gap.square()).sum(0) - (cross * found).sum(1)
        factors.append(found[:, :-1])
        centres.append(old.centres[j] + found[:, -1])
    kept = weights[:, alive].sum(0)
    floor = torch.maximum(floor / kept.sum(), least)
    return SpikedMixture(
        torch.stack(centres), Spiked(torch.stack(factors), floor), kept / kept.sum()
    )
