"""Audits as a run and the command line make them: columns alike, copies up to rounding."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wasserscore.audit import AuditReport, audit
from wasserscore.audit.parts import two_nearest
from wasserscore.core.results import Estimate, share_error
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, Mapped, Scaling
from wasserscore.experiment.whole import Whole
from wasserscore.kernel import nearest

RESOLUTION = 1e-6
"""Two values are the same number when they agree to this share of the column's range."""


def audit_rows(
    train: Dataset | Whole,
    generated: Cloud,
    holdout: Float[Tensor, "m d"] | None = None,
    *,
    seed: int = 0,
) -> AuditReport:
    """Audit generated rows against training rows and, for a verdict, held-out rows.

    The columns of a table are standardised first, so that units do not decide what is near;
    images and vectors are taken as they are. A row that equals its nearest training row to a
    millionth of each column's range is that row: one that went through a scaling, a sampler or
    a text file counts as the exact copy it is.

    Args:
        train: The training rows; those on disk are all searched, a part at a time.
        generated: Generated rows, data units.
        holdout: Rows the model has not seen, data units.
        seed: Of bootstrap and permutations.
    """
    scaling, known = _yardstick(train)

    def view(x: Cloud) -> Tensor:
        x = x.double() if scaling is None else scaling.apply(x.double())
        same, closest = _same(x, known)
        return torch.where(same[:, None], closest, x).reshape(-1, *known.shape[1:])

    return audit(
        train=known, generated=view(generated), holdout=None if holdout is None else view(holdout),
        seed=seed,
    )  # fmt: skip


def copy_rate(train: Dataset, generated: Cloud) -> Estimate:
    """``exact_rate`` of :func:`audit_rows` alone: the share of rows that are training rows."""
    scaling, known = _yardstick(train)
    x = generated.to(known) if scaling is None else scaling.apply(generated.to(known))
    p, n = float(_same(x, known)[0].double().mean()), len(x)
    return Estimate(p, stderr=share_error(p, n), n=n, units="")


def _yardstick(train: Dataset | Whole) -> tuple[Scaling | None, Any]:
    """How a table is standardised, and the training rows in these units."""
    if isinstance(train, Whole):
        scaling = train.points.fit_scaling("table") if train.kind == "table" else None
        return scaling, train.points if scaling is None else train.points.scaled(scaling)
    scaling = Scaling.per_column(train.points) if train.kind == "table" else None
    return scaling, train.points if scaling is None else scaling.apply(train.points)


def _same(x: Cloud, known: Float[Tensor, "m d"] | Mapped) -> tuple[Bool[Tensor, " n"], Cloud]:
    """Which rows equal their nearest known row up to :data:`RESOLUTION`, and that row."""
    if isinstance(known, Mapped):
        span = known.moments.high - known.moments.low
        index = two_nearest(x, known)[1]
    else:
        span = known.amax(0) - known.amin(0)
        index = nearest(x, known, 1)[1]
    closest = known[index[:, 0]].flatten(1)
    return ((x - closest).abs() <= RESOLUTION * span).all(1), closest
