"""Issue H: tables. Rows that are there are read.

Tests: a thousand tables that come back exactly or are refused (``pytest -m slow
tests/data/tables/test_codec.py``), conditional rows against a known mixture and cells that look
like commands or markup (``tests/data/tables``, ``tests/report``, ``tests/cli``). The book's six
tables need ``--data DIR`` and its peers an environment of their own: ``tables.md`` says how to go
on with it.
"""

import json
import math
import statistics
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks import resumable, tables, tables_scale
from benchmarks.accept.check import NEEDS_DATA, Check, Outcome, Row, counted, saved
from benchmarks.table_makers import MAKERS

OURS = "proximal"
PEERS = tuple(name for name in MAKERS if name not in tables.OURS)
FOREST = "ForestDiffusion"
BOTH = ("told_apart", "sliced_w2")
MINUTES, GIGABYTES = 10, 4.0
ROWS = {"rows": 1_000_000}


def rivals(names: tuple[str, ...]) -> tuple[dict[str, list[Row]], list[Row], int]:
    """By "table, rival": rows of the rival with ours of the same split; all rows, and how many."""
    keys = [f"{table} | {name} | {seed}" for table in tables.TABLES for name in (OURS, *names)
            for seed in range(tables.SEEDS)]  # fmt: skip
    by = {row["key"]: row for row in resumable.read("tables") if row["key"] in keys}
    pairs: dict[str, list[Row]] = {}
    for row in by.values():
        mine = by.get(f"{row['table']} | {OURS} | {row['seed']}")
        if row["law"] in names and mine and "failed" not in mine:
            pairs.setdefault(f"{row['table']}, {row['law']}", []).append({"ours": mine} | row)
    return pairs, list(by.values()), len(keys)


def lost(pairs: dict[str, list[Row]]) -> dict[str, list[str]]:
    """The measures of ``BOTH`` in which a rival that made rows is nearer, means over splits."""
    mean = lambda rows, key: statistics.mean(row[key] for row in rows)
    found = {}
    for name, rows in pairs.items():
        if done := [row for row in rows if "failed" not in row]:
            ours = [row["ours"] for row in done]
            found[name] = [key for key in BOTH if mean(done, key) <= mean(ours, key)]
    return found


def trivial(scratch: Path) -> Outcome:
    """Training rows drawn again, and columns shuffled by themselves."""
    pairs, rows, wanted = rivals(tables.TRIVIAL)
    worse = {name: keys for name, keys in lost(pairs).items() if keys}
    text = f"{len(pairs) - len(worse)} of {len(pairs)} beaten in both"
    text += "".join(f"; {name} nearer in {' and '.join(keys)}" for name, keys in worse.items())
    return counted(text, not worse, rows, wanted)


def peers(scratch: Path) -> Outcome:
    """SDV's three and ForestDiffusion."""
    pairs, rows, wanted = rivals(PEERS)
    met = lost(pairs)
    beaten = [name for name, keys in met.items() if len(keys) == len(BOTH)]
    text = (f"{', '.join(beaten) or 'none'} of {len(met)} that made rows; "
            f"{len(pairs) - len(met)} made none")  # fmt: skip
    return counted(text, not beaten, rows, wanted)


def forest(scratch: Path) -> Outcome:
    """Seconds of a fit; of those of a table that were killed, the one allowed most counts."""
    pairs, rows, wanted = rivals((FOREST,))
    allowed: dict[str, int] = {}
    for row in resumable.read("tables"):  # some were tried again, for longer
        split = row["key"].removesuffix(f" | {row.get('limit')} s")
        allowed[split] = max(allowed.get(split, 0), row.get("limit", tables.LIMIT))
    took = lambda row: row.get("fit seconds", allowed[row["key"]])
    most = lambda of: max((took(row) for row in of if "failed" in row), default=0)
    ratios = {
        name: statistics.mean(
            took(row) / took(row["ours"]) for row in of
            if "failed" not in row or took(row) == most(of)
        )
        for name, of in pairs.items()
        if all(row.get("failed", "over").startswith("over") for row in of)
    }  # fmt: skip
    killed = lambda name: "at least " * any("failed" in row for row in pairs[name])
    text = ", ".join(f"{name} {killed(name)}{ratio:.0f} times" for name, ratio in ratios.items())
    return counted(text, min(ratios.values(), default=math.nan) >= 10, rows, wanted)


def copies(scratch: Path) -> Outcome:
    """The audit of our rows, a test at 2 %, and shares of near copies beside held-out rows'."""
    _, rows, wanted = rivals(())
    flagged = sum(row["verdict"] in ("memorized", "suspicious") for row in rows)
    share = lambda key: [row[key] for row in rows]
    text = (f"{flagged} of {len(rows)} flagged; near copies {max(share('copies')):.1%} at most, "
            f"held-out rows {min(share('copies_holdout')):.1%} at least; exact "
            f"{max(share('exact')):.1%}")  # fmt: skip
    return counted(text, flagged == 0, rows, wanted)


def adult(data: Path | None) -> Outcome:
    """48,842 rows: fitted to half of them, sampled as many, audited, each in its own process."""
    if data is None:
        return NEEDS_DATA
    frame = pd.read_csv(data / "tabular" / "adult.csv.gz")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        source, run, new = here / "adult.csv", here / "run", here / "new.csv"
        frame.to_csv(source, index=False)
        done = [tables_scale.measured("fit", source, "--out", run, "--models", OURS),
                tables_scale.measured("sample", run, "-n", len(frame), "--out", new)]  # fmt: skip
        split = json.loads((run / "split.json").read_text())
        for part in ("train", "holdout"):
            frame.iloc[split[part]].to_csv(here / f"{part}.csv", index=False)
        words = (here / "train.csv", new, "--holdout", here / "holdout.csv")
        done.append(tables_scale.measured("audit", *words))
    text = ", ".join(f"{row['command']} {row['seconds']} s, {row['peak GB']} GB" for row in done)
    minutes, peak = sum(row["seconds"] for row in done) / 60, max(row["peak GB"] for row in done)
    worked = all(row["status"] == 0 for row in done)
    return Outcome(text, worked and minutes < MINUTES and peak <= GIGABYTES)


def million(scratch: Path) -> Outcome:
    """A million rows of thirty columns through the command line."""
    rows = saved("tables_scale", "tables_scale", like=ROWS)
    text = ", ".join(f"{row['command']} {row['seconds']} s, {row['peak GB']} GB" for row in rows)
    limit = tables_scale.LIMIT
    return Outcome(text, all(row["status"] == 0 and row["peak GB"] <= limit for row in rows))


CHECKS = [
    Check("trivial baselines", "beaten in two-sample accuracy and in sliced W2, every table",
          trivial),
    Check("peers", "none better in two-sample accuracy and in sliced W2 at once", peers),
    Check("beside ForestDiffusion", "fitted >= 10 times as fast, every table", forest),
    Check("copies", "no more frequent than in held-out rows, by a test at 2 %", copies),
    Check("adult", f"fit, 48,842 samples and audit under {MINUTES} min and {GIGABYTES:g} GB",
          adult, data=True),
    Check("a million rows", f"30 columns within {tables_scale.LIMIT:g} GB", million),
]  # fmt: skip
