"""What the package asks pip for is what it imports."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import wasserscore

ROOT = Path(wasserscore.__file__).parent
PROJECT = ROOT.parents[1] / "pyproject.toml"
IMPORTED_AS = {"pot": "ot", "scikit-learn": "sklearn", "pillow": "PIL"}


def imported() -> set[str]:
    """First names of all modules that the sources import."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module))
    return {name.split(".")[0] for name in found}


@pytest.mark.skipif(not PROJECT.is_file(), reason="installed without its project file")
def test_every_dependency_is_imported():
    asked = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    names = [re.split(r"[<>=\[ ]", line)[0].lower() for line in asked]
    assert {IMPORTED_AS.get(name, name) for name in names} <= imported()
