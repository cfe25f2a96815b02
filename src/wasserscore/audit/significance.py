r"""p-values against the null that generated and held-out rows are draws of one law.

Given train, both sets are then exchangeable, so permuting the labels is exact at any size.

Two ways of being too close are told apart. A generator whose *whole* law sits nearer to the data
(smoother, sharper) shifts all distances; one that repeats *some* rows adds mass at the lower end.
So the scan for copies first divides the generated values by the ratio of medians where that is
below one, then looks for the threshold below which generated rows are most over-represented:

.. math:: \max_k \frac{g_k - k m / N}{\sqrt{k \frac{m}{N} \frac{n}{N} \frac{N - k}{N - 1}}},

with :math:`g_k` the generated rows among the k smallest of N = m + n values, k up to N/10.

Permuting stops as soon as both statistics were exceeded often enough: a p-value so far from every
level need not be known better, and most audits of fresh data end after a tenth of the work.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, rankdata

from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
PERMUTATIONS = 999
MAX_ROWS = 5000
"""Rows of each set that the permutations look at (drawn at random from more)."""
ENOUGH = 25
"""Exceedances after which a p-value is settled; below 25 / 999 all permutations are made."""
FEWEST = 8
LOWER_END = 0.1


class PValues(NamedTuple):
    """One-sided p-values: the whole set is closer; some rows are closer than the rest explains."""

    closer: float
    copies: float


def permutation_p_values(generated: Numbers, holdout: Numbers, seed: int) -> PValues:
    r"""Permutation p-values of the rank sum of distances and of the scan for copies.

    .. math:: p = h / l \text{ if draw } l \text{ was the } h\text{-th exceedance}, \qquad
              p = (g + 1) / (R + 1) \text{ if only } g < h \text{ of all } R \text{ exceed}

    Source: :cite:p:`besag1991`, both cases are exact.

    Args:
        generated: (m, 2): distance to the nearest training row, and its ratio to the second.
        holdout: (n, 2) likewise.
        seed: Seed of the permutations.
    """
    generator = np.random.default_rng(Streams(seed).key("permutations"))
    generated, holdout = (_some(values, generator) for values in (generated, holdout))
    values = np.concatenate([generated, holdout])
    ranks = rankdata(values[:, 0])
    scans = [_sorted(column) for column in values.T]
    total = len(values)

    def statistics(mask: NDArray[np.bool_]) -> tuple[float, float]:
        return -ranks[mask].sum(), max(_scan(v[mask[i]], v[~mask[i]]) for v, i in scans)

    observed = np.array(statistics(np.arange(total) < len(generated)))
    observed -= 1e-9  # equal up to rounding counts as exceeded
    exceeded, settled = np.zeros(2), np.full(2, np.nan)
    for draw in range(1, PERMUTATIONS + 1):
        mask = np.zeros(total, dtype=np.bool_)
        mask[generator.permutation(total)[: len(generated)]] = True
        exceeded += np.greater_equal(statistics(mask), observed)
        settled[np.isnan(settled) & (exceeded >= ENOUGH)] = ENOUGH / draw
        if not np.isnan(settled).any():
            break
    closer, copies = np.where(np.isnan(settled), (exceeded + 1) / (PERMUTATIONS + 1), settled)
    return PValues(float(closer), float(copies))


def count_p_value(generated: Estimate, holdout: Estimate) -> float:
    """Fisher's exact p-value that a share among generated rows exceeds that of the hold-out."""
    m, n = generated.n or 0, holdout.n or 0
    own, both = round(generated.value * m), round(generated.value * m) + round(holdout.value * n)
    return float(hypergeom.sf(own - 1, m + n, both, m))


def _some(values: Numbers, generator: np.random.Generator) -> Numbers:
    if len(values) <= MAX_ROWS:
        return values
    return values[generator.choice(len(values), MAX_ROWS, replace=False)]


def _sorted(column: Numbers) -> tuple[Numbers, Places]:
    """The values in ascending order, and where each came from."""
    order = np.argsort(column, kind="stable")
    return column[order], order


def _scan(generated: Numbers, holdout: Numbers) -> float:
    """The most over-representation at the lower end of ascending values, in standard units.

    Thresholds are generated values (the maximum is reached there), so ties are never split.
    """
    m, n = len(generated), len(holdout)
    total, share = m + n, m / (m + n)
    own, other = generated[m // 2], holdout[n // 2]
    if 0 < own < other:
        generated = generated * (other / own)
    last = max(FEWEST, round(LOWER_END * total))
    lowest = np.sort(np.concatenate([generated[:last], holdout[:last]]))
    thresholds = generated[:last]
    thresholds = thresholds[thresholds <= lowest[min(last, len(lowest)) - 1]]
    found = np.searchsorted(generated, thresholds, "right")
    k = found + np.searchsorted(holdout, thresholds, "right")
    sd = np.sqrt(k * share * (1 - share) * (total - k) / (total - 1))
    usable = (k >= FEWEST) & (k < total)
    z = (found[usable] - k[usable] * share) / sd[usable]
    return float(z.max()) if z.size else -np.inf
