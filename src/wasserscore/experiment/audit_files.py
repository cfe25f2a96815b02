"""Two files in, a verdict out: an audit that needs no model of ours, or a run and its samples."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wasserscore.audit import PRIVACY, AuditReport
from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.files import write_json
from wasserscore.core.results import plain
from wasserscore.core.typing import Cloud
from wasserscore.data import Dataset, load, on_disk
from wasserscore.data.tables import Codec, Overrides, read_overrides
from wasserscore.experiment.alike import Alike, left_out, rows_like
from wasserscore.experiment.audit_notes import known_names, other_units
from wasserscore.experiment.column_scales import ColumnScales, codec_of
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.drawn import mapped
from wasserscore.experiment.folder import is_run
from wasserscore.experiment.revisit import journey
from wasserscore.experiment.rules import Rule, parse_rule
from wasserscore.experiment.sections import data_section, neighbours_section
from wasserscore.experiment.usefulness import require_target
from wasserscore.experiment.whole import Whole
from wasserscore.report import write_audit

QUANTITIES = {"copies": (0.0, 1.0), "near_copies": (0.0, 1.0), "repeats": (0.0, 1.0),
              "excess_near_copies": (-1.0, 1.0), "flagged": (0.0, 1.0)}  # fmt: skip
"""What a ``--fail-if`` rule may name, and between which values it lies; see :func:`numbers`."""


def read_rules(texts: list[str]) -> list[Rule]:
    """Rules over the quantities of an audit."""
    return [parse_rule(text, QUANTITIES) for text in texts]


@dataclass(frozen=True, eq=False)
class Sides:
    """What an audit compares, as points of one space.

    Args:
        train: The training rows, in memory or on disk.
        generated: Generated rows.
        holdout: Rows that the model has not seen.
        name: Of the generated rows.
        notes: What does not fit, and what was left out: columns and levels by name.
    """

    train: Dataset | Whole
    generated: Cloud
    holdout: Float[Tensor, "m d"] | None
    name: str
    notes: tuple[str, ...] = ()

    def audit(self, *, seed: int = 0) -> AuditReport:
        """The audit; ``seed`` is that of the permutations."""
        return audit_rows(self.train, self.generated, self.holdout, seed=seed)

    @cached_property
    def codec(self) -> Codec | None:
        """What the columns of a table in memory are; None for other data."""
        return None if isinstance(self.train, Whole) else codec_of(self.train)

    def require_target(self, target: str) -> None:
        """Refuse a column that :meth:`columns` cannot predict.

        Raises:
            InputError: If there is no table, no held-out rows, or no such column.
        """
        codec = self.codec
        if codec is None:
            raise InputError(explain("a target needs a table in memory", got=self.train.name,
                                     do="leave --target out"))  # fmt: skip
        require(self.holdout is not None, "a target needs held-out rows", got="none",
                do="give --holdout")  # fmt: skip
        require_target(codec, target)

    def columns(self, *, target: str | None = None, seed: int = 0) -> dict[str, Any] | None:
        """A table column by column; None for other data, or without held-out rows.

        Args:
            target: The column to predict; None is the last of few levels, or of numbers.
            seed: Of folds, of the rows that are learnt from and of the bootstrap.
        """
        train = self.train
        if self.holdout is None or isinstance(train, Whole):
            return None
        scales = ColumnScales.of(train, self.holdout, self.codec, seed=seed)
        return None if scales is None else scales.section(self.generated, target=target)


def read_sides(
    real: str,
    fake: str,
    holdout: str | None = None,
    *,
    name: str | None = None,
    schema: str | None = None,
    seed: int = 0,
) -> Sides:
    """The files of an audit; columns are matched by name, text through the codec of ``real``.

    Args:
        real: Name or path of the training rows; those on disk are all searched. Of a run folder
            its training rows, and unless ``holdout`` names others, the rows that it held out.
        fake: Of the generated rows.
        holdout: Of real rows the model has not seen; without it there is no verdict. Of rows on
            disk some are drawn, and the notes say how many.
        name: What to call the generated rows; by default as their file.
        schema: A file that says what the columns are; a run has its own.
        seed: Of held-out rows that are drawn.

    Raises:
        InputError: On files that cannot be used or do not fit each other.
    """
    require(on_disk(fake) is None, "generated rows are read into memory", got=repr(fake),
            do="give one file, as wasserscore sample writes it")  # fmt: skip
    train: Dataset | Whole
    fresh = None
    if is_run(real):
        require(schema is None, "a run has the schema that it was made with", got=repr(schema),
                do="leave --schema out")  # fmt: skip
        made = journey(real)
        train, fresh = made.train, Alike(made.holdout.points, made.holdout.name)
        real, schema = made.config.source, made.config.table_schema
    overrides = None if schema is None else read_overrides(schema)
    if fresh is None and on_disk(real) is None:
        train = load(real, schema=overrides)
    elif fresh is None:
        train = _on_disk(real, overrides)
    if holdout is not None:
        fresh = rows_like(train, holdout, overrides=overrides, drawn=seed)
    generated = rows_like(train, fake, overrides=overrides)
    notes = (*left_out(train), *(() if fresh is None else fresh.notes), *generated.notes)
    notes += other_units(train, generated, fake)
    if holdout is not None and fresh is not None:
        notes += other_units(train, fresh, holdout)
    notes += known_names(train, generated, real, fake, overrides)
    unseen = None if fresh is None else fresh.points
    return Sides(train, generated.points, unseen, name or generated.name, notes)


def _on_disk(real: str, overrides: Overrides | None) -> Whole:
    require(overrides is None, "a schema speaks of a table in memory", got=repr(real),
            do="leave --schema out")  # fmt: skip
    return Whole.of(*mapped(real))


def audit_files(
    real: str, fake: str, holdout: str | None = None, *, out: Path | None = None, seed: int = 0
) -> AuditReport:
    """Audit generated rows against the rows a model was trained on.

    What :func:`read_sides` read is judged and, with ``out``, written by :func:`write_page`.
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
    training row than 99 % of training rows are to each other (fresh data: about 1 %);
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
