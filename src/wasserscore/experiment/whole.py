"""All rows of files that stay on disk, where a data set would hold them in memory."""

from dataclasses import dataclass, field, fields

from wasserscore.data import Layout, Mapped


@dataclass(frozen=True, eq=False)
class Whole(Layout):
    """What an audit asks of training rows, as a :class:`~wasserscore.data.Dataset` has it.

    Args:
        points: All rows, float64, data units.
    """

    points: Mapped = field(kw_only=True, repr=False)

    @classmethod
    def of(cls, name: str, points: Mapped) -> "Whole":
        """The rows with their range, found in one pass."""
        layout = points.layout(name, f"{len(points)} rows of {name}, on disk")
        return cls(**{f.name: getattr(layout, f.name) for f in fields(Layout)}, points=points)

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.points)

    @property
    def sha256(self) -> str:
        """See :attr:`wasserscore.data.Mapped.sha256`."""
        return self.points.sha256
