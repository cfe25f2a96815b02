"""How far rows of a table are from others: in every column, in every pair, and in all at once."""

import numpy as np
from scipy.stats import wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, share_error
from wasserscore.core.typing import Array
from wasserscore.data.tables import Codec
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codes import APART
from wasserscore.data.tables.number import Number
from wasserscore.experiment.profiles import level_shares

FOLDS = 5


def marginal(column: Category | Number, x: Array, y: Array) -> float:
    r"""How far the marginals of one column are apart.

    Numbers: :math:`W_1` of the ordinary values in units of the column, plus the difference of the
    shares of every special value (missing, or far too frequent) times the root of two. Levels:
    total variation, :math:`\frac12 \sum_l |p_l - q_l|`, likewise times the root of two, which is
    their :math:`W_1`.

    Args:
        column: Of the codec.
        x: Coordinates of the column, ``(n, width)``.
        y: The same of other rows.
    """
    if isinstance(column, Category):
        p, q = level_shares(column, x), level_shares(column, y)
        return float(APART * np.abs(p - q).sum() / 2)
    special = [column.special(side) for side in (x, y)]
    shift = float(np.abs(special[0].mean(0) - special[1].mean(0)).sum() * APART)
    ordinary = [side[~odd.any(1), 0] for side, odd in zip((x, y), special, strict=True)]
    return shift + (float(wasserstein_distance(*ordinary)) if all(map(len, ordinary)) else 0.0)


def associations(codec: Codec, points: Array) -> Array:
    """Between every two columns the root mean square correlation of their coordinates."""
    spread = points.std(0)
    safe = np.where(spread > 0, spread, 1.0)
    scaled = (points - points.mean(0)) / safe
    square = (scaled.T @ scaled / len(points)) ** 2
    found = (len(codec.places(name)) for name in codec.names)
    widths = np.array([width for width in found if width], dtype=int)
    starts = np.cumsum(widths) - widths
    sums = np.add.reduceat(np.add.reduceat(square, starts, axis=0), starts, axis=1)
    means: Array = np.sqrt(sums / np.outer(widths, widths))
    return means


def two_sample_accuracy(x: Array, y: Array, *, seed: int) -> Estimate | None:
    """How often gradient boosting tells held-out rows from others; one half: it cannot.

    Five-fold cross-validated, on equally many rows of both kinds; None below five of each.

    Args:
        x: Rows of one kind.
        y: Rows of the other.
        seed: Of the folds, and of the rows that are asked where there are more of one kind.
    """
    few = min(len(x), len(y))
    if few < FOLDS:
        return None
    # a file may be in an order, so that its first rows are not like the rest
    some = (a[Streams(seed).subset("two samples", len(a), few).numpy()] for a in (x, y))
    rows = np.concatenate(list(some))
    kind = np.repeat([0, 1], few)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**31)
    boosting = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=0)
    right = cross_val_predict(boosting, rows, kind, cv=folds) == kind
    share, n = float(right.mean()), len(right)
    return Estimate(share, stderr=share_error(share, n), n=n, units="share of rows")


def mean_gap(a: Array, b: Array) -> float:
    """The mean absolute difference over pairs of different columns."""
    pairs = np.triu_indices(len(a), 1)
    return float(np.abs(a - b)[pairs].mean()) if len(pairs[0]) else 0.0
