"""One acceptance number: what is asked, how it is measured, what came out."""

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import resumable
from benchmarks.machine import RESULTS, ROOT, commit

Row = dict[str, Any]
Case = tuple[str, Callable[[], Row]]


@dataclass(frozen=True)
class Outcome:
    """What a check saw.

    Args:
        measured: The numbers, as a reader wants them.
        passed: Whether they meet the target.
        complete: Whether all that was asked for is measured; if not, the next call tries again.
    """

    measured: str
    passed: bool
    complete: bool = True


@dataclass(frozen=True)
class Check:
    """An acceptance number.

    Args:
        name: Short, unique in its issue.
        target: What is asked for.
        measure: Measures it; takes the folder for its scratch files.
        data: Whether ``measure`` takes the folder of the data sets instead, None if not given.
    """

    name: str
    target: str
    measure: Callable[[Any], Outcome]
    data: bool = False


NEEDS_DATA = Outcome("not run: needs --data DIR", passed=False, complete=False)


def unmeasured(why: str) -> Outcome:
    """No number, and why."""
    return Outcome(f"not run: {why}", passed=False, complete=False)


def counted(text: str, passed: bool, rows: list[Row], wanted: int) -> Outcome:
    """An outcome of rows; it fails, whatever they say, while there are fewer than wanted."""
    complete = len(rows) >= wanted
    there = "" if complete else f"{len(rows)} of {wanted} rows: "
    return Outcome(there + text, passed and complete, complete)


def campaign(name: str, cases: Iterable[Case], *, long: bool = False) -> tuple[list[Row], int]:
    """Rows of these cases in ``results/NAME.jsonl``, and how many cases there are.

    Missing ones are run first. A ``long`` campaign, of many hours, is only begun here: once there
    are rows, its own script goes on with it.
    """
    cases = list(cases)
    if not (long and resumable.read(name)):
        torch.set_num_threads(1)
        resumable.run(name, cases, math.inf)
    keys = {key for key, _ in cases}
    return [row for row in resumable.read(name) if row["key"] in keys], len(cases)


def script(*command: object) -> None:
    """A benchmark in a process of its own, if every word of its command line is known."""
    if command and None not in command:
        call = [sys.executable, "-m", f"benchmarks.{command[0]}", *map(str, command[1:])]
        subprocess.run(call, cwd=ROOT, check=True)


def saved(name: str, *command: object, like: Mapping[str, object] | None = None) -> list[Row]:
    """Rows of ``results/NAME.json`` with these values; without any, ``script`` is run first."""

    def read() -> list[Row]:
        path = RESULTS / f"{name}.json"
        rows = json.loads(path.read_text())["rows"] if path.exists() else []
        return [row for row in rows if (like or {}).items() <= row.items()]

    if not (rows := read()):
        script(*command)
        rows = read()
    return rows


def each(scratch: Path, seeds: range, measure: Callable[[int], Row]) -> list[Row]:
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


def run(
    letter: str, checks: list[Check], *, again: bool, only: str, data: Path | None
) -> list[dict[str, object]]:
    """Measure what is not yet in ``benchmarks/results/accept-LETTER.json``; save after each."""
    path = RESULTS / f"accept-{letter}.json"
    known = {row["check"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    for check in checks:
        done = known.get(check.name, {"complete": False}).get("complete", True)
        if only not in check.name or (done and not again):
            continue
        scratch = Path("runs") / "accept" / letter / check.name.replace(" ", "-")
        if again and scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        outcome = check.measure(data if check.data else scratch)
        known[check.name] = {
            "check": check.name,
            "target": check.target,
            "measured": outcome.measured,
            "passed": outcome.passed,
            **({} if outcome.complete else {"complete": False}),
            "seconds": round(time.perf_counter() - start, 1),
            "commit": commit(),
        }
        rows = [known[c.name] for c in checks if c.name in known]
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return [known[c.name] for c in checks if c.name in known]
