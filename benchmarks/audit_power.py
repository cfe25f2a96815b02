"""How often are planted copies flagged, and how often fresh data?

    python -m benchmarks.audit_power [--budget SECONDS] [--data DIR] [--shard K/N] [--tables]

Every case splits a data set (digits, two moons, a table) afresh into training, generated and
held-out rows; 5 % of the generated rows become copies of training rows: exact, with uniform noise
of 1 % of each column's standard deviation, or, for digits, shifted by one pixel (seen as pixels
and as the sizes of Fourier coefficients, a feature map). Fresh: 200 splits; planted: 100. One
JSON line per audit; with a budget it stops in time and goes on from there at the next call.
``--shard K/N``, K from 0, takes every N-th of them, for N processes at a time. ``--tables`` prints
what there is; ``--data`` adds the wine-quality table in ``DIR/tabular``. Run from the root of the
repository.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import beta
from tests.audit.laws import plant, split

from benchmarks import resumable
from benchmarks.machine import table
from wasserscore.audit import audit
from wasserscore.audit.verdict import FALSE_POSITIVE_RATE

FRESH, PLANTED, SHARE = 200, 100, 0.05
NOISES = {"exact copies": 0.0, "copies with 1 % noise": 0.01}
SHIFTED = "copies shifted by a pixel"
SEEN, UNSEEN = "the same, by Fourier amplitudes", "nothing, by Fourier amplitudes"


def spectrum(rows: torch.Tensor) -> torch.Tensor:
    """Sizes of Fourier coefficients: what does not change when an image is shifted."""
    return torch.fft.rfft2(rows.reshape(-1, 8, 8)).abs().flatten(1)


def shifted(train: np.ndarray, generated: np.ndarray, seed: int) -> np.ndarray:
    """Copies moved one pixel to the right; background comes in on the left."""
    images = train.reshape(-1, 8, 8)
    moved = np.concatenate([np.full_like(images[:, :, :1], images.min()), images[:, :, :-1]], 2)
    return plant(moved.reshape(len(train), -1), generated, seed, SHARE)


def wine(folder: Path, seed: int) -> tuple[np.ndarray, ...]:
    """Thirds of the numeric columns of the wine-quality table, standardised."""
    import pandas as pd

    rows = pd.read_csv(folder / "tabular" / "wine_quality.csv.gz").select_dtypes("number")
    values = np.unique(rows.to_numpy(float), axis=0)  # bottles that came twice are not two
    values = (values - values.mean(0)) / values.std(0)
    order, third = np.random.default_rng(seed).permutation(len(values)), len(values) // 3
    return tuple(values[order[i * third : (i + 1) * third]] for i in range(3))


def cases(data: Path | None) -> Iterator[tuple[str, str, int]]:
    """(law, what is planted, seed), laws and plants taking turns."""
    laws = ["digits", "moons", "table", *(["wine"] if data else [])]
    for seed in range(FRESH):
        for law in laws:
            yield law, "nothing", seed
            if seed < PLANTED:
                yield from ((law, name, seed) for name in NOISES)
                if law == "digits":
                    yield from ((law, name, seed) for name in (SHIFTED, SEEN, UNSEEN))


def measured(law: str, planted: str, seed: int, data: Path | None) -> dict[str, Any]:
    """One audit."""
    train, rows, holdout = wine(data, seed) if law == "wine" and data else split(law, seed)
    if planted in NOISES:
        rows = plant(train, rows, seed, SHARE, NOISES[planted])
    elif planted in (SHIFTED, SEEN):
        rows = shifted(train, rows, seed)
    features = spectrum if planted in (SEEN, UNSEEN) else None
    begin = time.perf_counter()
    found = audit(train=train, generated=rows, holdout=holdout, features=features, seed=seed)
    return {
        "law": law, "planted": planted, "seed": seed, "n": len(train), "m": len(rows),
        "d": train.shape[1], "flagged": found.flagged, "verdict": found.verdict,
        "p_exact": found.p_exact, "p_copies": found.p_copies, "p_value": found.p_value,
        "seconds": round(time.perf_counter() - begin, 3),
    }  # fmt: skip


def audits(data: Path | None) -> Iterator[tuple[str, Callable[[], resumable.Row]]]:
    """All audits by key."""
    for law, planted, seed in cases(data):
        run = lambda law=law, planted=planted, seed=seed: measured(law, planted, seed, data)
        yield f"{law}, {planted}, {seed}", run


def report() -> str:
    """One row per law and plant, with 95 % Clopper-Pearson intervals."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in resumable.read("audit_power"):
        groups.setdefault((row["law"], row["planted"]), []).append(row)
    found = []
    for (law, planted), rows in sorted(groups.items(), key=lambda group: group[0][0]):
        n, k = len(rows), sum(row["flagged"] for row in rows)
        low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
        high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
        found.append({
            "law": law, "rows (train, generated, d)": f"{rows[0]['n']}, {rows[0]['m']}, "
            f"{rows[0]['d']}", "5 % planted": planted, "audits": n, "flagged": f"{k / n:.1%}",
            "95 % interval": f"{low:.1%} to {high:.1%}",
            "median seconds": f"{np.median([row['seconds'] for row in rows]):.2f}",
        })  # fmt: skip
    return table(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--shard", type=resumable.shard, default="0/1", metavar="K/N")
    parser.add_argument("--tables", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    mine = islice(audits(asked.data), asked.shard.start, None, asked.shard.step)
    if not asked.tables and not resumable.run("audit_power", mine, asked.budget):
        print("stopped by the budget; call again to go on\n")
    print(f"Nominal false-positive rate {FALSE_POSITIVE_RATE:.0%}.\n")
    print(report())


if __name__ == "__main__":
    main()
