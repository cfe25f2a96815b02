"""A table column by column: generated rows beside held-out ones, and the floors of real rows."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from wasserscore.core.results import Estimate, plain
from wasserscore.core.typing import Array, Cloud
from wasserscore.data import Dataset, Layout
from wasserscore.data.tables import Codec
from wasserscore.data.tables.category import Category
from wasserscore.data.tables.number import Number
from wasserscore.experiment.marginals import (
    associations,
    marginal,
    mean_gap,
    two_sample_accuracy,
)
from wasserscore.experiment.profiles import profile
from wasserscore.experiment.usefulness import usefulness


def codec_of(train: Dataset) -> Codec | None:
    """What the columns of a table are; None for other data.

    Distances of a table of plain numbers are in its own units, without a codec; this one is for
    the section on its columns.
    """
    if train.codec is not None or train.kind != "table":
        return train.codec
    return Codec.infer(train.frame(train.points))


@dataclass(frozen=True, eq=False)
class ColumnScales:
    """The measures of a table's columns, the same for every set of generated rows.

    Args:
        codec: Of the table.
        train: Points of training rows, for the floors, which are measured once.
        holdout: Points of held-out rows.
        seed: Of the folds of the two-sample test, of the rows that are learnt from and of the
            bootstrap.
        layout: Of rows that are no points of the codec: a table of plain numbers.
    """

    codec: Codec
    train: Float[Tensor, "m d"]
    holdout: Float[Tensor, "k d"]
    seed: int
    layout: Layout | None = None

    @classmethod
    def of(
        cls, train: Dataset, holdout: Float[Tensor, "k d"], codec: Codec | None, *, seed: int
    ) -> "ColumnScales | None":
        """The scales of rows in data units; None for what is no table.

        Args:
            train: The training rows.
            holdout: Held-out rows.
            codec: Of :func:`codec_of`.
            seed: As above.
        """
        if codec is None:
            return None
        if train.codec is not None:
            return cls(codec, train.points, holdout, seed)
        layout = train.layout
        known, fresh = (
            codec.encode(layout.frame(rows), exact=False) for rows in (train.points, holdout)
        )
        return cls(codec, known, fresh, seed, layout)

    def section(self, generated: Cloud, *, target: str | None = None) -> dict[str, Any]:
        """Columns, associations, two-sample accuracy and use, each with its floor, as JSON types.

        Args:
            generated: Generated rows, data units.
            target: The column to predict; None is the last of few levels, or of numbers.

        Raises:
            InputError: On a target that is not there or cannot be learnt.
        """
        points = generated
        if self.layout is not None:
            points = self.codec.encode(self.layout.frame(generated), exact=False)
        own, floor = self._measured(points.numpy()), self.floors
        fresh = self.holdout.numpy()
        columns = [
            {"name": column.name, "kind": column.kind, "unit": column.meaning,
             "distance": own.marginals[column.name], "floor": floor.marginals[column.name],
             "profile": profile(column, points.numpy()[:, places], fresh[:, places])}
            for column, places in self._columns
        ]  # fmt: skip
        useful = usefulness(
            self.codec, points, self.train, self.holdout, target=target, seed=self.seed
        )
        out: dict[str, Any] = plain({
            "columns": columns,
            "association": {"value": own.association, "floor": floor.association},
            "two_sample": {"value": own.two_sample, "floor": floor.two_sample},
            "usefulness": useful,
        })  # fmt: skip
        return out

    @cached_property
    def floors(self) -> "Measured":
        """What real rows have: the same numbers of training rows."""
        return self._measured(self.train.numpy())

    @cached_property
    def _columns(self) -> list[tuple[Category | Number, list[int]]]:
        """The columns that points see, and their places."""
        kept = [c for c in self.codec.columns if isinstance(c, Category | Number)]
        return [(c, places) for c in kept if (places := self.codec.places(c.name))]

    @cached_property
    def _links(self) -> Array:
        return associations(self.codec, self.holdout.numpy())

    def _measured(self, rows: Array) -> "Measured":
        fresh = self.holdout.numpy()
        return Measured(
            {c.name: marginal(c, rows[:, at], fresh[:, at]) for c, at in self._columns},
            mean_gap(associations(self.codec, rows), self._links),
            two_sample_accuracy(rows, fresh, seed=self.seed),
        )


class Measured(NamedTuple):
    """How far some rows of a table are from held-out ones: each column, all pairs, all at once."""

    marginals: dict[str, float]
    association: float
    two_sample: Estimate | None
