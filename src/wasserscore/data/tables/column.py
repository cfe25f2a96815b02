"""A column of a table, whatever its kind, and how it is read again."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wasserscore.core.errors import InputError, explain
from wasserscore.data.tables.category import Category, Constant, Identifier
from wasserscore.data.tables.grid import Grid
from wasserscore.data.tables.number import Number
from wasserscore.data.tables.storage import Storage

Column = Number | Category | Constant | Identifier
CLASSES = (Number, Category, Constant, Identifier)


def read_column(given: Mapping[str, Any]) -> Column:
    """The column that was written as JSON types.

    Raises:
        InputError: If it is of a kind that is not known.
    """
    kind = given["kind"]
    which = next((c for c in CLASSES if kind in c.KINDS), None)
    if which is None:
        raise InputError(explain("a column of the schema has an unknown kind", got=repr(kind)))
    known = {f.name for f in fields(which)}
    values = {key: value for key, value in given.items() if key in known}
    values["storage"] = Storage(**given["storage"])
    if values.get("grid") is not None:
        values["grid"] = Grid(**values["grid"])
    if given.get("atom") is not None:  # files from when there was one at most
        values["atoms"] = [given["atom"]]
    for name in ("levels", "seen", "atoms"):
        if name in values:
            values[name] = tuple(values[name])
    return which(**values)
