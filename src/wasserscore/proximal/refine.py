"""Settings chosen again on all rows: local components, the kernel beside them, factor analysers.

What is right for a subset is too wide for the whole; rows held out of the model decide.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud, Vector
from wasserscore.kernel import Keys, softmax_mean
from wasserscore.proximal import tuning
from wasserscore.proximal.bandwidth import Covariance, divided, log_volume, root_of
from wasserscore.proximal.many_rows import HELD_OUT, RICH, WIDE, ManyRows, centre_count
from wasserscore.proximal.sample_rows import Rows
from wasserscore.proximal.search import Ladders, Settings, climb
from wasserscore.proximal.validation import AnalyserFold, mean_log_density
from wasserscore.score.fit_report import FitReport
from wasserscore.score.spiked import Spiked


@dataclass(frozen=True, eq=False)
class Refined:
    """A model of all rows.

    Args:
        model: Centres, covariances, weights.
        settings: Chosen on it.
        log_likelihood: Of the held-out rows in the mean, nats.
        stderr: Its standard error.
        held_out: How many rows those were.
        evaluated: How many settings were tried.
    """

    model: tuple[Cloud, Spiked, Tensor | None]
    settings: Settings
    log_likelihood: float
    stderr: float
    held_out: int
    evaluated: int

    def told(self, report: FitReport, n: int) -> FitReport:
        """The report of the subset's choice, with this one's settings and likelihood."""
        note = (f"settings chosen again on {n} rows, {len(self.model[0])} centres: "
                f"{self.log_likelihood:.2f} nats on {self.held_out} held-out rows")  # fmt: skip
        return replace(
            report, settings=dict(self.settings), log_likelihood=self.log_likelihood,
            stderr=self.stderr, evaluated=report.evaluated + self.evaluated,
            notes=(*report.notes, note),
        )  # fmt: skip


def refine(
    settings: Settings, subset: int, rows: Rows, kernel: Vector, streams: Streams
) -> Refined:
    """Fit local components to all rows, starting from the settings of a subset.

    Args:
        settings: Chosen on a subset.
        subset: How many rows that had.
        rows: All of them.
        kernel: Kernel covariance per column for all of them.
        streams: Decides which rows are held out and which become centres.
    """
    n, d = rows.points.shape
    order, few = _split(n, streams)
    fold = ManyRows(rows.at(order[few:]), rows.at(order[:few]), kernel)
    start, ladders = _ladders(settings, (n / subset) ** 0.5, n - few, d)
    best, tried = climb(lambda s: mean_log_density([fold], s)[0], start, ladders)
    value, stderr = mean_log_density([fold], best)
    if centre_count(n - few, d, int(best["k"])) == n - few:
        # No row is to spare: those held out become centres too.
        fold = ManyRows(rows, rows.at(order[:1]), kernel)
    return Refined(fold.model(best), best, value, stderr, few, len(tried))


def kernel_likelihood(covariance: Covariance, rows: Rows, streams: Streams) -> float:
    """Mean log density of the rows that judge :func:`refine`, by a kernel on all others, nats.

    Args:
        covariance: Of the kernel: a number, ``(d,)`` or ``(d, d)``.
        rows: All rows.
        streams: As for :func:`refine`.
    """
    order, few = _split(len(rows.points), streams)
    held, others = rows.at(order[:few]), rows.at(order[few:])
    d = rows.points.shape[1]
    share = (others.counts / others.counts.sum()).log()
    root = root_of(covariance)
    keys = Keys(divided(others.points, root), share)
    log_sum = softmax_mean(divided(held.points, root), keys, 1.0).log_sum
    constant = log_volume(root, d) + d / 2 * math.log(2 * math.pi)
    return float((held.counts / held.counts.sum()) @ (log_sum - constant))


def grow(settings: Settings, rows: Rows, least: Vector, streams: Streams) -> Refined:
    """Fit factor analysers to all rows, with twice the cells for as long as it helps.

    Args:
        settings: Chosen on a subset.
        rows: All of them.
        least: Smallest variance allowed per column.
        streams: Decides which rows are held out.
    """
    order, few = _split(len(rows.points), streams)
    fold = AnalyserFold(rows.at(order[few:]), rows.at(order[:few]), least)
    tried: list[Refined] = []
    while True:
        value, stderr = mean_log_density([fold], settings)
        if tried and value <= tried[-1].log_likelihood:
            return replace(tried[-1], evaluated=len(tried) + 1)
        law = fold.fitted
        assert law is not None
        model = law.centres, law.covariance, law.weights
        tried.append(Refined(model, settings, value, stderr, few, len(tried) + 1))
        if 20 * int(settings["cells"]) > len(rows.points):
            return tried[-1]
        settings = {**settings, "cells": 2 * int(settings["cells"])}


def _split(n: int, streams: Streams) -> tuple[Tensor, int]:
    """The rows in random order, and how many of the first are held out."""
    order = torch.randperm(n, generator=streams.generator("many rows"))
    return order, min(HELD_OUT, n // 10)


def _ladders(settings: Settings, growth: float, n: int, d: int) -> tuple[Settings, Ladders]:
    """Allowed values, and a start with ``growth`` times as many neighbours and directions."""
    ladders: Ladders = {
        "floor": tuning.FLOORS,
        "shrink": tuning.SHRINKS,
        "pull": tuning.PULLS,
        "rank": tuple(r for r in RICH if r < d) + ((d,) if d <= RICH[-1] else ()),
        "k": tuple(k for k in WIDE if k < n),
    }
    start = dict(settings)
    for name in ("rank", "k"):
        start[name] = min(ladders[name], key=lambda v: abs(math.log(v / settings[name] / growth)))
    return start, ladders
