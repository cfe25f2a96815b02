"""Choosing the settings of one family of models by cross-validated likelihood."""

import math
from dataclasses import dataclass

from wasserscore.core.typing import Vector
from wasserscore.proximal.bandwidth import KINDS
from wasserscore.proximal.sample_rows import Rows
from wasserscore.proximal.search import Ladders, Settings, climb
from wasserscore.proximal.validation import (
    AnalyserFold,
    Fold,
    KernelFold,
    LocalFold,
    mean_log_density,
)

METHODS = ("local_pca", "analysers", *KINDS)
TITLES = {
    "local_pca": "local principal components",
    "analysers": "mixture of factor analysers",
    "isotropic": "kernel density, one bandwidth",
    "columns": "kernel density, one bandwidth per column",
    "full": "kernel density, full covariance",
}
MAX_RANK = 32
FACTOR_BYTES = 2**30
"""The factors of a model, centres x d x rank numbers, stay below 1 GiB."""
KERNEL_FLOORS = tuple(2.0 ** (j / 8) for j in range(-16, 17))
FLOORS = tuple(2.0 ** (j / 2) for j in range(-32, 3))
SHRINKS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PULLS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEIGHBOURS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)
NEAR = ("pull", "rank", "k")
CELLS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
RANKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


@dataclass(frozen=True)
class Choice:
    """The best settings of one family.

    Args:
        method: The family.
        settings: Its settings; ``floor`` is in units of the kernel's own covariance.
        log_likelihood: Mean held-out log-likelihood, nats per point.
        stderr: Its standard error over points.
        evaluated: How many settings were tried.
    """

    method: str
    settings: Settings
    log_likelihood: float
    stderr: float
    evaluated: int


def affordable_rank(n: int, d: int) -> int:
    """The largest rank whose factors fit into :data:`FACTOR_BYTES`, at most 32; 0 if none."""
    return min(MAX_RANK, d, FACTOR_BYTES // (8 * n * d))


def tune(
    method: str, folds: list[tuple[Rows, Rows]], least: Vector, *, rank: int = MAX_RANK
) -> Choice:
    """The settings of ``method`` that explain held-out rows best; kernels rebuilt per fold.

    Args:
        method: One of :data:`METHODS`.
        folds: Pairs of training and held-out rows.
        least: Smallest variance allowed per column.
        rank: Most local components per centre.
    """
    built = [_fold(method, train, held, least) for train, held in folds]
    n, d = folds[0][0].points.shape
    evaluated = 0
    best, ladders = _LADDERS.get(method, _kernel_ladders)(n, min(d, rank))
    if method in _LADDERS:
        # Neighbourhoods and cells are the costly part: they are chosen on two of the folds.
        best, tried = climb(lambda s: mean_log_density(built[:2], s)[0], best, ladders)
        ladders = {"floor": FLOORS, "shrink": SHRINKS} if method == "local_pca" else {}
        ladders |= {name: (value,) for name, value in best.items() if name not in ladders}
        evaluated = len(tried)
    best, tried = climb(lambda s: mean_log_density(built, s)[0], best, ladders)
    return Choice(method, best, *mean_log_density(built, best), evaluated + len(tried))


def _fold(method: str, train: Rows, held: Rows, least: Vector) -> Fold:
    if method == "local_pca":
        return LocalFold(train, held, "columns", least)
    if method == "analysers":
        return AnalyserFold(train, held, least)
    return KernelFold(train, held, method, least)


def _local_ladders(n: int, top: int) -> tuple[Settings, Ladders]:
    """Where to start with n centres and ranks up to ``top``; allowed values, cheap ones first."""
    near = tuple(k for k in NEIGHBOURS if k < n) or (1,)
    ranks = (*(r for r in RANKS if r < top), top)
    usual = min(near, key=lambda k: abs(math.log(k / math.sqrt(n))))
    start = {"floor": 0.5, "shrink": 0.5, "pull": 0.75, "rank": top, "k": usual}
    return start, {"floor": FLOORS, "shrink": SHRINKS, "pull": PULLS, "rank": ranks, "k": near}


def _analyser_ladders(n: int, top: int) -> tuple[Settings, Ladders]:
    """Cells of 100 rows and eight directions to start from."""
    cells = tuple(c for c in CELLS if c <= max(1, n // 10))
    ranks = (*(r for r in RANKS if r < top), top)
    start: Settings = {
        "rank": min(ranks, key=lambda r: abs(r - 8)),
        "cells": min(cells, key=lambda c: abs(math.log(100 * c / n))),
    }
    ladders: Ladders = {"rank": ranks, "cells": cells}
    return start, ladders


def _kernel_ladders(n: int, top: int) -> tuple[Settings, Ladders]:
    return {"floor": 1.0}, {"floor": KERNEL_FLOORS}


_LADDERS = {"local_pca": _local_ladders, "analysers": _analyser_ladders}
