"""Every row of "One flow, many names" points at a test that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tests_that_the_page_names_exist():
    page = (ROOT / "docs/theory/flow.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    code = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert len(named) > 12
    assert not {name for name in named if f"def {name}(" not in code}
