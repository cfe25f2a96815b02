"""How a pandas column holds its cells: the dtype, the kind of missing cell, the text of a date."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.typing import Array

FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y",
    "%H:%M", "%H:%M:%S",
)  # fmt: skip
"""Text that is read as a date where every cell of a column has the same of these forms. Times of
day are those of one day: 23:59 is far from 00:01."""
_TAIL = re.compile(r"(?<=:[0-9]{2})(?:\.([0-9]+))?(Z| ?UTC| ?[+-][0-9]{2}:?[0-9]{2})?$")
"""What may follow a time of day: parts of a second, and a time zone, the same in every cell."""
_PARTS = re.compile(r"%([369]?)f")
_UNITS = {"3": "ms", "6": "us", "9": "ns"}
"""Of parts of a second with so many digits, ``%3f`` in the format; ``%f`` has six."""
_SENTINELS: dict[str, Any] = {"None": None, "nan": np.nan, "NA": pd.NA, "NaT": pd.NaT}


@dataclass(frozen=True)
class Storage:
    """What it takes to build a column like the one that came.

    Args:
        dtype: Its pandas dtype as text; "category" for categories of any type.
        missing: Which object stands for a missing cell where the dtype leaves that open.
        categories: Dtype of the categories of a categorical column.
        ordered: Whether they are ordered.
        date: ``strftime`` format of dates kept as text, with ``%3f``, ``%6f`` and ``%9f`` too.
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
            return _tick(self.date)
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
            found[:] = _written(values.astype("int64").view(f"datetime64[{self.tick}]"), self.date)
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
        if self.date is None:
            if not pd.api.types.is_datetime64_any_dtype(cells):
                # Of moments as text, only ISO 8601 says without doubt which they are.
                moments = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
                what = f"moments of column {cells.name!r} must read as in 2024-12-31 23:59"
                _require_read(cells, moments, absent, what)
                cells = moments
            stamps = pd.DatetimeIndex(cells)
            stamps = stamps.tz_convert("UTC").tz_localize(None) if stamps.tz else stamps
            return np.where(absent, 0, np.asarray(stamps.asi8, dtype=np.int64))
        different, which = np.unique(cells[~absent].to_numpy(dtype=object), return_inverse=True)
        ticks = np.zeros(len(cells), dtype=np.int64)
        if len(different):
            found = parse_dates(different, self.date)
            if found is None:
                odd = (c for c in different if parse_dates(np.array([c]), str(self.date)) is None)
                raise InputError(explain(f"dates of column {cells.name!r} must read {self.date}",
                                         got=repr(next(odd, "ends that differ"))))  # fmt: skip
            ticks[~absent] = np.asarray(found)[which]
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


def parse_dates(texts: Array, form: str) -> Array | None:
    """Ticks since 1970 of texts that all have a format and survive it; None otherwise."""
    plain = _PARTS.sub("%f", form)
    try:
        stamps = pd.to_datetime(pd.Series(texts, dtype=object), format=plain, errors="coerce")
    except ValueError:  # offsets that differ
        return None
    if stamps.isna().any():
        return None
    ticks = stamps.to_numpy().astype(f"datetime64[{_tick(form)}]")
    if not np.array_equal(_written(ticks, form), np.asarray(texts, dtype=object)):
        return None
    return np.asarray(ticks.astype(np.int64))


def _tick(form: str) -> str:
    parts = _PARTS.search(form)
    return "s" if parts is None else _UNITS[parts[1] or "6"]


def _written(ticks: Array, form: str) -> Array:
    """Moments as text."""
    moments: pd.Series[Any] = pd.Series(ticks)
    whole = lambda part: moments.dt.strftime(part).to_numpy(dtype=object)
    parts = _PARTS.search(form)
    if parts is None:
        return np.asarray(whole(form))
    digits, before, after = int(parts[1] or 6), form[: parts.start()], form[parts.end() :]
    small = [f"{tick % 10**digits:0{digits}d}" for tick in ticks.astype(np.int64).tolist()]
    found = whole(before) + np.array(small, dtype=object)
    return np.asarray(found + whole(after) if after else found)


def date_format(texts: Array) -> str | None:
    """The one format that all texts have; None where there is none or more than one.

    One of :data:`FORMATS`, and what else stands at the end of all texts alike.
    """
    few = texts[:: max(1, len(texts) // 50)]
    if not all(re.match(r"[0-9]{2,4}[-/.:][0-9]", text) for text in few):
        return None
    tail = _TAIL.search(few[0])
    ends = [tail.group() if tail else ""]
    if tail and str(len(tail[1] or "")) in _UNITS:
        ends.append(f".%{len(tail[1])}f{tail[2] or ''}")
    for end in ends:
        likely = [form + end for form in FORMATS if parse_dates(few, form + end) is not None]
        found = [form for form in likely if parse_dates(texts, form) is not None]
        if found:
            return found[0] if len(found) == 1 else None
    return None


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
