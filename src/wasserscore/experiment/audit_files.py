"""Two files in, a verdict out: an audit that needs no model of ours."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from wasserscore.audit import PRIVACY, AuditReport
from wasserscore.core.errors import require
from wasserscore.core.files import write_json
from wasserscore.core.results import plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, load
from wasserscore.data.tables import Overrides, read_frame, read_overrides
from wasserscore.data.tables.number import Number
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.rules import Rule, parse_rule
from wasserscore.experiment.sections import data_section, neighbours_section
from wasserscore.report import write_audit

QUANTITIES = ("copies", "near_copies", "repeats", "excess_near_copies", "flagged")
"""What a ``--fail-if`` rule may name; see :func:`numbers`."""
SHOWN = 5
"""Values that a note lists."""


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
    notes: list[str] = []
    if train.codec is None:
        fresh = None if holdout is None else rows_like(train, load(holdout), holdout)
        rows = load(fake)
        return Sides(train, rows_like(train, rows, fake), fresh, rows.name)
    named = train.codec.named("identifier")
    notes += [f"identifier column {name!r} takes no part in distances" for name in named]
    fresh = None if holdout is None else _encoded(train, holdout, overrides, notes)
    generated = _encoded(train, fake, overrides, notes)
    return Sides(train, generated, fresh, Path(fake).stem, tuple(notes))


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


def rows_like(train: Dataset, other: Dataset, source: str) -> torch.Tensor:
    """The rows of another file, its columns in the order of the training rows."""
    require(other.codec is None, f"{source} must hold numbers in every column, as {train.name}",
            got=", ".join(f"{c.name!r} ({c.kind})" for c in other.codec.columns
                          if not isinstance(c, Number) or c.missing)
            if other.codec is not None else "", do="compare the same columns")  # fmt: skip
    if train.kind == other.kind == "table" and sorted(train.columns) == sorted(other.columns):
        order = [other.columns.index(column) for column in train.columns]
        return other.points[:, order]
    require(other.d == train.d, f"{source} must have the {train.d} columns of {train.name}",
            got=other.d)  # fmt: skip
    return other.points


def _encoded(train: Dataset, source: str, overrides: Overrides | None, notes: list[str]) -> Cloud:
    """The rows of another table as points of the training rows' space; what is odd is noted."""
    codec = train.codec
    assert codec is not None
    missing = () if overrides is None else overrides.missing
    frame = read_frame(Path(source), like=codec, missing=missing)
    require(len(frame) > 0, f"{source} must have rows", got="none")
    absent = [name for name in codec.names if name not in frame.columns]
    silent = {c.name for c in codec.columns if not c.coordinates}
    lost = [name for name in absent if name not in silent]
    require(not lost, f"{source} must have the columns of {train.name}",
            got=f"no {', '.join(map(repr, lost))}")  # fmt: skip
    extra = [str(name) for name in frame.columns if name not in codec.names]
    notes += [f"{source} has no column {name!r}, which takes no part in distances"
              for name in absent]  # fmt: skip
    notes += [f"{source} has a column {name!r} that {train.name} has not; left out"
              for name in extra]  # fmt: skip
    for name, values in codec.unseen(frame).items():
        shown = ", ".join(map(repr, values[:SHOWN])) + (", ..." if len(values) > SHOWN else "")
        notes.append(f"{source} has {len(values)} values of {name!r} that {train.name} has not: "
                     f"{shown}")  # fmt: skip
    whole = frame.reindex(columns=[*frame.columns, *absent])
    return codec.encode(pd.DataFrame(whole), exact=False)
