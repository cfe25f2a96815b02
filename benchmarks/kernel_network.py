"""The proximal kernel against a network with the same data on the same cores: quality by time.

    python -m benchmarks.kernel_network --data DIR [--budget SECONDS] [--shard K/N]
    python -m benchmarks.kernel_network --tables

Digits (scikit-learn's), 2,000 images of Fashion-MNIST, and three tables of DIR/tabular (numeric
columns): half the rows train (2,000 at most), others judge. All points are dequantised by one
lattice step and standardised together. The kernel is ``fit_proximal``; the network is the residual
perceptron of ``wasserscore run`` (width 256, 4 blocks), trained anew for 100, 400, 1,600 and 6,400
steps. Asked of each: held-out log-likelihood (200 rows; the network's by its probability flow),
W2 of 1,000 samples to held-out rows, and how often a gradient-boosted classifier tells samples
from held-out rows (0.5: it cannot). One JSON line per model and seed, seeds 0 to 2; a stopped run
goes on; ``--shard K/N`` takes every N-th case from K on. ``--tables`` prints them and draws
``docs/figures/kernel_network.png``.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import wasserscore as ws
from benchmarks import resumable
from benchmarks.machine import ROOT, table
from wasserscore.core.random import Streams
from wasserscore.data import lattice
from wasserscore.data.pictures import idx_array
from wasserscore.experiment.marginals import two_sample_accuracy
from wasserscore.process import EDM

NAME, SEEDS, TRAIN, ASKED, DRAWN = "kernel_network", 3, 2000, 200, 1000
SETS = ("digits", "fashion", "power_plant", "california_housing", "wine_quality")
STEPS = (100, 400, 1600, 6400)
TICKS = (1, 3, 10, 30, 100)
KERNEL = "proximal kernel"
MEASURES = {
    "nats": "held-out log-likelihood, nats",
    "w2": "W2 to held-out rows",
    "told_apart": "classifier accuracy, samples or held-out",
}


def raw(name: str, data: Path | None) -> np.ndarray:
    """All rows, data units."""
    if name == "digits":
        from sklearn.datasets import load_digits

        return np.asarray(load_digits().data)
    assert data is not None
    if name == "fashion":
        images = idx_array(data / "fashion-mnist/train-images-idx3-ubyte.gz")
        return images[:4000].reshape(-1, 784).astype(float)
    import pandas as pd

    rows = pd.read_csv(next((data / "tabular").glob(f"{name}.csv*"))).select_dtypes("number")
    return rows.dropna().to_numpy(float)


def halves(name: str, data: Path | None, seed: int) -> tuple[Tensor, Tensor]:
    """Training and held-out rows, dequantised, standardised (images by one factor)."""
    streams, rows = Streams(seed).child(name), torch.from_numpy(raw(name, data))
    rows = rows[:, rows.std(0) > 0]
    rows = rows[torch.randperm(len(rows), generator=streams.generator("order"))]
    steps = torch.tensor([lattice.lattice_step(column) for column in rows.T], dtype=rows.dtype)
    noise = torch.rand(rows.shape, generator=streams.generator("noise"), dtype=rows.dtype)
    rows = rows + (noise - 0.5) * steps
    n = min(TRAIN, len(rows) // 2)
    train, held = rows[:n], rows[n : n + TRAIN]
    spread = train.std() if name in ("digits", "fashion") else train.std(0)
    return (train - train.mean(0)) / spread, (held - train.mean(0)) / spread


def measured(name: str, model: str, data: Path | None, seed: int) -> resumable.Row:
    """One model of one split."""
    train, held = halves(name, data, seed)
    process, begin = EDM(sigma_max=80.0), time.perf_counter()
    if model == KERNEL:
        kernel = ws.fit_proximal(train, process, seed=seed)
        seconds = time.perf_counter() - begin
        drawn = kernel.sample_marginal(DRAWN, 0.0, generator=Streams(seed).generator("draw"))
        nats = float(kernel.log_prob(held[:ASKED]).mean())
    else:
        network = ws.networks.MLP(train.shape[1], 256, 4, seed=seed)
        score = ws.train_score(network, train.float(), process, steps=int(model), seed=seed)
        seconds = time.perf_counter() - begin
        drawn = ws.sample(score, DRAWN, steps=18, seed=seed).double()
        asked = ws.log_likelihood(score, held[:ASKED].float(), seed=seed)
        nats = asked.mean.value
    n = min(DRAWN, len(held))
    told_apart = two_sample_accuracy(drawn.numpy(), held.numpy(), seed=seed)
    assert told_apart is not None
    w2, floor = (float(ws.distance.w2(rows[:n], held[:n])) for rows in (drawn, train))
    return {
        "set": name, "model": model, "seed": seed, "rows": len(train), "columns": train.shape[1],
        "seconds": round(seconds, 2), "nats": round(nats, 3),
        "w2": round(w2, 4), "floor": round(floor, 4),
        "told_apart": round(told_apart.value, 4),
    }  # fmt: skip


def cases(data: Path | None) -> Iterator[tuple[str, Callable[[], resumable.Row]]]:
    """Every set, the kernel first, then longer and longer trainings; seed after seed."""
    for seed in range(SEEDS):
        for model in (KERNEL, *map(str, STEPS)):
            for name in SETS:
                run = lambda n=name, m=model, s=seed: measured(n, m, data, s)
                yield f"{name}, {model}, {seed}", run


def summary(rows: list[resumable.Row]) -> list[resumable.Row]:
    """Means over seeds, one row per set and model."""
    found = []
    for name in SETS:
        for model in (KERNEL, *map(str, STEPS)):
            mine = [r for r in rows if r["set"] == name and r["model"] == model]
            if mine:
                mean = lambda key, mine=mine: float(np.mean([float(str(r[key])) for r in mine]))
                found.append({
                    "set": name, "rows x columns": f"{mine[0]['rows']} x {mine[0]['columns']}",
                    "model": model if model == KERNEL else f"network, {model} steps",
                    "seeds": len(mine), "seconds": round(mean("seconds"), 1),
                    "nats": round(mean("nats"), 2), "w2": round(mean("w2"), 3),
                    "floor": round(mean("floor"), 3), "told_apart": round(mean("told_apart"), 3),
                })  # fmt: skip
    return found


def figure(rows: list[resumable.Row], path: Path) -> None:
    """Quality against training seconds: one row of axes per measure, one column per set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in SETS if any(r["set"] == name for r in rows)]
    fig, axes = plt.subplots(3, len(names), figsize=(3 * len(names), 7.5), sharex="col",
                             squeeze=False)  # fmt: skip
    for down, (key, title) in enumerate(MEASURES.items()):
        for across, name in enumerate(names):
            ax, mine = axes[down][across], [r for r in rows if r["set"] == name]
            trained = [r for r in mine if r["model"] != KERNEL]
            ax.plot([r["seconds"] for r in trained], [r[key] for r in trained], "o-",
                    color="#b35c1e", label="network")  # fmt: skip
            ax.plot([r["seconds"] for r in mine if r["model"] == KERNEL],
                    [r[key] for r in mine if r["model"] == KERNEL], "s", ms=9, color="#1f5fa8",
                    label=KERNEL)  # fmt: skip
            best = {"w2": mine[0]["floor"], "told_apart": 0.5}.get(key)
            if best is not None:
                ax.axhline(best, color="grey", ls=":", label="fresh rows")
            ax.set_xscale("log")
            ax.set_xticks(TICKS, map(str, TICKS))
            ax.minorticks_off()
            ax.set_xlim(0.5, 200)
            ax.set_title(f"{name}, {mine[0]['rows x columns']}" if down == 0 else "", fontsize=9)
            ax.set_xlabel("training seconds, 2 cores" if down == 2 else "")
            ax.set_ylabel(title if across == 0 else "", fontsize=8)
    axes[1][0].legend(fontsize=8)
    fig.tight_layout()
    fig.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--shard", type=resumable.shard, default="0/1", metavar="K/N")
    parser.add_argument("--tables", action="store_true")
    asked = parser.parse_args()
    mine = islice(cases(asked.data), asked.shard.start, None, asked.shard.step)
    if not asked.tables and not resumable.run(NAME, mine, asked.budget):
        print("stopped by the budget; call again to go on\n")
    found = summary(resumable.read(NAME))
    print(table(found))
    figure([{**r, "model": KERNEL if r["model"] == KERNEL else "network"} for r in found],
           ROOT / "docs" / "figures" / f"{NAME}.png")  # fmt: skip


if __name__ == "__main__":
    main()
