"""What an audit of files compares: real rows, known before any are drawn, and generated ones."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wasserscore.audit import AuditReport
from wasserscore.core.errors import InputError, explain, require
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
from wasserscore.experiment.usefulness import require_target
from wasserscore.experiment.whole import Whole


@dataclass(frozen=True, eq=False)
class Real:
    """The rows that a model was trained on, and those that it has not seen.

    Args:
        train: The training rows, in memory or on disk.
        fresh: Rows that the model has not seen.
        source: Name or path of the training rows.
        overrides: What a schema says of the columns.
        notes: What does not fit between the two.
    """

    train: Dataset | Whole
    fresh: Alike | None
    source: str
    overrides: Overrides | None
    notes: tuple[str, ...] = ()

    @cached_property
    def codec(self) -> Codec | None:
        """What the columns of a table in memory are; None for other data."""
        return None if isinstance(self.train, Whole) else codec_of(self.train)

    @property
    def holdout(self) -> Float[Tensor, "m d"] | None:
        """The points that the model has not seen."""
        return None if self.fresh is None else self.fresh.points

    def require_target(self, target: str) -> None:
        """Refuse a column that :meth:`Sides.columns` cannot predict.

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

    def beside(self, fake: str, *, name: str | None = None) -> "Sides":
        """These and the rows of a file; columns are matched by name, text through the codec.

        Args:
            fake: Of the generated rows.
            name: What to call them; by default as their file.

        Raises:
            InputError: On a file that cannot be used or does not fit.
        """
        require(on_disk(fake) is None, "generated rows are read into memory", got=repr(fake),
                do="give one file, as wasserscore sample writes it")  # fmt: skip
        generated = rows_like(self.train, fake, overrides=self.overrides)
        own = (*generated.notes, *other_units(self.train, generated, fake))
        own += known_names(self.train, generated, self.source, fake, self.overrides)
        return Sides(self, generated.points, name or generated.name, (*self.notes, *own))


@dataclass(frozen=True, eq=False)
class Sides:
    """What an audit compares, as points of one space.

    Args:
        real: The real rows.
        generated: Generated rows.
        name: Of the generated rows.
        notes: What does not fit, and what was left out: columns and levels by name.
    """

    real: Real
    generated: Cloud
    name: str
    notes: tuple[str, ...] = ()

    @property
    def train(self) -> Dataset | Whole:
        """The training rows."""
        return self.real.train

    def audit(self, *, seed: int = 0) -> AuditReport:
        """The audit; ``seed`` is that of the permutations."""
        return audit_rows(self.train, self.generated, self.real.holdout, seed=seed)

    def columns(self, *, target: str | None = None, seed: int = 0) -> dict[str, Any] | None:
        """A table column by column; None for other data, or without held-out rows.

        Args:
            target: The column to predict; None is the last of few levels, or of numbers.
            seed: Of folds, of the rows that are learnt from and of the bootstrap.
        """
        train, holdout = self.train, self.real.holdout
        if holdout is None or isinstance(train, Whole):
            return None
        scales = ColumnScales.of(train, holdout, self.real.codec, seed=seed)
        return None if scales is None else scales.section(self.generated, target=target)


def read_real(
    real: str, holdout: str | None = None, *, schema: str | None = None, seed: int = 0
) -> Real:
    """The real rows of an audit.

    Args:
        real: Name or path of the training rows; those on disk are all searched. Of a run folder
            its training rows, and unless ``holdout`` names others, the rows that it held out.
        holdout: Of real rows the model has not seen; without it there is no verdict. Of rows on
            disk some are drawn, and the notes say how many.
        schema: A file that says what the columns are; a run has its own.
        seed: Of held-out rows that are drawn.

    Raises:
        InputError: On files that cannot be used or do not fit each other.
    """
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
    notes = left_out(train)
    if holdout is not None:
        fresh = rows_like(train, holdout, overrides=overrides, drawn=seed)
        notes = (*notes, *fresh.notes, *other_units(train, fresh, holdout))
    return Real(train, fresh, real, overrides, notes)


def read_sides(
    real: str,
    fake: str,
    holdout: str | None = None,
    *,
    schema: str | None = None,
    seed: int = 0,
) -> Sides:
    """All files of an audit, see :func:`read_real` and :meth:`Real.beside`."""
    return read_real(real, holdout, schema=schema, seed=seed).beside(fake)


def _on_disk(real: str, overrides: Overrides | None) -> Whole:
    require(overrides is None, "a schema speaks of a table in memory", got=repr(real),
            do="leave --schema out")  # fmt: skip
    return Whole.of(*mapped(real))
