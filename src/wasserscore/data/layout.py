"""What is known of a data set besides its rows: enough to turn a model's output into data."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wasserscore.core.errors import require
from wasserscore.core.results import plain
from wasserscore.core.typing import Cloud, Vector
from wasserscore.data.lattice import quantise
from wasserscore.data.margins import Margin, Margins

if TYPE_CHECKING:
    import pandas as pd

    from wasserscore.data.tables import Codec

CHANNELS = range(1, 5)
"""How many channels an axis may hold: grey, with transparency, colours, both."""
Kind = Literal["image", "table", "vectors", "mixed"]
"""A ``"table"`` is all numbers, in its own units; a ``"mixed"`` one is seen through its codec."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Columns, range, lattice and constants of a data set, without any of its rows.

    Args:
        name: What to call it.
        columns: The d column names.
        shape: The shape of one item, ``(d,)`` or for images ``(h, w)``, ``(h, w, c)``
            or ``(c, h, w)``.
        kind: "image", "table", "vectors", or "mixed" for a table that went through a codec.
        lattice: Step of the lattice of each column, 0 where it has none; None if none has one.
        low: Smallest value, per column (images: over all pixels).
        high: Largest value, likewise.
        constant: Which columns never change; models leave them out.
        constants: The values of those columns.
        source: Where the points came from, in words.
        units: Units of the values, in words.
        codec: Of a mixed table: what makes rows of points; columns here are its coordinates.
        dtypes: Of the columns of a table of numbers, where rows are to have them again.
        margins: Of the numbers of a fitted model and of the data, where they are known.
    """

    name: str
    columns: tuple[str, ...] = field(repr=False)
    shape: tuple[int, ...]
    kind: Kind
    lattice: Vector | None = field(repr=False)
    low: Vector = field(repr=False)
    high: Vector = field(repr=False)
    constant: Bool[Tensor, " d"] = field(repr=False)
    constants: Float[Tensor, " c"] = field(repr=False)
    source: str = ""
    units: str = "data units"
    codec: "Codec | None" = field(default=None, repr=False)
    dtypes: tuple[str, ...] | None = field(default=None, repr=False)
    margins: Margins | None = field(default=None, repr=False)

    @property
    def d(self) -> int:
        """The number of columns, constant ones included."""
        return len(self.columns)

    @property
    def constant_columns(self) -> tuple[str, ...]:
        """Names of the columns that never change."""
        pairs = zip(self.columns, self.constant.tolist(), strict=True)
        return tuple(name for name, same in pairs if same)

    def vary(self, x: Cloud) -> Float[Tensor, "n v"]:
        """``x`` of shape ``(m, d)`` without the constant columns."""
        return x[:, ~self.constant]

    def restore(self, x: Float[Tensor, "n v"]) -> Cloud:
        """Put the constant columns back: ``(m, v)`` to ``(m, d)``, in the dtype of ``x``."""
        varying = ~self.constant
        require(x.shape[1] == int(varying.sum()), f"points must have {int(varying.sum())} columns",
                got=x.shape[1])  # fmt: skip
        full = x.new_empty(len(x), self.d)
        full[:, varying] = x
        full[:, self.constant] = self.constants.to(x)
        return full

    def images(self, x: Cloud) -> Float[Tensor, "n c h w"]:
        """``x`` of shape ``(m, d)`` as ``(m, channels, height, width)``, as networks see images.

        Images that have channels first stay as they are.

        Raises:
            InputError: If this is no data set of images.
        """
        require(self.kind == "image" and len(self.shape) in (2, 3), "only images have channels",
                got=f"{self.kind} of shape {self.shape}")  # fmt: skip
        if channels_first(self.shape):
            return x.reshape(-1, *self.shape)
        return (
            x.reshape(-1, *self.shape, *(1,) * (3 - len(self.shape))).movedim(-1, 1).contiguous()
        )

    def rows(self, images: Float[Tensor, "n c h w"]) -> Cloud:
        """Images with channels first as rows ``(m, d)`` again: the inverse of :meth:`images`."""
        moved = images if channels_first(self.shape) else images.movedim(1, -1)
        flat = moved.flatten(1)
        require(flat.shape[1] == self.d, f"images must have {self.d} entries", got=flat.shape[1])
        return flat

    def numbers(self) -> list[Margin]:
        """Where points of a table hold numbers."""
        if self.codec is not None:
            return self.codec.numbers()
        return [Margin(j) for j in (~self.constant).nonzero()[:, 0].tolist()]

    def within(self, x: Cloud) -> Cloud:
        """``x`` of shape ``(m, d)`` by the margins, where there are some, and cut to the range."""
        return self.clip(x if self.margins is None else self.margins.apply(x))

    def clip(self, x: Cloud) -> Cloud:
        """``x`` of shape ``(m, d)`` cut to the range of the data."""
        return torch.minimum(torch.maximum(x, self.low.to(x)), self.high.to(x))

    def snap(self, x: Cloud) -> Cloud:
        """``x`` of shape ``(m, d)``, tables moved to the points of rows that may exist."""
        if self.codec is not None:
            return self.codec.snap(x)
        return quantise(self, x) if self.kind == "table" else x

    def frame(self, x: Cloud, *, start: int = 0) -> "pd.DataFrame":
        """``x`` of shape ``(m, d)`` as a table with the columns and dtypes of the data.

        Args:
            x: Points, data units.
            start: Rows that went before, for the numbers of identifiers.
        """
        import pandas as pd

        if self.codec is not None:
            return self.codec.decode(x, start=start)
        found = pd.DataFrame(x.numpy(), columns=pd.Index(self.columns))
        for name, kind in zip(self.columns, self.dtypes or (), strict=False):
            cells = found[name].round() if pd.api.types.is_integer_dtype(kind) else found[name]
            found[name] = cells.astype(kind)  # type: ignore[call-overload]
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; :meth:`from_dict` is its inverse."""
        out: dict[str, Any] = plain(
            {f.name: getattr(self, f.name) for f in fields(Layout) if f.name != "codec"}
        )
        return out | ({} if self.codec is None else {"codec": self.codec.to_dict()})

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> "Layout":
        """The layout that :meth:`to_dict` wrote."""
        codec = None
        if d.get("codec") is not None:
            from wasserscore.data.tables import Codec

            codec = Codec.from_dict(d["codec"])

        def numbers(name: str) -> Tensor:
            return torch.tensor(d[name], dtype=torch.float64)

        return Layout(
            name=d["name"], columns=tuple(d["columns"]), shape=tuple(d["shape"]), kind=d["kind"],
            lattice=None if d["lattice"] is None else numbers("lattice"), low=numbers("low"),
            high=numbers("high"), constant=torch.tensor(d["constant"], dtype=torch.bool),
            constants=numbers("constants"), source=d["source"], units=d["units"],
            codec=codec, dtypes=None if d.get("dtypes") is None else tuple(d["dtypes"]),
            margins=None if d.get("margins") is None else Margins.from_dict(d["margins"]),
        )  # fmt: skip


def channels_first(shape: Sequence[int]) -> bool:
    """Whether the first of three axes holds channels; where both ends might, the last does."""
    if len(shape) != 3 or shape[2] in CHANNELS:
        return False
    return shape[0] in CHANNELS or shape[0] != shape[1] == shape[2]  # a square of many channels


def column_names(shape: tuple[int, ...], kind: Kind) -> tuple[str, ...]:
    """Names from positions: ``column_3``, or ``pixel_row_column`` for images."""
    if kind == "image":
        cells = torch.cartesian_prod(*(torch.arange(k) for k in shape)).reshape(-1, len(shape))
        return tuple("pixel_" + "_".join(map(str, cell)) for cell in cells.tolist())
    return tuple(f"column_{j}" for j in range(shape[0]))
