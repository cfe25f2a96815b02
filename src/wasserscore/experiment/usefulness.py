r"""Trained on synthetic rows, tested on real ones: what generated rows are good for.

Gradient boosting learns one column from the others, once on generated and once on as many training
rows; both are asked about held-out rows. Beside them stands what needs no other column: always
the most frequent level, or the mean. The scores:

- accuracy, for levels;
- balanced accuracy, :math:`\frac1k \sum_l P(\hat y = l \mid y = l)`, where one level has more than
  80 % of the held-out rows, so that saying it always would score well (levels then weigh alike in
  the fit, too);
- :math:`R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2`, for numbers, in units of the codec.

Source: train on synthetic, test on real, of :cite:p:`esteban2017`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, Record, plain
from wasserscore.core.typing import Array, Cloud
from wasserscore.data.tables import Codec
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.codes import levels_of
from wasserscore.data.tables.number import Number
from wasserscore.report.wording import estimate

LEVELS = 20
"""A column of more is not learnt: one tree per level and round."""
ROWS_TO_LEARN = 20
"""With a value of the column, on each side; of fewer no score is worth its error bar."""
DOMINANT = 0.8
"""Share of one level from which accuracy says little."""
RESAMPLES = 200
ROUNDS = 50
RIDGE = 1.0
"""Without it a level of a row or two, whose every step is to infinity, spoils the others."""


@dataclass(frozen=True)
class Usefulness(Record):
    """How well one column is predicted in held-out rows.

    Args:
        target: The column; None where the table has none to predict.
        score: "accuracy", "balanced accuracy" or "R^2".
        n_train: Rows each of the two was trained on.
        synthetic: Trained on generated rows; ``stderr`` by a bootstrap of held-out rows, which
            the three scores share, so that their differences are surer than each of them.
        real: Trained on as many training rows.
        trivial: Without any other column: the most frequent level of the training rows, or the
            mean.
        sentence: All of it in words, or why it was not measured.
    """

    target: str | None = None
    score: str | None = None
    n_train: int = 0
    synthetic: Estimate | None = None
    real: Estimate | None = None
    trivial: Estimate | None = None
    sentence: str = ""


def default_target(codec: Codec) -> str | None:
    """The last column of 2 to 20 levels, else the last of numbers, else None."""
    fit = _learnable(codec).items()
    levels = [name for name, column in fit if isinstance(column, Category)]
    numbers = [name for name, column in fit if column.kind not in (*Category.KINDS, "datetime")]
    return next((names[-1] for names in (levels, numbers) if names), None)


def require_target(codec: Codec, target: str) -> None:
    """Refuse a column that is not there or cannot be learnt.

    Raises:
        InputError: Naming the column and those to choose from.
    """
    fit = _learnable(codec)
    require(target in fit, f"the target must be a column of numbers or of 2 to {LEVELS} levels",
            got=repr(target), do=f"choose one of {', '.join(fit)}" if fit else "")  # fmt: skip


def usefulness(
    codec: Codec,
    generated: Cloud,
    train: Float[Tensor, "m d"],
    holdout: Float[Tensor, "k d"],
    *,
    target: str | None = None,
    seed: int,
) -> Usefulness:
    """Train on synthetic, test on real, beside train on real.

    Args:
        codec: Of the table.
        generated: Points of generated rows.
        train: Points of training rows.
        holdout: Points of held-out rows, for the test.
        target: The column to predict; None is :func:`default_target`.
        seed: Of the rows that are learnt from, and of the bootstrap.

    Raises:
        InputError: On a target that is not there or cannot be learnt.
    """
    if target is not None:
        require_target(codec, target)
    name = target or default_target(codec)
    if name is None:
        return _skipped(None, f"no column has numbers or 2 to {LEVELS} levels")
    places = codec.places(name)
    others = np.setdiff1d(np.arange(len(codec.coordinates)), places)
    if not len(others):
        return _skipped(name, "there is no other column")
    column = _learnable(codec)[name]
    sides = []
    for points, kind in ((generated, "generated"), (train, "training"), (holdout, "held-out")):
        values, there = _answers(column, points[:, places].numpy())
        if there.sum() < ROWS_TO_LEARN:
            return _skipped(name, f"{there.sum()} {kind} rows with a value of {name}, "
                                  f"{ROWS_TO_LEARN} are needed")  # fmt: skip
        sides.append((points[:, others].numpy()[there], values[there]))
    few = min(len(sides[0][1]), len(sides[1][1]))
    streams, lessons = Streams(seed), []
    for x, y in sides[:2]:
        # A file may be in an order, so that its first rows are not like the rest.
        order = torch.randperm(len(y), generator=streams.generator("usefulness/rows"))
        chosen = order[:few].numpy()
        lessons.append((x[chosen], y[chosen]))
    x, y = sides[2]
    score, measure = _score(column, y)
    guesses = [_predict(*lesson, x, score) for lesson in lessons]
    guesses.append(np.full(len(y), _usual(lessons[1][1], score)))
    generator = streams.generator("usefulness/bootstrap")
    found = _bootstrapped(measure, y, guesses, generator)
    told = dict(zip(("synthetic", "real", "trivial"), found, strict=True))
    return Usefulness(name, score, few, **told, sentence=_sentence(name, score, few, **told))


def _learnable(codec: Codec) -> dict[str, Category | Number]:
    return {
        c.name: c
        for c in codec.columns
        if isinstance(c, Number) or (isinstance(c, Category) and c.count <= LEVELS)
    }


def _answers(column: Category | Number, part: Array) -> tuple[Array, Array]:
    """The column to predict, and in which rows it is there; a strange level is one of its own."""
    if isinstance(column, Category):
        return levels_of(part, column.count), np.full(len(part), True)
    return part[:, 0], column.placed(part)


def _score(column: Category | Number, y: Array) -> tuple[str, Callable[[Array, Array], float]]:
    if isinstance(column, Number):
        return "R^2", r2
    dominant = np.unique(y, return_counts=True)[1].max() > DOMINANT * len(y)
    return ("balanced accuracy", balanced_accuracy) if dominant else ("accuracy", accuracy)


def accuracy(y: Array, guess: Array) -> float:
    """The share of rows that are right."""
    return float((y == guess).mean())


def balanced_accuracy(y: Array, guess: Array) -> float:
    """The mean over levels of the share of their rows that are right."""
    _, level = np.unique(y, return_inverse=True)
    return float((np.bincount(level, y == guess) / np.bincount(level)).mean())


def r2(y: Array, guess: Array) -> float:
    """The share of the variance that is explained; 0 where there is none."""
    total = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - guess) ** 2).sum()) / total if total > 0 else 0.0


def _predict(x: Array, y: Array, asked: Array, score: str) -> Array:
    if (y == y[0]).all():
        return np.full(len(asked), y[0])
    if score == "R^2":
        fit = HistGradientBoostingRegressor(
            max_iter=ROUNDS, early_stopping=False, random_state=0
        ).fit(x, y)
    else:
        weight = "balanced" if score == "balanced accuracy" else None
        fit = HistGradientBoostingClassifier(
            max_iter=ROUNDS, early_stopping=False, random_state=0, class_weight=weight,
            l2_regularization=RIDGE,
        ).fit(x, y)  # fmt: skip
    out: Array = fit.predict(asked)
    return out


def _usual(y: Array, score: str) -> float:
    if score == "R^2":
        return float(y.mean())
    levels, counts = np.unique(y, return_counts=True)
    return float(levels[counts.argmax()])


def _bootstrapped(
    measure: Callable[[Array, Array], float],
    y: Array,
    guesses: list[Array],
    generator: torch.Generator,
) -> list[Estimate]:
    """The score of every guess, with the deviation over resampled rows, the same for all."""
    drawn = np.empty((RESAMPLES, len(guesses)))
    for i in range(RESAMPLES):
        rows = torch.randint(len(y), (len(y),), generator=generator).numpy()
        drawn[i] = [measure(y[rows], guess[rows]) for guess in guesses]
    return [
        Estimate(measure(y, guess), stderr=float(error), n=len(y), units="")
        for guess, error in zip(guesses, drawn.std(0, ddof=1), strict=True)
    ]


def _sentence(
    name: str, score: str, few: int, synthetic: Estimate, real: Estimate, trivial: Estimate
) -> str:
    usual = "the mean" if score == "R^2" else "the most frequent level"
    shown = [estimate(plain(e)) for e in (synthetic, real, trivial)]
    return (
        f"Predicting {name} in {synthetic.n} held-out rows ({score}): trained on {few} synthetic "
        f"rows {shown[0]}, on as many real rows {shown[1]}, always {usual} {shown[2]}."
    )


def _skipped(target: str | None, reason: str) -> Usefulness:
    return Usefulness(target, sentence=f"Not measured: {reason}.")
