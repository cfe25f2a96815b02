"""A table of a million rows and thirty columns through the command line: seconds and memory.

    python -m benchmarks.tables_scale [--rows 1000000] [--folder FOLDER]

Ten measurements that share three hidden causes, five counts, four heavy tails, two amounts that
are mostly zero, five categories of 2 to 300 levels, a boolean, two dates and an identifier; six
columns have gaps. ``wasserscore fit`` holds half of the rows out and fits the proximal kernel to
the others, ``wasserscore sample`` writes as many rows as there are. Each is a process of its own
on one thread; memory is its largest resident set. Run from the root of the repository.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import ROOT, peak_bytes, save, table

LIMIT = 8.0
"""Gigabytes that each command may take."""
LEVELS = (2, 5, 12, 40, 300)


def mixed(n: int, seed: int = 0) -> pd.DataFrame:
    """The table."""
    rng = np.random.default_rng(seed)
    cause = rng.standard_normal((n, 3))
    lean = lambda: cause @ rng.standard_normal(3) / 3**0.5
    columns: dict[str, object] = {"customer_id": [f"C{i:08}" for i in range(n)]}
    for j in range(10):
        bent = lean() + 0.3 * lean() ** 2 + 0.3 * rng.standard_normal(n)
        columns[f"measure_{j}"] = np.round(50 + 12 * bent, 3)
    for j in range(5):
        columns[f"count_{j}"] = rng.poisson(np.exp(1.5 + 0.5 * lean()))
    for j in range(4):
        columns[f"amount_{j}"] = np.round(np.exp(4 + 1.6 * lean()), 2)
    for j in range(2):
        bought = rng.random(n) < 0.35
        columns[f"fee_{j}"] = np.where(bought, np.round(np.exp(3 + 0.4 * lean()), 2), 0.0)
    for k in LEVELS:
        rank = np.argsort(np.argsort(lean() + 0.5 * rng.standard_normal(n))) / n
        columns[f"kind_{k}"] = np.array([f"level {i}" for i in range(k)])[
            (rank**2 * k).astype(int)
        ]
    columns["member"] = lean() + rng.standard_normal(n) > 0.5
    for j in range(2):
        days = np.clip(1500 + 400 * lean(), 0, 3000).astype("timedelta64[D]")
        columns[f"date_{j}"] = np.datetime_as_string(np.datetime64("2016-01-01") + days)
    frame = pd.DataFrame(columns)
    for name in ("measure_0", "measure_1", "count_0", "amount_0", "kind_5", "date_1"):
        frame[name] = frame[name].astype(object).mask(rng.random(n) < 0.1)
    return frame


def measured(what: str, *words: object) -> dict[str, object]:
    """One command in a process of its own."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "wasserscore", what, *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}"},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    peak = 0.0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        with suppress(OSError, IndexError):  # it may end between the two
            peak = peak_bytes(process.pid) / 1e9
        time.sleep(0.05)
    _, status, used = ended
    return {
        "command": what,
        "status": os.waitstatus_to_exitcode(status),
        "seconds": round(time.perf_counter() - begin),
        "processor seconds": round(used.ru_utime + used.ru_stime),
        "peak GB": round(peak, 2),
        f"within {LIMIT:g} GB": peak <= LIMIT,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path, run = Path(folder) / "table.csv", Path(folder) / "run"
        frame = mixed(asked.rows)
        frame.to_csv(path, index=False)
        shape = {"rows": len(frame), "columns": frame.shape[1]}
        del frame
        rows = [
            shape | measured("fit", path, "--out", run, "--models", "proximal"),
            shape | measured("sample", run, "-n", asked.rows, "--out", Path(folder) / "new.csv"),
        ]
    save("tables_scale", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
