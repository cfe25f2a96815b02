"""Files: cells stay what they are, and nothing that we write can be run by a spreadsheet."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasserscore.core.errors import InputError
from wasserscore.data.tables import Codec, Overrides, read_frame, write_frame
from wasserscore.data.tables.dialect import Dialect
from wasserscore.data.tables.frames import inert, original
from wasserscore.data.tables.wish import Wish


def read(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return read_frame(path, **options)


def test_cells_are_numbers_only_where_the_whole_column_is(tmp_path):
    frame = read(
        tmp_path,
        "zip,age,x,y,flag,big,mixed_code,gap\r\n"
        '"01234",30,1.5,1e3,True,9007199254740993,007,NA\r\n'
        '90210,41,,-2.5,False,-5,12,3\r\n'
        '"00007",,2,.5,True,1,13,4\r\n',
    )  # fmt: skip
    assert frame["zip"].tolist() == ["01234", "90210", "00007"]
    assert frame["age"].dtype == "Int64"
    assert frame["age"].isna().tolist() == [False, False, True]
    assert frame["x"].tolist()[0] == 1.5
    assert frame["y"].tolist() == [1000.0, -2.5, 0.5]
    assert frame["flag"].dtype == bool
    assert frame["big"].tolist()[0] == 2**53 + 1
    assert frame["mixed_code"].tolist() == ["007", "12", "13"]
    assert frame["gap"].tolist()[1:] == [3, 4]
    assert pd.isna(frame["gap"][0])


def test_text_keeps_quotes_commas_lines_and_letters(tmp_path):
    text = 'name,n\r\n"Müller, ""Ulm""",1\r\n"two\nlines",2\r\n<script>alert(1)</script>,3\r\n'
    frame = read(tmp_path, "\ufeff" + text)
    assert frame["name"].tolist() == [
        'Müller, "Ulm"', "two\nlines", "<script>alert(1)</script>",
    ]  # fmt: skip
    assert frame.columns.tolist() == ["name", "n"]


def test_numbers_are_read_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).standard_normal(300) * 1e-5
    frame = read(tmp_path, "x\n" + "\n".join(map(repr, values.tolist())) + "\n")
    assert np.array_equal(frame["x"].to_numpy(), values)


def test_declared_marks_and_known_text_columns(tmp_path):
    frame = read(tmp_path, "a,b\n?,1\nx,unknown\n", overrides=Overrides(missing=("?", "unknown")))
    assert frame["a"].isna().tolist() == [True, False]
    assert frame["b"].dtype == "Int64"
    codec = Codec.infer(pd.DataFrame({"a": ["x", "7"], "b": [1, 2]}))
    assert read(tmp_path, "a,b\n7,1\n8,2\n", like=codec)["a"].tolist() == ["7", "8"]
    assert read(tmp_path, "a,b\n7,1\n8,2\n")["a"].tolist() == [7, 8]


@pytest.mark.parametrize("kind", ["categorical", "identifier"])
def test_codes_some_of_which_are_numbers_are_text_where_a_schema_says_so(tmp_path, kind):
    """Diagnoses: 428, 250.83 and V27."""
    codes, declared = ["428", "250.80", "V27"], Overrides({"code": Wish(kind)})
    text = "\n".join(["code", *codes])
    with pytest.raises(InputError, match="or that the column's kind is categorical or identifier"):
        read(tmp_path, text)
    assert read(tmp_path, text, overrides=declared)["code"].tolist() == codes
    assert read(tmp_path, "code\n428\n7\n", overrides=declared)["code"].tolist() == [428, 7]
    with pytest.raises(InputError, match="must not mix"):
        read(tmp_path, "code\n1\n2\nx\n", overrides=Overrides({"code": Wish("numeric")}))


def test_what_cannot_be_a_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="column names must differ, got 'a' twice"):
        read(tmp_path, "a,a\n1,x\n")
    with pytest.raises(InputError, match=r"t.csv: .*'size' must not mix numbers.*'tall' at row 2"):
        read(tmp_path, "size\n1\n2\ntall\n")
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(InputError, match=rf"no such file, got '.*{name}'; correct the path"):
            read_frame(tmp_path / name)
    with pytest.raises(InputError, match=r"written as .*, .parquet, got 't.xlsx'"):
        write_frame(tmp_path / "t.xlsx", pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="'a' cannot be written as CSV, got empty text"):
        write_frame(tmp_path / "t.csv", pd.DataFrame({"a": ["", "x"]}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv"]  # what `read` wrote, no parts


EVIL = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\tx", "\rx", "'=x", "''=x", "'", "'x",
        "＝x", "<script>", "a,b", 'q"q', "x\r\ny", " =x", "Köln"]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
def test_evil_text_is_inert_and_comes_back(tmp_path, ending):
    frame = pd.DataFrame({"=evil()": pd.Series(EVIL, dtype="str"), "n": range(len(EVIL))})
    frame["gap"] = pd.Series([None, *EVIL[1:]], dtype="str")
    path = tmp_path / f"t.{ending}"
    write_frame(path, frame)
    pd.testing.assert_frame_equal(read_frame(path), frame)
    if ending == "csv":
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, header=None).to_numpy()
        assert not [c for c in cells.ravel() if c and c[0] in "=+-@\t\r\n＝＋－＠"]
        assert "'=evil()" in cells[0]


def test_spaces_behind_separators_belong_to_them(tmp_path):
    text = 'age, name, x\n30, "Smith, John", 1.5\n31,  Ulm , -2\n'
    frame = read(tmp_path, text)
    assert frame.to_dict("list") == {
        "age": [30, 31], "name": ["Smith, John", "Ulm "], "x": [1.5, -2.0],
    }  # fmt: skip
    some = read(tmp_path, "age,name\n30, Smith\n31, Ulm\n")
    assert some["name"].tolist() == [" Smith", " Ulm"]  # the header has none


def test_names_that_begin_with_spaces_come_back(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], " b": [" x", "y"]}).astype({" b": "str"})
    write_frame(tmp_path / "t.csv", frame)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.csv"), frame)


def test_lines_before_the_header_are_named(tmp_path):
    with pytest.raises(InputError, match=r"got 2 in line 2; remove lines that stand before"):
        read(tmp_path, "made in May\na,b\n1,2\n")


@given(st.text("'=+-@\t\r\n＝x, "))
def test_inert_and_original_are_inverses(text):
    assert original(inert(text)) == text
    assert not inert(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert inert(original(text)) == text or original(text) == text


def test_negative_numbers_are_no_formulas(tmp_path):
    write_frame(tmp_path / "t.csv", pd.DataFrame({"x": [-1, -2], "y": [-0.5, 1.0]}))
    assert (tmp_path / "t.csv").read_text() == "x,y\n-1,-0.5\n-2,1.0\n"


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "tsv.gz", "parquet"])
def test_pieces_make_the_same_table(tmp_path, ending):
    frame = pd.DataFrame({"c": pd.Series([None, *"abcdefg"], dtype="str"), "n": range(8)})
    write_frame(tmp_path / f"whole.{ending}", frame)
    write_frame(tmp_path / f"parts.{ending}", (frame[i : i + 3] for i in range(0, 8, 3)))
    one, two = (read_frame(tmp_path / f"{name}.{ending}") for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(one, frame)
    if ending == "csv.gz":
        assert gzip.decompress((tmp_path / "whole.csv.gz").read_bytes()).startswith(b"c,n\n")


def test_cells_of_a_tsv_file_stand_between_tabs_whatever_a_schema_says(tmp_path):
    path, german = tmp_path / "T.TSV", Dialect(separator=";", decimal=",")
    path.write_text("a;b,c\tx\n1;2,3\t0,5\n1;2,3\t1,5\n")
    frame = read_frame(path, overrides=Overrides(dialect=german))
    assert frame.to_dict("list") == {"a;b,c": ["1;2,3"] * 2, "x": [0.5, 1.5]}
    write_frame(tmp_path / "again.tsv", frame, german)
    assert (tmp_path / "again.tsv").read_text() == path.read_text()


def test_a_failure_leaves_nothing(tmp_path):
    def pieces():
        yield pd.DataFrame({"a": [1]})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frame(tmp_path / "t.csv", pieces())
    assert os.listdir(tmp_path) == []


def test_dates_and_categories_survive_parquet(tmp_path):
    frame = pd.DataFrame({
        "day": pd.to_datetime(["2020-01-01", None]).astype("datetime64[us]"),
        "size": pd.Categorical(["S", "L"], categories=["S", "M", "L"], ordered=True),
        "n": pd.Series([1, None], dtype="Int64"),
    })  # fmt: skip
    write_frame(tmp_path / "t.parquet", frame)
    again = read_frame(tmp_path / "t.parquet")
    codec = Codec.infer(again)
    pd.testing.assert_frame_equal(codec.decode(codec.encode(again)), again)
    assert again["size"].cat.ordered


def test_a_named_index_of_parquet_is_a_column(tmp_path):
    frame = pd.DataFrame({"height": [1.5, 1.7, 1.9], "weight": [50.0, 70.0, 60.0]})
    frame.set_index("height").to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.parquet"), frame)
