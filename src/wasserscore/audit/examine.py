"""Did the generator copy its training rows? Count, compare with fresh data, then judge.

Every number stands beside the same number of a hold-out, which is what fresh data give: on dense
or rounded data fresh rows, too, fall on training rows.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from wasserscore.audit.apart import unlike, unrounded
from wasserscore.audit.closeness import c_t, closer_than_holdout, median_distance
from wasserscore.audit.exposure import exposure
from wasserscore.audit.features import Features, feature_map
from wasserscore.audit.model import NEED_MODEL, asked_of_model
from wasserscore.audit.neighbours import Closest, Training, levelled, training
from wasserscore.audit.parts import TrainingInParts, exact_in_parts, training_in_parts
from wasserscore.audit.report import AuditReport, Suspect
from wasserscore.audit.significance import count_p_value, permutation_p_values
from wasserscore.audit.tables import Rows, as_rows, distinct, exact_matches
from wasserscore.audit.verdict import (
    ELSEWHERE,
    FALSE_POSITIVE_RATE,
    MEMORIZED,
    NOT_JUDGED,
    SAME,
    SAME_ROWS,
    SUSPICIOUS,
    UNJUDGED,
    Evidence,
    judge,
)
from wasserscore.core.errors import require
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate, share_error
from wasserscore.data import Mapped
from wasserscore.distance import PRDC, prdc

SUSPECTS = 100
"""How many rows a list of the report has."""
NEIGHBOURS = 5
"""The k of precision, recall, density and coverage."""
NEED_HOLDOUT = (
    "nearest_distance_holdout", "closer", "z_u", "c_t", "p_exact", "p_copies", "p_value", "prdc",
    "exposure",
)  # fmt: skip


def audit(
    *,
    train: Any,
    generated: Any,
    holdout: Any = None,
    features: Features = None,
    model: Any = None,
    seed: int = 0,
) -> AuditReport:
    """Audit generated rows against training rows, with held-out rows as the reference.

    A generated row counts as a *copy* when it lies nearer to a training row than the 1 % quantile
    of the distances between neighbouring training rows; about 1 % of fresh rows do, 2 % beside 100
    to 200 training rows, and a share of 2 / n beside n < 100, whose least distance two rows have.
    Exact copies are counted separately as well. Repeated training rows count once.

    Assumes: hold-out rows are fresh draws of the law of train, and distances mean something:
    scale columns of different units before, or through ``features``.
    Source: :cite:p:`meehan2020` (Z_U, C_T), :cite:p:`naeem2020` and :cite:p:`kynkaanniemi2019`
    (precision to coverage); ratio and authenticity as cited at :class:`Closest`.

    Args:
        train: Training rows ``(n, *shape)``: tensor, array or DataFrame; or
            :class:`wasserscore.data.Mapped`, which stays on disk: every row of it is searched, a
            part at a time, in the rows as given; the copy distance is asked of at most 10,000
            drawn rows, and there is no ``c_t`` and no ``model``.
        generated: Generated rows; DataFrame columns are aligned to those of train by name.
        holdout: Rows the generator has not seen; without them copies are counted, not judged.
        features: Where distances are taken: None for the rows as given, "pca" for at most 64
            principal components of train, or a map of a tensor of rows to (n, k) features. Exact
            copies are always counted in the rows themselves.
        model: The model that generated the rows, in their units: a score of ours, or anything
            with ``score_samples``. Then the report holds its likelihood gap and, for kernel
            scores, local dimensions; the verdict does not rest on them.
        seed: Seed of bootstrap, permutations and cells.

    Raises:
        InputError: On rows that do not fit, or fewer than three distinct training rows.
    """
    rows = as_rows(train, generated, holdout)
    yardstick: Training | TrainingInParts
    if isinstance(rows.train, Mapped):
        require(features is None and model is None, "rows on disk are audited as given",
                got="features" if model is None else "a model", do="leave it out")  # fmt: skip
        embed, space = feature_map(None, rows.generated)
        yardstick = training_in_parts(rows.train, seed=seed)
    else:
        embed, space = feature_map(features, rows.train)
        yardstick = training(embed(rows.train))
    generated = embed(rows.generated)
    holdout = None if rows.holdout is None else embed(rows.holdout)
    found = yardstick.closest(generated)
    fresh = None if holdout is None else yardstick.closest(holdout)
    counts = _counts(rows, yardstick, found, fresh)
    tests: dict[str, Any] = dict.fromkeys(NEED_HOLDOUT) | {"exposed": ()}
    verdict, reason = NOT_JUDGED, "give held-out rows to compare with"
    if holdout is not None and fresh is not None:
        tests = _tests(yardstick, generated, holdout, found, fresh, seed)
        tests["p_exact"] = count_p_value(counts["exact_rate"], counts["exact_rate_holdout"])
        verdict, reason = judge(
            Evidence(
                copy_excess=counts["copy_rate_excess"].value,
                closer=tests["closer"].value,
                p_exact=tests["p_exact"],
                p_copies=tests["p_copies"],
                p_closer=tests["p_value"],
                p_least=count_p_value(
                    Estimate(1.0, n=len(generated)), Estimate(0.0, n=len(holdout))
                ),
            )
        )
        repeated = 1 - yardstick.count / len(rows.train)
        known_rows = counts["exact_rate_holdout"].value
        if known_rows - repeated > SAME:
            verdict = SAME_ROWS
            reason = f"{known_rows:.0%} of the held-out rows are training rows, so nothing can be "
            reason += "concluded: give rows that the model has not seen"
    apart, most = unlike(rows, flagged=verdict in (MEMORIZED, SUSPICIOUS))
    if most and verdict not in UNJUDGED:
        verdict, reason = ELSEWHERE, apart
    elif apart:
        reason += f"; but {apart}"
    if features is None:
        reason += unrounded(rows, yardstick.copy_distance)
    asked: dict[str, Any] = dict.fromkeys(NEED_MODEL)
    if model is not None:
        assert isinstance(rows.train, Tensor)
        known = rows.train[distinct(rows.train)[1]]
        asked = asked_of_model(model, known, rows.generated, rows.holdout, seed)
    return AuditReport(
        verdict=verdict,
        reason=reason,
        false_positive_rate=FALSE_POSITIVE_RATE,
        n_train=len(rows.train),
        n_generated=len(rows.generated),
        n_holdout=0 if rows.holdout is None else len(rows.holdout),
        train_duplicates=len(rows.train) - yardstick.count,
        features=space,
        copy_distance=yardstick.copy_distance,
        nearest_distance=median_distance(found.first, seed),
        suspects=_suspects(found),
        **counts,
        **tests,
        **asked,
    )


def _counts(
    rows: Rows, yardstick: Training | TrainingInParts, found: Closest, fresh: Closest | None
) -> dict[str, Any]:
    """Shares of rows of every kind, their references and excesses."""
    exact, exact_fresh = (_exact(x, rows.train) for x in (rows.generated, rows.holdout))
    kinds: dict[str, Callable[[Closest], Tensor]] = {
        "copy_rate": yardstick.copies,
        "nn_ratio": lambda c: c.repeats,
        "authenticity": lambda c: c.authentic,
    }
    assert exact is not None
    out = _share("exact_rate", exact, exact_fresh)
    for name, kind in kinds.items():
        out |= _share(name, kind(found), None if fresh is None else kind(fresh))
    return out


def _exact(x: Tensor | None, train: Tensor | Mapped) -> Tensor | None:
    if x is None:
        return None
    return exact_in_parts(x, train) if isinstance(train, Mapped) else exact_matches(x, train)


def _share(name: str, own: Tensor, fresh: Tensor | None) -> dict[str, Estimate | None]:
    """A share among generated and held-out rows, and their difference."""

    def estimate(which: Tensor) -> Estimate:
        p, n = float(which.double().mean()), len(which)
        return Estimate(p, stderr=share_error(p, n), n=n, units="")

    value = estimate(own)
    if fresh is None:
        return {name: value, f"{name}_holdout": None, f"{name}_excess": None}
    other = estimate(fresh)
    excess = Estimate(
        value.value - other.value,
        stderr=math.hypot(value.stderr or 0.0, other.stderr or 0.0),
        n=min(len(own), len(fresh)),
        units="",
    )
    return {name: value, f"{name}_holdout": other, f"{name}_excess": excess}


def _tests(
    yardstick: Training | TrainingInParts,
    generated: Tensor,
    holdout: Tensor,
    found: Closest,
    fresh: Closest,
    seed: int,
) -> dict[str, Any]:
    """Everything that compares with the hold-out, except exact copies."""
    # both numbers per row that the scan for copies looks at
    first = levelled(found.first, fresh.first)
    ratio = levelled(found.ratio, fresh.ratio)
    own, other = (torch.stack(pair, 1).numpy() for pair in zip(first, ratio, strict=True))
    closer, z_u = closer_than_holdout(own[:, 0], other[:, 0], seed)
    rare = None
    if isinstance(yardstick, Training):
        rare = exposure(yardstick, generated, holdout, seed=seed)
    p_values = permutation_p_values(own, other, seed)
    return {
        "nearest_distance_holdout": median_distance(fresh.first, seed),
        "closer": closer,
        "z_u": z_u,
        "c_t": c_t(yardstick.points, generated, holdout, seed)
        if isinstance(yardstick, Training)
        else None,
        "p_copies": p_values.copies,
        "p_value": p_values.closer,
        "prdc": _prdc(generated, holdout, seed),
        "exposure": rare and rare[0],
        "exposed": _listed(*rare[1]) if rare else (),
    }


def _prdc(generated: Tensor, holdout: Tensor, seed: int) -> PRDC | None:
    """Against the hold-out, both sets cut to the smaller size at random; None for tiny sets."""
    n = min(len(generated), len(holdout))
    if n <= NEIGHBOURS:
        return None
    generator = Streams(seed).generator("prdc")
    own, other = (x[torch.randperm(len(x), generator=generator)[:n]] for x in (generated, holdout))
    return prdc(own, other, NEIGHBOURS)


def _suspects(found: Closest) -> tuple[Suspect, ...]:
    """The rows closest to train for the spacing of train there; ties by distance, then index."""
    closeness = found.first / found.spacing
    by_distance = found.first.sort(stable=True).indices
    order = by_distance[closeness[by_distance].sort(stable=True).indices]
    return _listed(order, found.row[order], found.first[order], closeness[order])


def _listed(*columns: Tensor) -> tuple[Suspect, ...]:
    """The first rows of columns as :class:`Suspect` has them."""
    rows = zip(*(column[:SUSPECTS].tolist() for column in columns), strict=True)
    return tuple(Suspect(*row) for row in rows)
