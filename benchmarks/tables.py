"""Synthetic tables: ours beside ForestDiffusion, SDV's copula, CTGAN and TVAE, and the trivial.

    python -m benchmarks.tables run --data DIR --peers PYTHON [--limit S] [--budget S] [--only ...]
    python -m benchmarks.tables tables

Six tables of DIR/tabular; half of the rows train, the others judge. Every maker reads the training
rows from a CSV file and writes as many, in a process of its own (``table_makers.py``) on one
thread; PYTHON is the interpreter of an environment with ``peers-tables.txt`` in it. All files are
then measured alike, in the metric of the codec of the training rows. Every case appends one JSON
line to ``results/tables.jsonl``; a call runs what is missing, small tables first, and with
``--only`` the cases whose keys hold one of the texts. Rows of a ``--limit`` that is not 300 say
how much faster we are than a fit that was killed, and are in no table. Run from the root of the
repository; read ``tables.md``.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks import resumable
from benchmarks.machine import ROOT, table
from benchmarks.table_makers import MAKERS
from wasserscore import distance
from wasserscore.core.random import Streams
from wasserscore.data import Dataset
from wasserscore.data.tables import Overrides, read_frame, write_frame
from wasserscore.data.tables.dataset import from_frame
from wasserscore.experiment.copies import audit_rows
from wasserscore.experiment.marginals import two_sample_accuracy
from wasserscore.experiment.usefulness import usefulness

Row = dict[str, Any]
TABLES = ("concrete", "abalone", "wine_quality", "power_plant", "california_housing", "adult")
TRIVIAL = ("bootstrap", "independent columns")
OURS = ("proximal", "proximal, per group", "kernel")
REAL = "real rows"
SEEDS = 3
ONE_THREAD = {"OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}
LIMIT = 300
"""Processor seconds that a fit may take."""
POINTS = 2000
"""Rows of each side in W2."""
JUDGED = 5000
"""Rows of each side, at most, in everything else."""
RESPLITS = 4


class Split:
    """One table, dealt by one seed: training rows as a file and as points, and rows that judge."""

    def __init__(self, name: str, seed: int, data: Path) -> None:
        frame = read_frame(next((data / "tabular").glob(f"{name}.csv*")))
        frame = frame.drop(columns="split", errors="ignore")  # adult's, which is no property
        order = torch.randperm(len(frame), generator=Streams(seed).generator("tables")).numpy()
        half = len(frame) // 2
        self.seed = seed
        self.frame = frame.iloc[order[:half]].reset_index(drop=True)
        # With a schema, if an empty one, a table of numbers has a codec too.
        self.train: Dataset = from_frame(self.frame, name=name, source="", overrides=Overrides())
        assert self.train.codec is not None
        self.codec = self.train.codec
        self.holdout = self.points(frame.iloc[order[half : half + JUDGED]])
        self.n = min(POINTS, len(self.holdout), half)
        self.sliced = partial(distance.sliced_w2, seed=seed)

    def points(self, frame: pd.DataFrame) -> Tensor:
        """Rows in the metric of the training rows."""
        return self.codec.encode(frame.reset_index(drop=True), exact=False)

    def floor(self) -> Row:
        """What real rows get: distances between fresh halves, training rows as if generated."""
        floors = {
            name: distance.noise_floor(
                metric, train=self.train.points, holdout=self.holdout, n=self.n,
                resplits=RESPLITS, seed=self.seed,
            ).floor.value
            for name, metric in (("w2", distance.w2), ("sliced_w2", self.sliced))
        }  # fmt: skip
        return (
            self.measured(self.train.points)
            | floors
            | {"exact": None, "copies": None, "verdict": ""}
        )

    def measured(self, found: Tensor) -> Row:
        """Everything that is asked of generated rows, in no order of their own."""
        found = found[torch.randperm(len(found), generator=Streams(self.seed).generator("rows"))]
        found, holdout = found[:JUDGED], self.holdout
        few = min(len(found), len(holdout))
        report = audit_rows(self.train, found, holdout, seed=self.seed)
        useful = usefulness(self.codec, found, self.train.points, holdout, seed=self.seed)
        told = two_sample_accuracy(found.numpy(), holdout.numpy(), seed=self.seed)
        assert useful.synthetic is not None
        assert useful.real is not None
        assert report.copy_rate_holdout is not None
        return {
            "w2": distance.w2(found[: self.n], holdout[: self.n]).value,
            "sliced_w2": self.sliced(found[: self.n], holdout[: self.n]).value,
            "told_apart": None if told is None else told.value,
            "coverage": distance.prdc(found[:few], holdout[:few]).coverage.value,
            "target": f"{useful.target}, {useful.score}",
            "synthetic": useful.synthetic.value,
            "real": useful.real.value,
            "exact": report.exact_rate.value,
            "copies": report.copy_rate.value,
            "copies_holdout": report.copy_rate_holdout.value,
            "verdict": report.verdict,
        }

    def trivial(self, name: str) -> Row:
        """Training rows drawn again, as rows or column by column."""
        rng, n = np.random.default_rng(self.seed), len(self.frame)
        if name == "bootstrap":
            drawn = self.frame.iloc[rng.integers(n, size=n)]
        else:
            columns = (self.frame[c].iloc[rng.permutation(n)] for c in self.frame)
            drawn = pd.concat([c.reset_index(drop=True) for c in columns], axis=1)
        return self.measured(self.points(drawn))

    def made(self, maker: str, python: str, limit: int) -> Row:
        """One maker: what it took, and how good its rows are; or why there are none."""
        with tempfile.TemporaryDirectory() as folder:
            write_frame(Path(folder) / "train.csv", self.frame)
            words = [maker, folder, str(self.seed), str(limit)]
            run = subprocess.run(
                [python, "-m", "benchmarks.table_makers", *words], cwd=ROOT, text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                env=os.environ | ONE_THREAD | {"PYTHONPATH": f"{ROOT / 'src'}"},
            )  # fmt: skip
            if run.returncode == -signal.SIGXCPU:
                return {"failed": f"over {limit} s"}
            if run.returncode:
                return {"failed": (run.stderr.strip().splitlines() or ["no message"])[-1][:200]}
            cost = json.loads((Path(folder) / "made.json").read_text())
            new = read_frame(Path(folder) / "synthetic.csv", like=self.codec)
        return cost | self.measured(self.points(new))


def cases(data: Path, peers: str, limit: int) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Seed by seed, small tables first."""
    split = cache(lambda name, seed: Split(name, seed, data))
    for seed in range(SEEDS):
        for name in TABLES:
            for law in (REAL, *TRIVIAL, *MAKERS):

                def case(name: str = name, seed: int = seed, law: str = law) -> Row:
                    this, row = split(name, seed), {"table": name, "law": law, "seed": seed}
                    if law == REAL:
                        return row | this.floor()
                    if law in TRIVIAL:
                        return row | this.trivial(law)
                    python = sys.executable if law in OURS else peers
                    return row | {"limit": limit} | this.made(law, python, limit)

                yield f"{name} | {law} | {seed}" + f" | {limit} s" * (limit != LIMIT), case


# Tables ------------------------------------------------------------------------------------------

COLUMNS = {
    "fit seconds": "fit s", "sample seconds": "sample s", "peak GB": "GB",
    "sliced_w2": "sliced W2", "w2": "W2", "told_apart": "told apart", "synthetic": "use",
    "coverage": "coverage", "exact": "exact", "copies": "near",
}  # fmt: skip
DIGITS = {"fit seconds": "{:.1f}", "sample seconds": "{:.1f}", "peak GB": "{:.2f}"}


def cells(rows: list[Row]) -> Row:
    """Means over seeds, as they are printed."""
    out: Row = {}
    for key, head in COLUMNS.items():
        values = [row[key] for row in rows if row.get(key) is not None]
        out[head] = DIGITS.get(key, "{:.3f}").format(statistics.mean(values)) if values else ""
    flagged = sum(row["verdict"] in ("memorized", "suspicious") for row in rows)
    return out | {"flagged": f"{flagged} of {len(rows)}"}


def report() -> None:
    rows = [row for row in resumable.read("tables") if row.get("limit", LIMIT) == LIMIT]
    for name in TABLES:
        here = [row for row in rows if row["table"] == name]
        real = [row for row in here if row["law"] == REAL]
        if not real:
            continue
        mean = lambda key, of=real: statistics.mean(row[key] for row in of)
        print(f"## {name}\n\nUse: {real[0]['target']}; real rows {mean('real'):.3f}. Near copies "
              f"among held-out rows: {mean('copies_holdout'):.3f}.\n")  # fmt: skip
        lines = []
        for law in (REAL, *TRIVIAL, *MAKERS):
            of = [row for row in here if row["law"] == law]
            done = [row for row in of if "failed" not in row]
            if of:
                why = "" if done else f" ({of[0]['failed']})"
                shown = cells(done) if done else dict.fromkeys([*COLUMNS.values(), "flagged"], "")
                lines.append({"law": law + why, "seeds": len(of)} | shown)
        print(table(lines), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "tables"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--limit", type=int, default=LIMIT, help="processor seconds of a fit")
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--only", nargs="+", default=[""])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "tables":
        report()
        return
    wanted = [
        (key, case) for key, case in cases(asked.data, asked.peers, asked.limit)
        if any(text in key for text in asked.only)
    ]  # fmt: skip
    if not resumable.run("tables", wanted, asked.budget):
        print("stopped by the budget; call again to go on\n")


if __name__ == "__main__":
    main()
