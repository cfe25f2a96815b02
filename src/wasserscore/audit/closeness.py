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

from wasserscore.audit.neighbours import levelled
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
    z, spread = z_u(generated, holdout), z_u_error(generated, holdout, generator)
    unit = math.sqrt((n + m + 1) / (12 * n * m))  # of P, per unit of Z
    return (
        Estimate(0.5 - z * unit, stderr=spread * unit, n=min(m, n), units=""),
        Estimate(z, stderr=spread, n=min(m, n), units="standard units"),
    )


def z_u_error(generated: Numbers, holdout: Numbers, generator: np.random.Generator) -> float:
    """Bootstrap standard error of Z_U; ranks are found once, resamples only counted."""
    m, n = len(generated), len(holdout)
    values, place = np.unique(np.concatenate([generated, holdout]), return_inverse=True)

    def resampled(places: NDArray[np.int64]) -> Numbers:
        chosen = places[generator.integers(len(places), size=len(places))]
        return np.bincount(chosen, minlength=len(values)).astype(np.float64)

    drawn = []
    for _ in range(BOOTSTRAPS):
        own, other = resampled(place[:m]), resampled(place[m:])
        drawn.append(own @ (np.cumsum(other) - other / 2))
    return float(np.std(drawn)) / math.sqrt(n * m * (n + m + 1) / 12)


def median_distance(distances: Tensor, seed: int, units: str = "data units") -> Estimate:
    r"""The median of some numbers, with its bootstrap standard error.

    Medians of resamples are drawn without resampling: order statistics of n uniforms, which are
    beta variables, say which of the sorted values are the middle ones.
    """
    values = np.sort(distances.numpy())
    n = len(values)
    low = (n + 1) // 2
    generator = np.random.default_rng(Streams(seed).key("median"))
    first = generator.beta(low, n + 1 - low, BOOTSTRAPS)
    second = first if n % 2 else first + (1 - first) * generator.beta(1, n - low, BOOTSTRAPS)
    drawn = (values[(first * n).astype(int)] + values[(second * n).astype(int)]) / 2
    return Estimate(float(np.median(values)), stderr=float(np.std(drawn)), n=n, units=units)


def mean_number(values: Tensor, units: str = "data units") -> Estimate:
    """The mean of some independent numbers, with its standard error; of one number, none."""
    n, values = len(values), values.double().cpu()
    error = float(values.std()) / n**0.5 if n > 1 else None
    return Estimate(float(values.mean()), stderr=error, n=n, units=units)


def c_t(train: Tensor, generated: Tensor, holdout: Tensor, seed: int) -> Estimate | None:
    r"""Z_U by cells, so that copying one region and missing another do not cancel.

    .. math:: C_T = \frac{\sum_c P(c) Z_U(c)}{\sum_c P(c)}

    over k-means cells of train with more than ``CELL_GENERATED`` generated rows and some held-out
    ones, nearest training rows searched inside the cell, P(c) the share of held-out rows. The
    bootstrap resamples the rows of each cell; cells and their shares stay as they are.

    Source: :cite:p:`meehan2020`, eq. (2)-(3).

    Args:
        train: Distinct training rows (n, d).
        generated: Rows (m, d).
        holdout: Rows (l, d).
        seed: Seed of cells and bootstrap.

    Returns:
        The weighted mean, or None when no cell holds enough rows.
    """
    middle = train.mean(0)  # where cells of new rows keep their digits
    train, generated, holdout = (x - middle for x in (train, generated, holdout))
    cells = max(1, min(10, len(train) // 50))
    streams = Streams(seed)
    generator = np.random.default_rng(streams.key("c_t"))
    kmeans = KMeans(cells, n_init=1, random_state=streams.key("cells") % 2**31)
    labels = kmeans.fit_predict(train.numpy())
    own, fresh = kmeans.predict(generated.numpy()), kmeans.predict(holdout.numpy())
    found: list[tuple[float, float, float]] = []
    for cell in range(cells):
        inside, rows, others = (torch.from_numpy(which == cell) for which in (labels, own, fresh))
        share = float(others.double().mean())
        if rows.sum() > CELL_GENERATED and share > 0 and inside.any():
            gaps = [nearest(x, train[inside])[0][:, 0] for x in (generated[rows], holdout[others])]
            near, far = (gap.numpy() for gap in levelled(*gaps))
            found.append((share, z_u(near, far), z_u_error(near, far, generator)))
    if not found:
        return None
    share, value, error = np.array(found).T
    weight = share / share.sum()
    return Estimate(
        float(weight @ value),
        stderr=float(np.linalg.norm(weight * error)),
        n=min(len(generated), len(holdout)),
        units="standard units",
    )
