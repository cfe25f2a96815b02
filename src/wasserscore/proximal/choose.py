"""What a proximal fit decides: which family, its settings, and the law that they make of rows."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.typing import Cloud
from wasserscore.kernel import nearest
from wasserscore.proximal.analysers import fit_analysers
from wasserscore.proximal.bandwidth import Covariance, kernel_covariance
from wasserscore.proximal.local_pca import local_spread
from wasserscore.proximal.network_fit import NETWORKS, fit_network
from wasserscore.proximal.refine import Refined, grow, kernel_likelihood, refine
from wasserscore.proximal.sample_rows import Rows, distinct, least_variance
from wasserscore.proximal.tuning import (
    MAX_RANK,
    METHODS,
    TITLES,
    Choice,
    affordable_rank,
    tune,
)
from wasserscore.score.fit_report import FitReport
from wasserscore.score.spiked import Spiked

FOLDS = 5
TUNING_ROWS = 1500
"""Rows that the settings are chosen on; the model itself takes all of them."""
FEW_ROWS = 50
"""With fewer, neighbourhoods hold too few rows for covariances of their own."""
_TITLES = TITLES | NETWORKS


@dataclass(frozen=True, eq=False)
class Law:
    """What a fit decides: centres, covariances, and weights where they differ."""

    centres: Cloud
    covariance: Spiked
    weights: Float[Tensor, " n"] | None


def choose(
    rows: Rows, method: str, streams: Streams, fit_points: Any = None
) -> tuple[Law, FitReport]:
    """The best law of the method, or of all of them, and how it was chosen."""
    least = least_variance(rows)
    if method in NETWORKS:
        apart = None if fit_points is None else _apart(fit_points, rows)
        best, network, notes = fit_network(method, rows, apart, least, streams)
        weights = rows.counts if rows.repeated else None
        report = _report(best, [best], rows, len(rows.points), notes)
        return Law(rows.points, network.covariance(rows.points), weights), report
    tuning = rows.subset(TUNING_ROWS, streams)
    folds = tuning.folds(FOLDS, streams)
    n, d = rows.points.shape
    rank = affordable_rank(len(tuning.points), d)
    require(rank > 0 or method != "local_pca", "local components would not fit into memory",
            got=f"{n} rows of {d} columns",
            do="use method='auto', fewer rows, or principal axes (latent=)")  # fmt: skip
    choices = [tune(name, folds, least, rank=rank or MAX_RANK) for name in tried(method, n, d)]
    del folds
    best = max(choices, key=lambda choice: choice.log_likelihood)
    report = _report(best, choices, rows, len(tuning.points))
    if best.method == "analysers" and n > len(tuning.points):
        grown = grow(best.settings, rows, least, streams)
        return Law(*grown.model), grown.told(report, n)
    if best.method == "analysers":
        cells, factors = int(best.settings["cells"]), int(best.settings["rank"])
        mixture = fit_analysers(rows, cells, factors, least, Streams(0)).mixture
        return Law(mixture.centres, mixture.covariance, mixture.weights), report

    @cache
    def kernel(kind: str) -> Covariance:
        """Tuned on fewer rows it is wider than the full set needs, by Scott's rate."""
        narrower = (n / len(tuning.points)) ** (-2 / (d + 4))
        covariance: Covariance = kernel_covariance(tuning, kind, least) * narrower
        return covariance

    local = next((choice for choice in choices if choice.method == "local_pca"), None)
    weights = rows.counts if rows.repeated else None
    refined = None
    if local is not None and (n > len(tuning.points) or local is best):
        if n == len(tuning.points):
            return Law(*_local(local, rows, kernel("columns")), weights), report
        refined = refine(local.settings, len(tuning.points), rows, kernel("columns"), streams)
        if local is best:
            return Law(*refined.model), refined.told(report, n)
    density = kernel(best.method) * best.settings["floor"]
    if refined is not None:
        report, kept = _decided(report, refined, kernel_likelihood(density, rows, streams), n)
        if not kept:
            return Law(*refined.model), report
    return Law(rows.points, Spiked.pooled(n, density, d), weights), report


def _decided(report: FitReport, local: Refined, nats: float, n: int) -> tuple[FitReport, bool]:
    """Whether a kernel density that was best on a subset is so on all rows, and what to say.

    Args:
        report: The choice of the subset.
        local: Local components of all rows.
        nats: The held-out likelihood of the kernel density with all rows.
        n: How many those are.
    """
    kernel, components = _TITLES[report.method], _TITLES["local_pca"]
    gap = local.log_likelihood - nats
    if gap <= 0:
        note = f"with all {n} rows still {-gap:.2f} nats more than {components}"
        return replace(report, notes=(*report.notes, note)), True
    why = (f"{components}: {local.log_likelihood:.2f} nats per held-out point with all {n} rows, "
           f"{gap:.2f} more than {kernel}, best on the subset")  # fmt: skip
    return local.told(replace(report, method="local_pca", why=why), n), False


def _apart(fit_points: Any, rows: Rows) -> Rows:
    """Fit points, with as many columns as the centres."""
    fit, d = distinct(fit_points)[0], rows.points.shape[1]
    require(fit.points.shape[1] == d, f"fit_points must have {d} columns, like the points",
            got=fit.points.shape[1])  # fmt: skip
    return fit


def tried(method: str, n: int, d: int) -> tuple[str, ...]:
    """What "auto" tries: cells where neighbourhoods are too small or rows too many."""
    if method != "auto":
        return (method,)
    skipped = set[str]() if affordable_rank(min(n, TUNING_ROWS), d) > 0 else {"local_pca"}
    if FEW_ROWS <= n <= TUNING_ROWS:
        skipped.add("analysers")
    return tuple(name for name in METHODS if name not in skipped)


def _local(choice: Choice, rows: Rows, kernel: Covariance) -> tuple[Cloud, Spiked]:
    settings, scale = choice.settings, kernel.sqrt()
    z = rows.points / scale
    k = min(int(settings["k"]), len(z) - 1)
    rank = min(int(settings["rank"]), k, z.shape[1])
    near = nearest(z, z, k, exclude_self=True)[1]
    spread = local_spread(z, near, rank)
    covariance = spread.spiked(rank, settings["shrink"], settings["floor"], scale)
    return spread.centres(settings["pull"]) * scale, covariance


def _report(
    best: Choice, choices: list[Choice], rows: Rows, tuned_on: int, told: tuple[str, ...] = ()
) -> FitReport:
    candidates = {c.method: c.log_likelihood for c in choices}
    ranked = sorted(choices, key=lambda c: -c.log_likelihood)
    why = f"{_TITLES[best.method]}: {best.log_likelihood:.2f} nats per held-out point"
    if len(ranked) > 1:
        gap = best.log_likelihood - ranked[1].log_likelihood
        why += f", {gap:.2f} more than the next, {_TITLES[ranked[1].method]}"
    notes, d = list(told), rows.points.shape[1]
    if best.method not in NETWORKS and affordable_rank(tuned_on, d) < min(MAX_RANK, d):
        notes.append(f"memory allows {affordable_rank(tuned_on, d)} local components per row")
    if rows.repeated:
        notes.append(f"{int(rows.counts.sum()) - len(rows.points)} repeated rows became weights")
    if tuned_on < len(rows.points):
        notes.append(f"settings chosen on {tuned_on} of {len(rows.points)} rows")
    return FitReport(
        method=best.method,
        settings=dict(best.settings),
        log_likelihood=best.log_likelihood,
        stderr=best.stderr,
        candidates=candidates,
        evaluated=sum(c.evaluated for c in choices),
        why=why,
        notes=tuple(notes),
    )
