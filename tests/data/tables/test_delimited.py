"""CSV files of all countries: read as they are written, or refused by line."""

import pandas as pd
import pytest

from wasserscore.core.errors import InputError
from wasserscore.data import load
from wasserscore.data.tables import Codec, Overrides, read_frame, write_frame
from wasserscore.data.tables.dialect import Dialect


def read(tmp_path, data, **dialect):
    path = tmp_path / "t.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_frame(path, overrides=Overrides(dialect=Dialect(**dialect)))


@pytest.mark.parametrize(("rows", "line", "cells"), [
    ("1,2,x\n3,4", 3, 2), ("1,2,x\n3,4,x,y\n5,6,z\n", 3, 4), ('1,2,"a\nb"\n\n3,4\n', 5, 2),
])  # fmt: skip
def test_a_broken_row_is_refused_by_its_line(tmp_path, rows, line, cells):
    with pytest.raises(InputError, match=f"3 cells in every row.*got {cells} in line {line}; cor"):
        read(tmp_path, "a,b,c\n" + rows)


def test_a_quote_that_never_ends_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"t\.csv cannot be read"):
        read(tmp_path, 'a,b\n1,"x\n2,y\n')


def test_blank_lines_are_no_rows_and_empty_cells_are(tmp_path):
    assert read(tmp_path, "a,b\n\n1,x\n  \n2,y\n,\n").isna().sum().tolist() == [1, 1]
    assert read(tmp_path, 'a\n1\n""\n3\n\n')["a"].isna().tolist() == [False, True, False]


def test_a_first_row_of_values_is_no_header(tmp_path):
    rows = "39,State-gov,12.5\n50,Private,13\n38,Private,9\n21,State-gov,7\n"
    message = r"must name the columns, got '39', '12\.5', 'State-gov', as in the rows.*write a hea"
    with pytest.raises(InputError, match=message):
        read(tmp_path, rows)
    with pytest.raises(InputError, match="must name the columns, got 'red', 'big'"):
        read(tmp_path, "red,big\nblue,big\nred,small\n")
    years = read(tmp_path, "country,2019,2020\nA,1,2\nB,3,4\n")
    assert years.columns.tolist() == ["country", "2019", "2020"]
    assert read(tmp_path, "1,2\n3,4\n").to_numpy().tolist() == [[1, 2], [3, 4]]
    assert read(tmp_path, "1,5;2\n3;4\n", decimal=",").to_numpy().tolist() == [[1.5, 2], [3, 4]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_seen_in_the_first_row(tmp_path, separator):
    rows = [["name of", '"a;b"', "x"], ['"M, ""U"""', "2", "1.5"], ["k", "3", "2"]]
    found = read(tmp_path, "\n".join(map(separator.join, rows)))
    assert found.columns.tolist() == ["name of", "a;b", "x"]
    assert found.to_numpy().tolist() == [['M, "U"', 2, 1.5], ["k", 3, 2.0]]


def test_a_named_separator_goes_before_the_seen_one(tmp_path):
    assert read(tmp_path, "a,b;c\n1,2;3\n2,1;4\n", separator=";").columns.tolist() == ["a,b", "c"]


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
def test_a_line_that_says_the_separator_is_no_row(tmp_path, line):
    """As Excel writes it; here the header has more commas."""
    text = f"{line}\r\na,b,c;x\r\n1,5;2\r\n3;4\r\n"
    for data in (text, text.encode("utf-16"), text.encode("utf-8-sig")):
        found = read(tmp_path, data, decimal=",")
        assert found.columns.tolist() == ["a,b,c", "x"]
        assert found.to_numpy().tolist() == [[1.5, 2], [3, 4]]
    assert read(tmp_path, "sep=\t\na,b\tx\n1\t2\n").columns.tolist() == ["a,b", "x"]
    assert read(tmp_path, f"{line}\na,b;c\n1,2;3\n", separator=",").columns.tolist() == [
        "a",
        "b;c",
    ]
    with pytest.raises(InputError, match="2 cells in every row, as in its first, got 1 in line 4"):
        read(tmp_path, "sep=,\na,b\n1,2\n3\n")
    with pytest.raises(InputError, match="must hold a table, got an empty"):
        read(tmp_path, "sep=;\n")


def test_a_separator_that_a_line_may_not_say_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"line 1 of t.csv says sep=:, but separator must be .* ':'"
    ):
        read(tmp_path, "sep=:\na:b\n1:2\n")
    with pytest.raises(InputError, match=r"must differ, got ','; write separator = ... in the s"):
        read(tmp_path, "sep=,\na,b\n1,2\n", decimal=",")
    assert read(tmp_path, "sep=ab;x\n1;2\n").columns.tolist() == ["sep=ab", "x"]


def test_the_line_with_the_separator_is_read_and_not_written(tmp_path):
    (tmp_path / "s.toml").write_text("decimal = ','\n")
    (tmp_path / "t.csv").write_text("sep=;\nx;k\n1,5;a\n2,5;b\n")
    made = load(tmp_path / "t.csv", schema=tmp_path / "s.toml")
    write_frame(tmp_path / "new.csv", made.frame(made.points), made.codec.dialect)
    assert (tmp_path / "new.csv").read_text() == "x;k\n1,5;a\n2,5;b\n"
    again = load(tmp_path / "new.csv", schema=tmp_path / "s.toml")
    assert again.codec == made.codec


def test_decimal_commas_that_nobody_named_are_told_how(tmp_path):
    say = r"say decimal = ',' in a schema"
    numbers = "".join(f"{i};{j}\n" for i, j in enumerate(["1", "2", "3", "4,5"]))
    with pytest.raises(InputError, match=rf"example '4,5' at row 3; {say}, or write plain"):
        read(tmp_path, "n;x\n" + numbers)
    halves = "".join(f"{'abc'[i % 3]};{str(i % 8 / 2).replace('.', ',')}\n" for i in range(90))
    (tmp_path / "t.csv").write_text("k;x\n" + halves.replace(",0", ""))
    (note,) = load(tmp_path / "t.csv").codec.notes
    assert note.startswith("column 'x' looks like numbers ('0,5'), and is taken as 8 levels")
    assert say in note


def test_a_decimal_comma_is_one_where_the_schema_says_so(tmp_path):
    text = "n;x;word\n1;1,5;1.5\n2;-0,25e1;2.5\n;;3.5\n"
    found = read(tmp_path, text, decimal=",")
    assert found["x"].tolist()[:2] == [1.5, -2.5]
    assert found["word"].tolist() == ["1.5", "2.5", "3.5"]  # a point is no decimal comma
    assert read(tmp_path, text)["word"].tolist() == [1.5, 2.5, 3.5]


def test_letters_are_read_in_the_encoding_of_the_file(tmp_path):
    text, names = "city,n\nKöln,1\nMálaga,2\n", ["Köln", "Málaga"]
    for code in ("utf-8", "utf-8-sig", "utf-16"):
        assert read(tmp_path, text.encode(code))["city"].tolist() == names
    for code in ("cp1252", "latin-1", "utf-16-le"):
        assert read(tmp_path, text.encode(code), encoding=code)["city"].tolist() == names
        with pytest.raises(InputError, match=r"t\.csv must be written in UTF-8.*encoding = 'cp12"):
            read(tmp_path, text.encode(code))
    with pytest.raises(InputError, match="must be written in encoding 'utf-16'"):
        read(tmp_path, text, encoding="utf-16")


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("dialect", [
    Dialect(), Dialect(decimal=","), Dialect("\t", ",", "utf-16"), Dialect(";", ".", "cp1252"),
])  # fmt: skip
def test_what_is_written_in_a_dialect_is_read_in_it(tmp_path, ending, dialect):
    frame = pd.DataFrame({
        "x": [1.5, None, -0.25], "k": pd.Series(["ä;1,2", "=ü\r\n", None], dtype="str"),
        "n": range(3),
    })  # fmt: skip
    path = tmp_path / f"t.{ending}"
    write_frame(path, [frame[:2], frame[2:]], dialect)
    pd.testing.assert_frame_equal(read_frame(path, overrides=Overrides(dialect=dialect)), frame)


def test_a_codec_keeps_the_dialect_of_its_table(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.5], "k": ["a", "b"]})
    codec = Codec.infer(frame, Overrides(dialect=Dialect(decimal=",")))
    assert Codec.from_dict(codec.to_dict()) == codec
    assert Codec.infer(frame).to_dict().keys() == {"version", "columns"}
    (tmp_path / "s.toml").write_text("decimal = ','\n")
    write_frame(tmp_path / "t.csv", frame, codec.dialect)
    assert load(tmp_path / "t.csv", schema=tmp_path / "s.toml").codec.dialect.decimal == ","


@pytest.mark.parametrize(("given", "message"), [
    ({"separator": ":"}, "separator must be one of , ; | and the tab, got ':'"),
    ({"separator": ",", "decimal": ","}, "separator and decimal must differ"),
    ({"decimal": "'"}, "decimal must be . or ,"),
    ({"encoding": "klingon"}, "encoding must be a code of letters, got 'klingon'"),
])  # fmt: skip
def test_a_dialect_that_is_none_is_refused(given, message):
    with pytest.raises(InputError) as refused:
        Dialect(**given)
    assert message in str(refused.value)
