"""The kernel sum against ``cdist`` + ``softmax``, KeOps, smalldiffusion: milliseconds, errors.

    python -m benchmarks.kernel_engine [--quick] [--only "2000 x 10000"] [--budget SECONDS]
    make bench-peers

Normal queries and keys in float32, sigma in units of the data's size sqrt(d): .01 (few keys
matter), .1, 1 (all do). Every call runs in turn with its rivals, in one process: a turn is one
call to warm up and as many as take five milliseconds, at least one; times are medians of five
turns. Errors are those of the weighted mean against differences in float64, over sqrt(d), of 64
queries. KeOps is measured where it is installed, up to 2e10 multiplications for one product; it
needs a compiler. So is the ideal denoiser of smalldiffusion, which holds all pairs at once, up to
1e8. A stopped run goes on; ``--quick`` takes the smallest problems.
"""

import argparse
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import resumable
from benchmarks.machine import ROOT, table
from wasserscore.kernel import Keys, softmax_mean

NAME, REPEATS, WORK, SECONDS = "kernel_engine", 5, 2e10, 20.0
TURN = 5e-3
"""Seconds of calls in a row; a single call of a few microseconds measures what ran before it."""
QUERIES, KEYS, DIMENSIONS = (1, 64, 2000), (1000, 10_000, 100_000), (1, 2, 16, 64, 256, 784, 3072)
SIGMAS = (0.01, 0.1, 1.0)
PAIRS = 10**8
"""At most so many for who holds them all at once."""
Call = Callable[[], Tensor]


def naive(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """What one would write."""
    return torch.softmax(-torch.cdist(x, y).square_() / (2 * sigma**2), 1) @ y


def keops(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """The same with lazy tensors, compiled to one loop."""
    from pykeops.torch import LazyTensor

    squared = ((LazyTensor(x[:, None]) - LazyTensor(y[None])) ** 2).sum(-1)
    return (-squared / (2 * sigma**2)).sumsoftmaxweight(LazyTensor(y[None]), dim=1)


def ideal_denoiser(y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """smalldiffusion's, of a data set; from its file, as its package wants torchvision."""
    spec = importlib.util.find_spec("smalldiffusion")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "model.py"
    own = importlib.util.spec_from_file_location("smalldiffusion_model", file)
    assert own is not None
    assert own.loader is not None
    module = importlib.util.module_from_spec(own)
    own.loader.exec_module(module)
    noise = module.IdealDenoiser(y)
    return lambda x, sigma: x - sigma * noise(x, sigma)


def exact(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """By differences, float64, one query after another."""
    x, y = x.double(), y.double()
    logits = torch.stack([(row - y).square().sum(1) for row in x]) / (-2 * sigma**2)
    return torch.softmax(logits, 1) @ y


def medians(calls: dict[str, Call]) -> dict[str, float]:
    """Median milliseconds, all in turn so that the machine's mood is shared."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    counts = {name: max(1, round(TURN / seconds(call, 1))) for name, call in calls.items()}
    start = time.perf_counter()
    for k in range(REPEATS):
        for name, call in calls.items():
            times[name].append(seconds(call, counts[name]))
        if k >= 1 and time.perf_counter() - start > SECONDS:
            break
    return {name: 1e3 * statistics.median(each) for name, each in times.items()}


def seconds(call: Call, count: int) -> float:
    """Seconds of one of so many calls in a row, after another."""
    call()
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count


def measured(b: int, n: int, d: int, size: float) -> resumable.Row:
    """One problem."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(b, d, generator=generator), torch.randn(n, d, generator=generator)
    keys, sigma = Keys(y), size * math.sqrt(d)
    calls: dict[str, Call] = {
        "ours": lambda: softmax_mean(x, keys, sigma).mean,
        "cdist + softmax": lambda: naive(x, y, sigma),
    }
    if importlib.util.find_spec("pykeops") and b * n * d <= WORK:
        calls["KeOps"] = lambda: keops(x, y, sigma)
    if importlib.util.find_spec("smalldiffusion") and b * n <= PAIRS:
        denoise = ideal_denoiser(y)
        calls["smalldiffusion"] = lambda: denoise(x, torch.tensor(sigma))
    row: resumable.Row = {
        "B": b,
        "N": n,
        "d": d,
        "sigma": size,
        "threads": torch.get_num_threads(),
    }
    found = medians(calls)
    truth = exact(x[:64], y, sigma)
    for name in calls:
        row[f"{name}, ms"] = float(f"{found[name]:.3g}")
        if name != "ours":
            row[f"{name} / ours"] = round(found[name] / found["ours"], 2)
    for name, call in calls.items():
        error = (call()[:64].double() - truth).norm(dim=1).max() / math.sqrt(d)
        row[f"{name}, error"] = float(f"{float(error):.0e}")
    return row


def problems(quick: bool) -> Iterator[tuple[int, int, int, float]]:
    """The grid, small problems first."""
    for n, b, d, size in product(KEYS, QUERIES, DIMENSIONS, SIGMAS):
        if not (quick and b * n * d > 1e7):
            yield b, n, d, size


def cases(quick: bool, only: str) -> Iterator[tuple[str, Callable[[], resumable.Row]]]:
    for b, n, d, size in problems(quick):
        key = f"{b} x {n} x {d}, {size}"
        if key.startswith(only):
            yield key, lambda b=b, n=n, d=d, size=size: measured(b, n, d, size)


def figure(rows: list[resumable.Row], path: Path) -> None:
    """Ratios of 2,000 queries and 10,000 keys against dimension."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [r for r in rows if (r["B"], r["N"]) == (2000, 10_000)]
    if not shown:  # other sizes were asked for
        return
    peers = [p for p in ("cdist + softmax", "KeOps") if any(f"{p} / ours" in r for r in rows)]
    _, axes = plt.subplots(1, len(peers), figsize=(5 * len(peers), 3.6), squeeze=False)
    for ax, peer in zip(axes[0], peers, strict=True):
        for size in SIGMAS:
            line = [r for r in shown if r["sigma"] == size and r[f"{peer} / ours"] != ""]
            ax.plot([r["d"] for r in line], [r[f"{peer} / ours"] for r in line], "o-",
                    label=f"sigma = {size} sqrt(d)")  # fmt: skip
        ax.axhline(1, color="grey", lw=1)
        ax.set(xscale="log", yscale="log", xlabel="d", title=f"{peer} / ours, time")
    axes[0, -1].legend(loc="lower right")
    plt.tight_layout()
    plt.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="what a problem's name begins with")
    parser.add_argument("--budget", type=float, default=math.inf)
    options = parser.parse_args()
    resumable.run(NAME, cases(options.quick, options.only), options.budget)
    place = lambda row: [row[name] for name in ("B", "N", "d", "sigma")]
    known = sorted(resumable.read(NAME), key=place)  # rows measured anew come last in the file
    columns = max(known, key=len) if known else {}
    rows: list[resumable.Row] = [
        {name: row.get(name, "") for name in columns if name != "key"} for row in known
    ]
    print(table(rows))
    if not options.quick:
        figure(rows, ROOT / "docs" / "figures" / "kernel_engine.png")


if __name__ == "__main__":
    main()
