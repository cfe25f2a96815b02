"""Campaigns of many cases: one JSON line each, so that a stopped one goes on where it was."""

import json
import time
from collections.abc import Callable, Iterable

from benchmarks.machine import RESULTS, provenance

Row = dict[str, object]


def read(name: str) -> list[Row]:
    """Rows of ``results/NAME.jsonl`` so far, without the lines that say where."""
    path = RESULTS / f"{name}.jsonl"
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text().splitlines())
    return [row for row in rows if "machine" not in row]


def append(name: str, row: Row) -> None:
    with (RESULTS / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def run(name: str, cases: Iterable[tuple[str, Callable[[], Row]]], budget: float) -> bool:
    """Run the cases that are missing, for at most about ``budget`` seconds; whether none is."""
    path = RESULTS / f"{name}.jsonl"
    deadline = time.monotonic() + budget
    done = {row["key"] for row in read(name)}
    if not path.exists() or json.dumps(provenance()) not in path.read_text():
        append(name, provenance())
    for key, case in cases:
        if key in done:
            continue
        if time.monotonic() > deadline:
            return False
        append(name, {"key": key} | case())
    return True
