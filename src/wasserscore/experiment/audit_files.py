"""Two files in, a verdict out: an audit that needs no model of ours."""

from pathlib import Path

import torch

from wasserscore.audit import PRIVACY, AuditReport
from wasserscore.core.errors import require
from wasserscore.core.files import write_json
from wasserscore.core.results import plain
from wasserscore.data import Dataset, load
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.rules import Rule, parse_rule
from wasserscore.experiment.sections import data_section, neighbours_section
from wasserscore.report import write_audit

QUANTITIES = ("copies", "near_copies", "repeats", "excess_near_copies", "flagged")
"""What a ``--fail-if`` rule may name; see :func:`numbers`."""


def read_rules(texts: list[str]) -> list[Rule]:
    """Rules over the quantities of an audit."""
    return [parse_rule(text, QUANTITIES) for text in texts]


def audit_files(
    real: str, fake: str, holdout: str | None = None, *, out: Path | None = None, seed: int = 0
) -> AuditReport:
    """Audit generated rows against the rows a model was trained on.

    Args:
        real: Name or path of the training rows.
        fake: Of the generated rows.
        holdout: Of real rows the model has not seen; without it there is no verdict.
        out: Folder for ``audit.html`` and ``audit.json``, made if it is not there.
        seed: Of the permutations.

    Raises:
        InputError: On files that cannot be used or do not fit each other.
    """
    train, rows = load(real), load(fake)
    generated = rows_like(train, rows, fake)
    fresh = None if holdout is None else rows_like(train, load(holdout), holdout)
    report = audit_rows(train, generated, fresh, seed=seed)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        results = {
            "generated": rows.name,
            "sentence": report.sentence,
            "privacy": PRIVACY,
            "data": plain(data_section(train, train, train)),
            "audit": report.to_dict(),
            "neighbours": neighbours_section(generated, train, report.suspects),
        }
        write_json(out / "audit.json", results)
        write_audit(results, out)
    return report


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


def rows_like(train: Dataset, other: Dataset, source: str) -> torch.Tensor:
    """The rows of another file, its columns in the order of the training rows."""
    if train.kind == other.kind == "table" and sorted(train.columns) == sorted(other.columns):
        order = [other.columns.index(column) for column in train.columns]
        return other.points[:, order]
    require(other.d == train.d, f"{source} must have the {train.d} columns of {train.name}",
            got=other.d)  # fmt: skip
    return other.points
