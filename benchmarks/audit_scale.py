"""An audit of 100,000 rows against 100,000: peak memory and seconds, each in a fresh process.

    python -m benchmarks.audit_scale [--rows 100000] [--dimensions 2 16] [--threads 1]

Training, generated and held-out rows are normal draws. Memory is the largest resident set of the
process, the interpreter and its libraries included; "at rest" is what they take before the audit.
Run from the root of the repository.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmarks.machine import peak_bytes, save, table
from wasserscore.audit import audit

LIMIT = 2.0
"""Gigabytes that an audit of this size may take."""


def measured(n: int, d: int, threads: int) -> dict[str, Any]:
    """One audit, in this process."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    train, generated, holdout = (rng.standard_normal((n, d)) for _ in range(3))
    rest, begin = peak(), time.perf_counter()
    found = audit(train=train, generated=generated, holdout=holdout)
    return {
        "rows of each set": n, "d": d, "threads": threads,
        "seconds": round(time.perf_counter() - begin, 1),
        "processor seconds": round(time.process_time(), 1),
        "peak GB": round(peak(), 2), "at rest GB": round(rest, 2),
        f"under {LIMIT:g} GB": peak() < LIMIT, "verdict": found.verdict,
    }  # fmt: skip


def peak() -> float:
    """The largest resident set so far, in gigabytes."""
    return peak_bytes() / 1e9


def fresh(*words: object) -> dict[str, Any]:
    """``measured`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.audit_scale", "--one", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", type=int, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(*asked.one)))
        return
    rows = [fresh(asked.rows, d, asked.threads) for d in asked.dimensions]
    save("audit_scale", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
