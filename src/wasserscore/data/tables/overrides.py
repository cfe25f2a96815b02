"""The schema file: what a user says of columns, in TOML or JSON.

.. code-block:: toml

    missing = ["?", "unknown"]        # texts that mean "no value", beside the empty cell
    separator = ";"                   # of CSV files, that are read and that are written
    decimal = ","
    encoding = "cp1252"

    [columns.age]
    kind = "integer"
    low = 0
    high = 120

    [columns.patient]
    kind = "identifier"
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from wasserscore.core.errors import InputError, explain, require
from wasserscore.data.tables.category import Category, Constant, Identifier
from wasserscore.data.tables.dialect import Dialect
from wasserscore.data.tables.number import Number
from wasserscore.data.tables.wish import Wish

KINDS = (*Number.KINDS, *Category.KINDS, *Constant.KINDS, *Identifier.KINDS)
_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,), "low": (int, float), "high": (int, float), "atom": (int, float),
    "levels": (list,), "date": (str,),
}  # fmt: skip


@dataclass(frozen=True)
class Overrides:
    """What the user says of a table; whatever is not said is inferred.

    Args:
        columns: By column name.
        missing: Texts that mean a missing cell.
        dialect: How CSV files are written.
    """

    columns: Mapping[str, Wish] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    dialect: Dialect = field(default_factory=Dialect)

    def require_columns(self, names: tuple[str, ...]) -> None:
        """Every column that is spoken of must be there.

        Raises:
            InputError: Names the one that is not, and the nearest that is.
        """
        for name in self.columns:
            near = get_close_matches(name, names, n=1, cutoff=0.6)
            do = f"did you mean {near[0]!r}?" if near else "remove it"
            require(name in names, "the schema names a column that is not in the table",
                    got=repr(name), do=do)  # fmt: skip


def read_overrides(path: str | Path) -> Overrides:
    """The overrides of a ``.toml`` or ``.json`` file.

    Raises:
        InputError: If it cannot be read, or says something that means nothing.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(explain(f"the schema {file.name} cannot be read", got=str(error)[:200],
                                 do="give a TOML or JSON file")) from None  # fmt: skip
    return parse_overrides(found)


def parse_overrides(found: Any) -> Overrides:
    """Overrides from plain values: ``{"missing": [...], "columns": {name: {key: value}}}``."""
    written = [f.name for f in fields(Dialect)]
    require(isinstance(found, dict) and found.keys() <= {"columns", "missing", *written},
            f"a schema has the keys columns, missing, {', '.join(written)}",
            got=", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__,
            do='write [columns."NAME"] and below it kind = "categorical"')  # fmt: skip
    marks, columns = found.get("missing", []), found.get("columns", {})
    require(isinstance(marks, list) and all(isinstance(m, str) for m in marks),
            "missing must be a list of texts", got=repr(marks))  # fmt: skip
    require(isinstance(columns, dict), "columns must be tables by name", got=repr(columns))
    how = {key: found[key] for key in written if key in found}
    odd = [key for key, value in how.items() if not isinstance(value, str)]
    require(not odd, f"{' and '.join(odd)} must be text", got=repr([how[key] for key in odd]))
    return Overrides({name: _wish(name, given) for name, given in columns.items()}, tuple(marks),
                     Dialect(**how))  # fmt: skip


def _wish(name: str, given: Any) -> Wish:
    require(isinstance(given, dict), f"column {name!r} of the schema must be a table",
            got=repr(given))  # fmt: skip
    for key, value in given.items():
        require(key in _TYPES, f"column {name!r} of the schema has an unknown key", got=repr(key),
                do=f"use {', '.join(f.name for f in fields(Wish))}")  # fmt: skip
        good = isinstance(value, _TYPES[key]) and not isinstance(value, bool)
        require(good, f"{key} of column {name!r} must be {_TYPES[key][-1].__name__}",
                got=repr(value))  # fmt: skip
    kind = given.get("kind")
    require(kind is None or kind in KINDS, f"the kind of column {name!r} must be one of "
            + ", ".join(KINDS), got=repr(kind))  # fmt: skip
    levels = given.get("levels")
    return Wish(**{**given, "levels": None if levels is None else tuple(levels)})
