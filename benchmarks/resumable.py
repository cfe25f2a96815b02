"""Campaigns of many cases: one JSON line each, so that a stopped one goes on where it was."""

import json
import time
from collections.abc import Callable, Iterable

from benchmarks.machine import RESULTS, provenance

Row = dict[str, object]


def shard(text: str) -> slice:
    """Every N-th case from K on, given "K/N": N processes share a campaign and its file."""
    k, n = map(int, text.split("/"))
    if not 0 <= k < n:
        raise ValueError("K/N needs 0 <= K < N")
    return slice(k, None, n)


def read(name: str) -> list[Row]:
    """Rows of ``results/NAME.jsonl`` so far, without the lines that say where."""
    path = RESULTS / f"{name}.jsonl"
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text().splitlines())
    return [row for row in rows if "machine" not in row]


def run(name: str, cases: Iterable[tuple[str, Callable[[], Row]]], budget: float) -> bool:
    """Run the cases that are missing, for at most about ``budget`` seconds; whether none is.

    Rows follow the line that says where they were measured, written with the first of them.
    """
    path, deadline = RESULTS / f"{name}.jsonl", time.monotonic() + budget
    done, here = {row["key"] for row in read(name)}, json.dumps(provenance())
    lines = path.read_text().splitlines() if path.exists() else []
    stamp = next((line for line in reversed(lines) if "machine" in json.loads(line)), "")
    for key, case in cases:
        if key in done:
            continue
        if time.monotonic() > deadline:
            return False
        row = json.dumps({"key": key} | case())
        with path.open("a") as file:
            file.write(row + "\n" if stamp == here else f"{here}\n{row}\n")
        stamp = here
    return True
