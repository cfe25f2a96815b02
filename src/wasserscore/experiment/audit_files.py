"""Two files in, a verdict out: an audit that needs no model of ours, or a run and its samples."""

from pathlib import Path
from typing import Any

from wasserscore.audit import PRIVACY, AuditReport
from wasserscore.core.files import write_json
from wasserscore.core.results import plain
from wasserscore.experiment.audit_sides import Sides, read_sides
from wasserscore.experiment.rules import Rule, parse_rule
from wasserscore.experiment.sections import data_section, neighbours_section
from wasserscore.report import write_audit

QUANTITIES = {"copies": (0.0, 1.0), "near_copies": (0.0, 1.0), "repeats": (0.0, 1.0),
              "excess_near_copies": (-1.0, 1.0), "flagged": (0.0, 1.0)}  # fmt: skip
"""What a ``--fail-if`` rule may name, and between which values it lies; see :func:`numbers`."""


def read_rules(texts: list[str]) -> list[Rule]:
    """Rules over the quantities of an audit."""
    return [parse_rule(text, QUANTITIES) for text in texts]


def audit_files(
    real: str, fake: str, holdout: str | None = None, *, out: Path | None = None, seed: int = 0
) -> AuditReport:
    """Audit generated rows against the rows a model was trained on.

    What :func:`~wasserscore.experiment.audit_sides.read_sides` read is judged and, with ``out``,
    written by :func:`write_page`.
    """
    sides = read_sides(real, fake, holdout, seed=seed)
    report = sides.audit(seed=seed)
    if out is not None:
        write_page(sides, report, out, sides.columns(seed=seed))
    return report


def write_page(
    sides: Sides, report: AuditReport, out: Path, columns: dict[str, Any] | None = None
) -> None:
    """``audit.html`` and ``audit.json`` in a folder, made if it is not there.

    Args:
        sides: What was compared.
        report: The audit.
        out: The folder.
        columns: What :meth:`Sides.columns` found.
    """
    out.mkdir(parents=True, exist_ok=True)
    train = sides.train
    results = {
        "generated": sides.name,
        "sentence": report.sentence,
        "privacy": PRIVACY,
        "notes": list(sides.notes),
        "data": plain(data_section(train, train, train)),
        "audit": report.to_dict(),
        "table": columns,
        "neighbours": neighbours_section(sides.generated, train, report.suspects),
        "exposed": neighbours_section(sides.generated, train, report.exposed)
        if report.exposed
        else None,
    }
    write_json(out / "audit.json", results)
    write_audit(results, out)


def numbers(report: AuditReport) -> dict[str, float | None]:
    """The quantities that rules may name.

    ``copies``: share of rows equal to a training row up to rounding; ``near_copies``: nearer to a
    training row than 99 % of training rows are to each other (fresh data: about 1 %, beside few
    training rows more);
    ``repeats``: three times nearer to one training row than to any other; ``excess_near_copies``:
    beyond those of the hold-out; ``flagged``: 1 where the verdict is "memorized" or
    "suspicious". The last two are None where nothing was judged.
    """
    excess = report.copy_rate_excess
    return {
        "copies": report.exact_rate.value,
        "near_copies": report.copy_rate.value,
        "repeats": report.nn_ratio.value,
        "excess_near_copies": excess.value if excess is not None and report.judged else None,
        "flagged": float(report.flagged) if report.judged else None,
    }
