"""Parquet from databases: days and decimals are read, what is no cell is refused by name."""

from datetime import date, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wasserscore.core.errors import InputError
from wasserscore.data.tables import Codec, read_frame, write_frame


def read(tmp_path, values, kind):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [0.5, 1.5, 3.5], "c": pa.array(values, kind)}), path)
    return read_frame(path)


def test_days_are_dates(tmp_path):
    for kind in (pa.date32(), pa.date64()):
        frame = read(tmp_path, [date(2024, 2, 29), None, date(1, 1, 1)], kind)
        days = np.array(["2024-02-29", "NaT", "0001-01-01"], dtype="datetime64[s]")
        np.testing.assert_array_equal(frame["c"].to_numpy(), days, strict=True)
        codec = Codec.infer(frame)
        again = codec.decode(codec.encode(frame))
        pd.testing.assert_frame_equal(again, frame)
        write_frame(tmp_path / "new.parquet", again)
        new = read_frame(tmp_path / "new.parquet").astype({"c": "datetime64[s]"})
        pd.testing.assert_frame_equal(new, frame)


def test_decimals_are_the_numbers_of_their_digits(tmp_path):
    cents = read(tmp_path, [Decimal("0.10"), None, Decimal("-1234567.89")], pa.decimal128(38, 2))
    assert cents["c"].tolist()[::2] == [0.1, -1234567.89]
    assert cents["c"].isna().tolist() == [False, True, False]
    whole = [2**62 + 1, 7, -3]
    assert read(tmp_path, list(map(Decimal, whole)), pa.decimal128(38))["c"].tolist() == whole
    gaps = read(tmp_path, [Decimal(1), None, Decimal(2)], pa.decimal128(38))["c"]
    assert gaps.dtype == "Int64"
    with pytest.raises(
        InputError, match=r"'c' must have at most 15 digits, got 12345678901234567"
    ):
        read(tmp_path, [Decimal("12345678901234567.25"), None, None], pa.decimal128(38, 2))


@pytest.mark.parametrize(("values", "kind"), [
    ([time(12, 30)] * 3, pa.time64("us")), ([timedelta(1)] * 3, pa.duration("us")),
    ([[1, 2]] * 3, pa.list_(pa.int64())), ([b"x"] * 3, pa.binary()),
])  # fmt: skip
def test_other_types_are_refused_by_name(tmp_path, values, kind):
    with pytest.raises(InputError) as refused:
        read(tmp_path, values, kind)
    what, name = "column 'c' must hold numbers, text, booleans or dates", str(kind).split("<")[0]
    assert str(refused.value).startswith(f"{what}, got Arrow type {name}")


def test_an_index_of_days_without_a_name_is_no_column(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.5]}, index=[date(2024, 1, 1), date(2024, 1, 2)])
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_frame(tmp_path / "t.parquet").columns.tolist() == ["x"]
