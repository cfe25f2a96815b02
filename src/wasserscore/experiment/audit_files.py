"""Two files in, a verdict out: an audit that needs no model of ours."""

import torch

from wasserscore.audit import AuditReport
from wasserscore.core.errors import require
from wasserscore.data import Dataset, load
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.rules import Rule, parse_rule

QUANTITIES = ("copies", "near_copies", "repeats", "excess_near_copies", "flagged")
"""What a ``--fail-if`` rule may name; see :func:`numbers`."""


def read_rules(texts: list[str]) -> list[Rule]:
    """Rules over the quantities of an audit."""
    return [parse_rule(text, QUANTITIES) for text in texts]


def audit_files(real: str, fake: str, holdout: str | None = None, *, seed: int = 0) -> AuditReport:
    """Audit generated rows against the rows a model was trained on.

    Args:
        real: Name or path of the training rows.
        fake: Of the generated rows.
        holdout: Of real rows the model has not seen; without it there is no verdict.
        seed: Of the permutations.

    Raises:
        InputError: On files that cannot be used or do not fit each other.
    """
    train = load(real)
    fresh = None if holdout is None else rows_like(train, holdout)
    return audit_rows(train, rows_like(train, fake), fresh, seed=seed)


def numbers(report: AuditReport) -> dict[str, float | None]:
    """The quantities that rules may name.

    ``copies``: share of rows equal to a training row up to rounding; ``near_copies``: nearer to a
    training row than 99 % of training rows are to each other (fresh data: about 1 %);
    ``repeats``: three times nearer to one training row than to any other; ``excess_near_copies``:
    beyond those of the hold-out (None without one); ``flagged``: 1 where the verdict is
    "memorized" or "suspicious" (None without a hold-out).
    """
    excess = report.copy_rate_excess
    return {
        "copies": report.exact_rate.value,
        "near_copies": report.copy_rate.value,
        "repeats": report.nn_ratio.value,
        "excess_near_copies": None if excess is None else excess.value,
        "flagged": None if report.copy_rate_holdout is None else float(report.flagged),
    }


def rows_like(train: Dataset, source: str) -> torch.Tensor:
    """The rows of another file, its columns in the order of the training rows."""
    other = load(source)
    if train.kind == other.kind == "table" and sorted(train.columns) == sorted(other.columns):
        order = [other.columns.index(column) for column in train.columns]
        return other.points[:, order]
    require(other.d == train.d, f"{source} must have the {train.d} columns of {train.name}",
            got=other.d)  # fmt: skip
    return other.points
