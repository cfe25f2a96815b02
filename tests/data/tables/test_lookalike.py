"""Text that looks like numbers or moments is not taken for names or levels in silence."""

import numpy as np
import pandas as pd
import pytest

from wasserscore.core.errors import InputError
from wasserscore.data.tables import Codec, Overrides
from wasserscore.data.tables.lookalike import lookalike
from wasserscore.data.tables.wish import Wish

NUMBERS = ["$1,200.50", "€ 5", "5 %", "5%", "1,200", "-1,5", "(1.200,50 €)", "USD 12", "12 EUR",
           "1'200", "1\u202f200,5"]  # fmt: skip
MOMENTS = ["2024-1-5", "1/5/2024", "1/5/24", "5-Jan-24", "05 January 2024", "Jan 5, 2024", "10:30",
           "10:30:00 PM", "2024-01-01 10:00:00.123", "2024-01-01T10:00:00+01:00",
           "05.03.24", "31-12-99"]  # fmt: skip
NEITHER = ["007", "12345", "01234", "A12", "P0001", "192.168.1.1", "1.10.23", "12-34-56", "1,2,3",
           "+49 170 1234567", "ABC 123", "978-3-16-148410-0", "3:1", "12 Main 33", "a,b", "-", "",
           "%", "$", "05.03-24"]  # fmt: skip


def test_prices_and_odd_dates_are_told_from_codes():
    for what, texts in (("numbers", NUMBERS), ("moments", MOMENTS), (None, NEITHER)):
        found = {text: lookalike([text]) for text in texts}
        assert {text: looks and looks.what for text, looks in found.items()} == dict.fromkeys(
            texts, what
        )
    assert lookalike(["none"] + ["5 %"] * 9)[:2] == ("numbers", "5 %")
    assert lookalike(["5 %"] * 8 + ["none"] * 2) is None


def test_plain_numbers_are_numbers_beside_dressed_ones_and_codes_are_not():
    assert lookalike(["3", "3.5", "5 %"])[:2] == ("numbers", "5 %")
    assert lookalike(["3", "3.5"]) is None
    assert lookalike(["007", "008", "5 %"]) is None


@pytest.mark.parametrize("cells", [
    ["3", "3,5", "4"], ["-0,25", "NA"] + ["1,5"] * 8, ["1,5e3", "2e-3", "2,5E-3"],
])  # fmt: skip
def test_decimal_commas_beside_other_cells_are_told_what_the_schema_says(cells):
    looks = lookalike(cells)
    assert looks.advice.startswith("say decimal = ',' in a schema, or write plain numbers")
    assert not lookalike([*cells, "5 %"]).advice.startswith("say")


PRICES = [f"$1,{i:03}.50" for i in range(100)]


def frame(cells):
    return pd.DataFrame({"x": np.arange(len(cells)) / 7, "cost": pd.Series(cells, dtype="str")})


def test_an_identifier_that_looks_like_numbers_is_refused():
    with pytest.raises(
        InputError, match=r"column 'cost' .* looks like numbers, got '\$1,000\.50'"
    ):
        Codec.infer(frame(PRICES))
    with pytest.raises(InputError, match=r"; say decimal = ',' in a schema, or write plain num"):
        Codec.infer(frame([f"{i},5" for i in range(100)]))
    with pytest.raises(InputError, match=r"looks like moments, got '1/1/2024'; write them all as"):
        Codec.infer(frame([f"{1 + i % 12}/{1 + i // 12}/2024" for i in range(100)]))
    days = [f"{1 + i % 28:02}.{1 + i // 28:02}.24" for i in range(100)]
    with pytest.raises(InputError, match=r"looks like moments, got '01\.01\.24'; .*%d\.%m\.%y"):
        Codec.infer(frame(days))
    read = Codec.infer(frame(days), Overrides({"cost": Wish(date="%d.%m.%y")})).columns[1]
    assert (read.kind, read.values) == ("datetime", "01.01.24 to 16.04.24")
    for kind in ("identifier", "categorical"):
        made = Codec.infer(frame(PRICES), Overrides({"cost": Wish(kind)}))
        assert made.columns[1].kind == kind


def test_levels_that_look_like_numbers_are_noted():
    codec = Codec.infer(frame([f"{1 + i % 5} %" for i in range(100)]))
    assert codec.notes == (
        "column 'cost' looks like numbers ('1 %'), and is taken as 5 levels without order: write "
        "plain numbers, such as 1200.5",
    )
    assert codec.table().endswith(codec.notes[0])
    assert Codec.infer(frame(["a", "b"] * 50)).notes == ()


def test_a_number_for_a_name_is_noted():
    codec = Codec.infer(frame(["a", "b"] * 50).rename(columns={"x": "39"}))
    assert codec.notes[0].startswith("column '39' has a number for a name")
