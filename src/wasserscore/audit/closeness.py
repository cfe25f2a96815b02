r"""Is the generated set closer to the training rows than fresh data are?

L(x) is the distance of x to its nearest training row, for m generated and n held-out rows:

.. math:: U = \#\{(q, p) : L(q) > L(p)\} + \tfrac12 \#\{L(q) = L(p)\}, \qquad
          Z_U = \frac{U - nm/2}{\sqrt{nm(n + m + 1)/12}}

Z_U far below zero says closer than fresh data, far above zero says underfitted. It grows with
the number of rows; :math:`P(L_{gen} < L_{test}) = 1 - U/(nm)` does not, and 1/2 is ideal.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.kernel import nearest

Numbers = NDArray[np.float64]
BOOTSTRAPS = 200
CELL_GENERATED = 20
"""A cell counts when it holds more than this many generated rows."""


def u_statistic(generated: Numbers, holdout: Numbers) -> float:
    """Pairs in which the generated row is the farther one, ties counted one half."""
    m = len(generated)
    ranks = rankdata(np.concatenate([generated, holdout]))
    return float(ranks[:m].sum() - m * (m + 1) / 2)


def z_u(generated: Numbers, holdout: Numbers) -> float:
    """U in standard units under the null, without a correction for ties (which it would raise).

    Source: :cite:p:`meehan2020`, section 3.2.
    """
    m, n = len(generated), len(holdout)
    u = u_statistic(generated, holdout)
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def closer_than_holdout(
    generated: Numbers, holdout: Numbers, seed: int
) -> tuple[Estimate, Estimate]:
    """P(L_gen < L_test), ties one half, and Z_U; bootstrap standard errors over both sets."""
    m, n = len(generated), len(holdout)
    generator = np.random.default_rng(Streams(seed).key("closer"))
    drawn = [
        z_u(generator.choice(generated, m), generator.choice(holdout, n))
        for _ in range(BOOTSTRAPS)
    ]
    z, spread = z_u(generated, holdout), float(np.std(drawn))
    unit = math.sqrt((n + m + 1) / (12 * n * m))  # of P, per unit of Z
    return (
        Estimate(0.5 - z * unit, stderr=spread * unit, n=min(m, n), units=""),
        Estimate(z, stderr=spread, n=min(m, n), units="standard units"),
    )


def median_distance(distances: Tensor, seed: int) -> Estimate:
    """The median of distances to the nearest training row, with its bootstrap error."""
    values = distances.numpy()
    generator = np.random.default_rng(Streams(seed).key("median"))
    drawn = [np.median(generator.choice(values, len(values))) for _ in range(BOOTSTRAPS)]
    return Estimate(float(np.median(values)), stderr=float(np.std(drawn)), n=len(values))


def c_t(train: Tensor, generated: Tensor, holdout: Tensor, seed: int) -> float | None:
    r"""Z_U by cells, so that copying one region and missing another do not cancel.

    .. math:: C_T = \frac{\sum_c P(c) Z_U(c)}{\sum_c P(c)}

    over k-means cells of train with more than ``CELL_GENERATED`` generated rows and some held-out
    ones, nearest training rows searched inside the cell, P(c) the share of held-out rows.

    Source: :cite:p:`meehan2020`, eq. (2)-(3).

    Args:
        train: Distinct training rows (n, d).
        generated: Rows (m, d).
        holdout: Rows (l, d).
        seed: Seed of the cells.

    Returns:
        The weighted mean, or None when no cell holds enough rows.
    """
    cells = max(1, min(10, len(train) // 50))
    kmeans = KMeans(cells, n_init=1, random_state=Streams(seed).key("cells") % 2**31)
    labels = kmeans.fit_predict(train.numpy())
    own, fresh = kmeans.predict(generated.numpy()), kmeans.predict(holdout.numpy())
    total, weight = 0.0, 0.0
    for cell in range(cells):
        inside, rows, others = (torch.from_numpy(which == cell) for which in (labels, own, fresh))
        share = float(others.double().mean())
        if rows.sum() > CELL_GENERATED and share > 0 and inside.any():
            points = train[inside]
            near = (nearest(x, points)[0][:, 0] for x in (generated[rows], holdout[others]))
            total += share * z_u(*(distances.numpy() for distances in near))
            weight += share
    return total / weight if weight else None
