"""One acceptance number: what is asked, how it is measured, what came out."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, commit


@dataclass(frozen=True)
class Outcome:
    """What a check saw.

    Args:
        measured: The numbers, as a reader wants them.
        passed: Whether they meet the target.
    """

    measured: str
    passed: bool


@dataclass(frozen=True)
class Check:
    """An acceptance number.

    Args:
        name: Short, unique in its issue.
        target: What is asked for.
        measure: Measures it; takes the folder for its scratch files.
    """

    name: str
    target: str
    measure: Callable[[Path], Outcome]


def each(
    scratch: Path, seeds: range, measure: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """One row per seed, kept in ``scratch``: an interrupted check goes on where it was."""
    path = scratch / "seeds.jsonl"
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {row["seed"]: row for row in known}
    for seed in seeds:
        if seed not in done:
            done[seed] = {"seed": seed, **measure(seed)}
            print(f"{scratch.name}: {done[seed]}", flush=True)
            with path.open("a") as file:
                file.write(json.dumps(done[seed]) + "\n")
    return [done[seed] for seed in seeds]


def run(letter: str, checks: list[Check], *, again: bool, only: str) -> list[dict[str, object]]:
    """Measure what is not yet in ``benchmarks/results/accept-LETTER.json``; save after each."""
    path = RESULTS / f"accept-{letter}.json"
    known = {row["check"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    for check in checks:
        if only not in check.name or (check.name in known and not again):
            continue
        scratch = Path("runs") / "accept" / letter / check.name.replace(" ", "-")
        if again and scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        outcome = check.measure(scratch)
        known[check.name] = {
            "check": check.name,
            "target": check.target,
            **asdict(outcome),
            "seconds": round(time.perf_counter() - start, 1),
            "commit": commit(),
        }
        rows = [known[c.name] for c in checks if c.name in known]
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return [known[c.name] for c in checks if c.name in known]
