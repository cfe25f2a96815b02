"""What a table looks like column by column: marginals, associations, tests, use.

Every number compares as many generated rows with held-out rows, and stands beside its floor: the
same number for training rows, which are real.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, plain
from wasserscore.core.typing import Array, Cloud
from wasserscore.data import Dataset
from wasserscore.data.tables import Codec
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codes import APART
from wasserscore.data.tables.number import Number
from wasserscore.experiment.profiles import level_shares, profile
from wasserscore.experiment.usefulness import usefulness

FOLDS = 5


def codec_of(train: Dataset) -> Codec | None:
    """What the columns of a table are; None for other data.

    Distances of a table of plain numbers are in its own units, without a codec; this one is for
    the section on its columns.
    """
    if train.codec is not None or train.kind != "table":
        return train.codec
    return Codec.infer(train.frame(train.points))


def columns_section(
    train: Dataset,
    generated: Cloud,
    holdout: Float[Tensor, "k d"],
    *,
    codec: Codec | None,
    target: str | None = None,
    seed: int,
) -> dict[str, Any] | None:
    """A table column by column; None for other data.

    Args:
        train: The training rows.
        generated: Generated rows, data units.
        holdout: Held-out rows, likewise.
        codec: Of :func:`codec_of`.
        target: The column to predict; None is the last of few levels, or of numbers.
        seed: Of folds, of the rows that are learnt from and of the bootstrap.
    """
    if codec is None:
        return None
    sides = [generated, train.points, holdout]
    if train.codec is None:
        sides = [codec.encode(train.frame(rows), exact=False) for rows in sides]
    return table_section(codec, *sides, target=target, seed=seed)


def table_section(
    codec: Codec,
    generated: Cloud,
    train: Float[Tensor, "m d"],
    holdout: Float[Tensor, "k d"],
    *,
    target: str | None = None,
    seed: int,
) -> dict[str, Any]:
    """Columns, associations, two-sample accuracy and use, each with its floor, as JSON types.

    Args:
        codec: Of the table.
        generated: Points of generated rows.
        train: Points of training rows, for the floors.
        holdout: Points of held-out rows.
        target: The column that :func:`usefulness` predicts; None leaves the choice to it.
        seed: Of the folds of the two-sample test, and of :func:`usefulness`.

    Raises:
        InputError: On a target that is not there or cannot be learnt.
    """
    useful = usefulness(codec, generated, train, holdout, target=target, seed=seed)
    sides = [x.numpy() for x in (generated, train, holdout)]
    new, old, fresh = sides
    columns = [
        {"name": column.name, "kind": column.kind, "unit": column.meaning,
         "distance": marginal(column, new[:, places], fresh[:, places]),
         "floor": marginal(column, old[:, places], fresh[:, places]),
         "profile": profile(column, new[:, places], fresh[:, places])}
        for column in codec.columns if (places := codec.places(column.name))
    ]  # fmt: skip
    links = [associations(codec, side) for side in sides]
    out: dict[str, Any] = plain({
        "columns": columns,
        "association": {"value": _mean_gap(links[0], links[2]),
                        "floor": _mean_gap(links[1], links[2])},
        "two_sample": {"value": two_sample_accuracy(new, fresh, seed=seed),
                       "floor": two_sample_accuracy(old, fresh, seed=seed)},
        "usefulness": useful,
    })  # fmt: skip
    return out


def marginal(column: Any, x: Array, y: Array) -> float:
    r"""How far the marginals of one column are apart.

    Numbers: :math:`W_1` of the present values in units of the column, plus the difference of the
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
    shift = float(np.abs((x[:, 1:] > 0).mean(0) - (y[:, 1:] > 0).mean(0)).sum() * APART)
    gone = isinstance(column, Number) and column.missing
    present = [side[side[:, -1] == 0, 0] if gone else side[:, 0] for side in (x, y)]
    if not all(map(len, present)):
        return shift
    return shift + float(wasserstein_distance(*present))


def associations(codec: Codec, points: Array) -> Array:
    """Between every two columns the root mean square correlation of their coordinates."""
    spread = points.std(0)
    safe = np.where(spread > 0, spread, 1.0)
    scaled = (points - points.mean(0)) / safe
    square = (scaled.T @ scaled / len(points)) ** 2
    blocks = [places for name in codec.names if (places := codec.places(name))]
    return np.array([[square[np.ix_(a, b)].mean() ** 0.5 for b in blocks] for a in blocks])


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
    return Estimate(float(right.mean()), stderr=float(right.std() / len(right) ** 0.5),
                    n=len(right), units="share of rows")  # fmt: skip


def _mean_gap(a: Array, b: Array) -> float:
    """The mean absolute difference over pairs of different columns."""
    pairs = np.triu_indices(len(a), 1)
    return float(np.abs(a - b)[pairs].mean()) if len(pairs[0]) else 0.0
