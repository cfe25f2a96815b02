"""Two files in, a verdict out: an audit that needs no model of ours."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from wasserscore.audit import PRIVACY, AuditReport
from wasserscore.core.files import write_json
from wasserscore.core.results import plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, load
from wasserscore.data.tables import read_overrides
from wasserscore.experiment.alike import left_out, rows_like
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.rules import Rule, parse_rule
from wasserscore.experiment.sections import data_section, neighbours_section
from wasserscore.report import write_audit

QUANTITIES = ("copies", "near_copies", "repeats", "excess_near_copies", "flagged")
"""What a ``--fail-if`` rule may name; see :func:`numbers`."""


def read_rules(texts: list[str]) -> list[Rule]:
    """Rules over the quantities of an audit."""
    return [parse_rule(text, QUANTITIES) for text in texts]


@dataclass(frozen=True, eq=False)
class Sides:
    """What an audit compares, as points of one space.

    Args:
        train: The training rows.
        generated: Generated rows.
        holdout: Rows that the model has not seen.
        name: Of the generated rows.
        notes: What does not fit, and what was left out: columns and levels by name.
    """

    train: Dataset
    generated: Cloud
    holdout: Float[Tensor, "m d"] | None
    name: str
    notes: tuple[str, ...] = ()

    def audit(self, *, seed: int = 0) -> AuditReport:
        """The audit; ``seed`` is that of the permutations."""
        return audit_rows(self.train, self.generated, self.holdout, seed=seed)


def read_sides(
    real: str, fake: str, holdout: str | None = None, *, schema: str | None = None
) -> Sides:
    """The files of an audit; columns are matched by name, text through the codec of ``real``.

    Args:
        real: Name or path of the training rows.
        fake: Of the generated rows.
        holdout: Of real rows the model has not seen; without it there is no verdict.
        schema: A file that says what the columns are.

    Raises:
        InputError: On files that cannot be used or do not fit each other.
    """
    overrides = None if schema is None else read_overrides(schema)
    train = load(real, schema=overrides)
    missing = () if overrides is None else overrides.missing
    fresh = None if holdout is None else rows_like(train, holdout, missing=missing)
    generated = rows_like(train, fake, missing=missing)
    notes = (*left_out(train), *(() if fresh is None else fresh.notes), *generated.notes)
    unseen = None if fresh is None else fresh.points
    return Sides(train, generated.points, unseen, generated.name, notes)


def audit_files(
    real: str, fake: str, holdout: str | None = None, *, out: Path | None = None, seed: int = 0
) -> AuditReport:
    """Audit generated rows against the rows a model was trained on.

    What :func:`read_sides` read is judged and, with ``out``, written by :func:`write_page`.
    """
    sides = read_sides(real, fake, holdout)
    report = sides.audit(seed=seed)
    if out is not None:
        write_page(sides, report, out)
    return report


def write_page(sides: Sides, report: AuditReport, out: Path) -> None:
    """``audit.html`` and ``audit.json`` in a folder, made if it is not there."""
    out.mkdir(parents=True, exist_ok=True)
    train = sides.train
    results = {
        "generated": sides.name,
        "sentence": report.sentence,
        "privacy": PRIVACY,
        "notes": list(sides.notes),
        "data": plain(data_section(train, train, train)),
        "audit": report.to_dict(),
        "neighbours": neighbours_section(sides.generated, train, report.suspects),
    }
    write_json(out / "audit.json", results)
    write_audit(results, out)


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
