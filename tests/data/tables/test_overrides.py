import json

import pytest

from wasserscore.core.errors import InputError
from wasserscore.data.tables import read_overrides
from wasserscore.data.tables.wish import Wish

TOML = """
missing = ["?"]
[columns.age]
kind = "integer"
low = 0
[columns."odd name"]
kind = "categorical"
levels = ["a", "b"]
"""


def test_toml_and_json_say_the_same(tmp_path):
    (tmp_path / "s.toml").write_text(TOML)
    found = read_overrides(tmp_path / "s.toml")
    assert found.missing == ("?",)
    assert found.columns["age"] == Wish("integer", low=0)
    assert found.columns["odd name"] == Wish("categorical", levels=("a", "b"))
    plain = {"missing": ["?"], "columns": {"age": {"kind": "integer", "low": 0}, "odd name": {
        "kind": "categorical", "levels": ["a", "b"]}}}  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(plain))
    assert read_overrides(tmp_path / "s.json") == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns = [", "s.toml cannot be read"),
        ("[column.age]\n", "keys columns, missing, separator, decimal, encoding, got column"),
        ("missing = 3", "list of texts, got 3"),
        ("separator = 3", r"separator must be text, got \[3\]"),
        ("[columns]\nage = 3", "column 'age' of the schema must be a table, got 3"),
        ("[columns.age]\nkinds = 'x'", "unknown key, got 'kinds'; use kind, low, high"),
        ("[columns.age]\nkind = 'x'", "must be one of numeric, .*, got 'x'"),
        ("[columns.age]\nlow = 'x'", "low of column 'age' must be float, got 'x'"),
        ("[columns.age]\nlow = true", "low of column 'age' must be float, got True"),
    ],
)
def test_nonsense_is_refused(tmp_path, text, message):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_overrides(tmp_path / "s.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_overrides(tmp_path / "none.toml")
