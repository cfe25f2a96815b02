"""Columns of Arrow's types, and of another byte order, are what their cells are."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.data.tables.codec import Codec

ROWS = 60


def classic() -> pd.DataFrame:
    """Cells of every kind in pandas' own types, some missing."""
    rng = np.random.default_rng(0)
    hours = pd.Series(pd.date_range("1999-12-31", periods=ROWS, freq="1000h"))
    frame = pd.DataFrame({
        "double": rng.normal(size=ROWS),
        "count": pd.Series(rng.integers(0, 50, ROWS), dtype="Int64"),
        "large": pd.Series(2**53 + 1 + rng.integers(0, 9, ROWS), dtype="Int64"),
        "yes": pd.Series(rng.integers(0, 2, ROWS) == 1, dtype="boolean"),
        "self": rng.normal(size=ROWS),
        "text": pd.Series(rng.choice(["a", "b", "c"], ROWS), dtype=pd.StringDtype(na_value=np.nan)
                          if pd.__version__ >= "3" else object),
        "when": hours.astype("datetime64[us]"),
        "fine": hours.astype("datetime64[ns]"),
        "zone": hours.dt.tz_localize("UTC").astype("datetime64[us, UTC]"),
    })  # fmt: skip
    holes = frame.copy()
    for k, name in enumerate(["count", "yes", "text", "when", "zone"]):
        holes.loc[k::7, name] = None
    return holes


def of_arrow(frame: pd.DataFrame) -> pd.DataFrame:
    table = pa.Table.from_pandas(frame)
    return table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)


def test_frames_of_arrow_are_what_their_cells_are(tmp_path):
    frame = classic()
    arrow = of_arrow(frame)
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in arrow.dtypes)
    codec, known = Codec.infer(arrow), Codec.infer(frame)
    assert [c.kind for c in codec.columns] == [c.kind for c in known.columns]
    points = known.encode(frame)
    assert torch.equal(codec.encode(arrow), points)
    assert torch.equal(known.encode(arrow), points)
    pd.testing.assert_frame_equal(codec.decode(points), known.decode(points), check_dtype=False)
    arrow.to_parquet(tmp_path / "arrow.parquet")
    assert torch.equal(ws.data.load(tmp_path / "arrow.parquet").points, points)


def test_numbers_of_arrow_are_a_table():
    frame = classic()[["double"]].assign(twice=lambda f: 2 * f["double"])
    data = ws.data.load(of_arrow(frame))
    assert (data.kind, data.columns) == ("table", ("double", "twice"))
    np.testing.assert_array_equal(data.points.numpy(), frame.to_numpy())


def test_days_and_decimals():
    days = [date(2024, 2, 29 - k % 20) for k in range(ROWS)]
    cents = [Decimal(k) / 100 for k in range(ROWS)]
    frame = pd.DataFrame({
        "day": pd.Series(days, dtype=pd.ArrowDtype(pa.date32())),
        "cents": pd.Series(cents, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
    }).set_axis(range(7, 7 + ROWS))  # fmt: skip
    codec = Codec.infer(frame)
    assert [column.kind for column in codec.columns] == ["datetime", "bounded"]
    again = codec.decode(codec.encode(frame))
    np.testing.assert_array_equal(again["day"].to_numpy(), np.array(days, "datetime64[s]"))
    np.testing.assert_array_equal(again["cents"].to_numpy(), np.arange(ROWS) / 100)


@pytest.mark.parametrize(
    "kind", [pa.duration("s"), pa.time64("us"), pa.list_(pa.int64())], ids=str
)
def test_other_types_of_arrow_are_refused_by_column(kind):
    cells = pd.Series([None] * ROWS, dtype=pd.ArrowDtype(kind))
    frame = pd.DataFrame({"x": np.arange(ROWS), "odd": cells})
    with pytest.raises(InputError, match=r"column 'odd' must hold .* got Arrow type"):
        Codec.infer(frame)
    known = Codec.infer(frame[["x"]])
    assert torch.equal(known.encode(frame), known.encode(frame[["x"]]))  # nobody asks for it


def test_numbers_of_the_other_byte_order():
    frame = pd.DataFrame({"x": np.linspace(0, 1, ROWS) ** 2, "n": np.arange(ROWS) % 7})
    swapped = frame.astype({"x": ">f8", "n": ">i4"})
    codec = Codec.infer(swapped)
    assert [column.storage.dtype for column in codec.columns] == ["float64", "int32"]
    assert torch.equal(codec.encode(swapped), Codec.infer(frame).encode(frame))
