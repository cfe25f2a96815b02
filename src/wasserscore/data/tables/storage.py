"""How a pandas column holds its cells: the dtype, the kind of missing cell, the text of a date."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array
from wasserscore.data.tables.dates import parse_dates, tick_of, written

_SENTINELS: dict[str, Any] = {"None": None, "nan": np.nan, "NA": pd.NA, "NaT": pd.NaT}


@dataclass(frozen=True)
class Storage:
    """What it takes to build a column like the one that came.

    Args:
        dtype: Its pandas dtype as text; "category" for categories of any type.
        missing: Which object stands for a missing cell where the dtype leaves that open.
        categories: Dtype of the categories of a categorical column.
        ordered: Whether they are ordered.
        date: Format of dates kept as text, see :mod:`~wasserscore.data.tables.dates`.
    """

    dtype: str
    missing: str | None = None
    categories: str | None = None
    ordered: bool = False
    date: str | None = None

    @classmethod
    def of(cls, cells: "pd.Series[Any]", date: str | None = None) -> "Storage":
        """The storage of a column.

        Raises:
            InputError: For a dtype that cannot be built again from its name.
        """
        dtype = cells.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            inner = str(dtype.categories.dtype)
            return cls("category", None, inner, bool(dtype.ordered))
        text = str(dtype)
        try:
            same = pd.api.types.pandas_dtype(text) == dtype
        except (TypeError, ValueError):
            same = False
        odd = isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype)
        known = same and (text == "object" or dtype.kind in "biufMOU")
        if odd or not (known or isinstance(dtype, pd.StringDtype)):
            raise InputError(explain(
                f"column {cells.name!r} must hold numbers, text, booleans or dates",
                got=f"dtype {text}", do="convert or drop it"))  # fmt: skip
        return cls(text, _sentinel(cells) if text == "object" else None, date=date)

    @property
    def tick(self) -> str:
        """What moments are counted in: "s", "ms", "us" or "ns"."""
        if self.date is not None:
            return tick_of(self.date)
        dtype: Any = pd.api.types.pandas_dtype(self.dtype)
        return str(getattr(dtype, "unit", None) or np.datetime_data(dtype)[0])

    @property
    def moments(self) -> bool:
        """Whether cells are dates or times, as such or as text."""
        return self.dtype.startswith("datetime64") or self.date is not None

    def numbers(self, cells: "pd.Series[Any]") -> tuple[Array, Array]:
        """Cells as int64, uint64 or float64, and which are missing (their numbers mean nothing).

        Raises:
            InputError: For a date that does not have the format of its column.
        """
        absent = np.asarray(cells.isna(), dtype=bool)
        if self.moments:
            return self._ticks(cells, absent), absent
        integers = cells.dtype.kind in "iub"
        target: Any = (np.uint64 if cells.dtype.kind == "u" else np.int64) if integers else float
        if cells.dtype.kind not in "biuf":
            found = pd.to_numeric(cells, errors="coerce")
            _require_read(cells, found, absent, f"column {cells.name!r} must hold numbers")
            cells = found
        filled = cells.fillna(0) if integers and absent.any() else cells
        return np.asarray(filled.to_numpy(dtype=target, na_value=0 if integers else np.nan),
                          dtype=target), absent  # fmt: skip

    def cells(self, values: Array, absent: Array, name: str) -> "pd.Series[Any]":
        """A column from values (numbers, ticks or levels) and which of them are missing."""
        index = pd.RangeIndex(len(values))
        if self.date is not None:
            found = np.empty(len(values), dtype=object)
            found[:] = written(values.astype("int64").view(f"datetime64[{self.tick}]"), self.date)
            values = found
        elif self.moments:
            return self._stamps(values, absent, name)
        if not absent.any():
            return pd.Series(values, index=index, name=name).astype(self.dtype)  # type: ignore[call-overload, no-any-return]
        kept = pd.Series(values, index=index, name=name, dtype=object)
        if self.dtype == "object":
            kept[absent] = _SENTINELS[self.missing or "nan"]
            return kept
        if self.dtype in ("float16", "float32", "float64"):
            return pd.Series(np.where(absent, np.nan, values), name=name).astype(self.dtype)  # type: ignore[call-overload, no-any-return]
        return kept.where(~absent, pd.NA).astype(self.dtype)  # type: ignore[call-overload, no-any-return]

    def _ticks(self, cells: "pd.Series[Any]", absent: Array) -> Array:
        """Moments since 1970 in the tick of this column, whatever that of the cells."""
        as_such = pd.api.types.is_datetime64_any_dtype(cells)
        if self.date is not None and not (as_such and "%Y" in self.date):
            return self._read(cells, absent, self.date)
        if not as_such:
            # Of moments as text, only ISO 8601 says without doubt which they are.
            moments = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
            what = f"moments of column {cells.name!r} must read as in 2024-12-31 23:59"
            _require_read(cells, moments, absent, what)
            cells = moments
        stamps = pd.DatetimeIndex(cells)
        stamps = stamps.tz_convert("UTC").tz_localize(None) if stamps.tz else stamps
        tick: Any = self.tick
        try:
            ticks = stamps.as_unit(tick)
        except pd.errors.OutOfBoundsDatetime as error:
            what = f"moments of column {cells.name!r} must be such as its tick, {tick}, can count"
            raise InputError(explain(what, got=str(error))) from None
        return np.where(absent, 0, np.asarray(ticks.asi8, dtype=np.int64))

    def _read(self, cells: "pd.Series[Any]", absent: Array, date: str) -> Array:
        different, which = np.unique(cells[~absent].to_numpy(dtype=object), return_inverse=True)
        ticks = np.zeros(len(cells), dtype=np.int64)
        if len(different):
            found = parse_dates(different, date)
            if found is None:
                odd = (c for c in different if parse_dates(np.array([c]), date) is None)
                raise InputError(explain(f"dates of column {cells.name!r} must read {date}",
                                         got=repr(next(odd, "ends that differ"))))  # fmt: skip
            ticks[~absent] = found[which]
        return ticks

    def _stamps(self, ticks: Array, absent: Array, name: str) -> "pd.Series[Any]":
        stamps = ticks.astype("int64").view(f"datetime64[{self.tick}]").copy()
        stamps[absent] = np.array("NaT", stamps.dtype)
        index = pd.DatetimeIndex(stamps)
        zone = getattr(pd.api.types.pandas_dtype(self.dtype), "tz", None)
        if zone is not None:
            index = index.tz_localize("UTC").tz_convert(zone)
        return pd.Series(index, name=name)


def _require_read(
    cells: "pd.Series[Any]", found: "pd.Series[Any]", absent: Array, what: str
) -> None:
    """Refuse the first present cell that could not be read, by row."""
    odd = np.asarray(found.isna(), dtype=bool) & ~absent
    if odd.any():
        row = int(odd.argmax())
        raise InputError(explain(what, got=f"{cells.iloc[row]!r} at row {row}"))


def _sentinel(cells: "pd.Series[Any]") -> str | None:
    absent = list(cells[cells.isna()].to_numpy(dtype=object))
    kinds = {"None" if c is None else "NA" if c is pd.NA else "NaT" if c is pd.NaT else "nan"
             for c in absent}  # fmt: skip
    require(len(kinds) < 2, f"column {cells.name!r} must have one kind of missing cell",
            got=" and ".join(sorted(kinds)), do="fill it with one of them")  # fmt: skip
    return kinds.pop() if kinds else None


def as_python(value: Any) -> Any:
    """A numpy scalar as the Python object that JSON knows."""
    return value.item() if isinstance(value, np.generic) else value
