"""Issue G: the kernel engine beside its rivals. Rows that are there are read.

The grid of accuracy (``pytest -m slow tests/kernel/test_ways.py``), sums sharded over processes
(``test_sharded.py``), the count of operations (``test_work.py``) and the fused kernel in
interpreter mode (``test_fused.py``) are tests. The grid of rivals takes hours, and KeOps a
compiler: ``make bench-peers`` goes on with it (it leaves KeOps out of 2,000 queries in 784
coordinates). The GPU needs one: ``python -m benchmarks.kernel_gpu`` and ``pytest -m gpu
tests/kernel``.
"""

import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import torch

from benchmarks import kernel_engine
from benchmarks.accept.check import (
    Case,
    Check,
    Outcome,
    Row,
    campaign,
    counted,
    each,
    saved,
    unmeasured,
)
from benchmarks.kernel_engine import NAME, SIGMAS
from benchmarks.out_of_core import Peak
from wasserscore.core.products import product as product_of
from wasserscore.kernel import Keys, softmax_mean

KEOPS = {2: 3, 64: 6, 784: 20}
NAIVE = {2: 4, 64: 3, 784: 1.4}
IDEAL = {2: 5, 64: 5, 784: 5}
"""How many times as fast, by dimension, for 2,000 queries and 10,000 keys."""
QUERIES, KEYS = 2000, 10_000
PRODUCTS = tuple(product((256, 784), SIGMAS))
SHARE = 0.85
LARGE = (10_000, 200_000, 64)
MEGABYTES = 600
SIZES = {"sliced_w2": 20_000, "w2": 10_000, "mmd": 100_000, "ksd": 100_000}
GPU_SHARE = 0.6
FASTER = 1.5


def grid() -> list[Case]:
    return list(kernel_engine.cases(quick=False, only=""))


def beside(peer: str, least: dict[int, float]) -> Outcome:
    """Times of a rival over ours, at every width of the kernel."""
    asked = {f"{QUERIES} x {KEYS} x {d}, {size}" for d in least for size in SIGMAS}
    rows, wanted = campaign(NAME, [case for case in grid() if case[0] in asked], long=True)
    rows = [row for row in rows if f"{peer} / ours" in row]
    found = {d: [row[f"{peer} / ours"] for row in rows if row["d"] == d] for d in least}
    text = "; ".join(f"d = {d}: {', '.join(map(str, ratios)) or 'not run'} (>= {least[d]})"
                     for d, ratios in found.items())  # fmt: skip
    fast = all(ratio >= least[d] for d, ratios in found.items() for ratio in ratios)
    return counted(text, fast, rows, wanted)


def never_slower(scratch: Path) -> Outcome:
    """All of the grid: by more than 10 % or 20 microseconds, whichever is larger."""
    rows, _ = campaign(NAME, grid(), long=True)
    wanted = math.prod(len(side) for side in (kernel_engine.QUERIES, kernel_engine.KEYS,
                                              kernel_engine.DIMENSIONS, SIGMAS))  # fmt: skip
    naive = "cdist + softmax"
    slower = [r for r in rows if r["ours, ms"] - r[f"{naive}, ms"]
              > max(0.1 * r[f"{naive}, ms"], 0.02)]  # fmt: skip
    worst = min(rows, key=lambda row: row[f"{naive} / ours"])
    text = (f"slower in {len(slower)} of {len(rows)} (few queries: "
            f"{sum(row['B'] <= 64 for row in slower)}), worst {worst[f'{naive} / ours']} at "
            f"{worst['key']}")  # fmt: skip
    return counted(text, not slower, rows, wanted)


def errors(scratch: Path) -> Outcome:
    """Largest errors of the same problems, in units of the data's size."""
    rows, wanted = campaign(NAME, grid(), long=True)
    largest = {name: max(row.get(f"{name}, error", 0.0) for row in rows)
               for name in ("ours", "cdist + softmax", "KeOps")}  # fmt: skip
    text = ", ".join(f"{name} {value:.0e}" for name, value in largest.items())
    return counted(text, largest["ours"] <= 1e-5, rows, wanted)


def products(scratch: Path) -> Outcome:
    """The two matrix products of a sum, alone and by the same library, over the sum."""
    torch.set_num_threads(1)

    def one(k: int) -> Row:
        (d, size), generator = PRODUCTS[k], torch.Generator().manual_seed(0)
        draw = lambda *shape: torch.randn(*shape, generator=generator)
        x, y, weights = draw(QUERIES, d), draw(KEYS, d), draw(QUERIES, KEYS)
        keys, sigma = Keys(y), size * math.sqrt(d)
        found = kernel_engine.medians({
            "ours": lambda: softmax_mean(x, keys, sigma).mean,
            "products": lambda: (product_of(x, y.mT), product_of(weights, y))[1],
        })  # fmt: skip
        return {"d": d, "sigma": size, "share": round(found["products"] / found["ours"], 2)}

    rows = each(scratch, range(len(PRODUCTS)), one)
    text = ", ".join(f"d = {row['d']}, sigma {row['sigma']}: {row['share']:.0%}" for row in rows)
    return Outcome(text, all(row["share"] >= SHARE for row in rows))


def megabytes_above() -> float:
    """What a large sum holds beside queries and keys, in this process."""
    torch.set_num_threads(1)
    (b, n, d), generator = LARGE, torch.Generator().manual_seed(0)
    x, y = (torch.randn(size, d, generator=generator) for size in (b, n))
    softmax_mean(x[:8], Keys(y[:100]), 1.0)  # what libraries take when they are first asked
    with Peak() as before:
        time.sleep(0.1)
    with Peak() as peak:
        keys = Keys(y)
        for size in SIGMAS:
            softmax_mean(x, keys, size * math.sqrt(d))
    return 1000 * (peak.gigabytes - before.gigabytes)


def memory(scratch: Path) -> Outcome:
    """In a fresh process, all three widths."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        found = fresh.submit(megabytes_above).result()
    return Outcome(f"{found:.0f} MB above the inputs", found <= MEGABYTES)


def distances(scratch: Path) -> Outcome:
    """Sliced W2 beside POT, and the largest sizes kept: ``distances large`` takes minutes."""
    rows = saved("distances", "distances") + saved("distances_large")
    largest = {name: max((row["points"] for row in rows if row["distance"] == name), default=0)
               for name in SIZES}  # fmt: skip
    ratio = next(row["peer / ours"] for row in rows if row["distance"] == "sliced_w2")
    text = f"sliced W2 {ratio} times as fast as POT; largest: "
    text += ", ".join(f"{name} {n} (asked {SIZES[name]})" for name, n in largest.items())
    complete = all(largest[name] >= n for name, n in SIZES.items())
    solid = all(row["status"] == "ok" for row in rows)
    return Outcome(text, complete and solid and ratio >= 10, complete)


def end_to_end(scratch: Path) -> Outcome:
    """Whole commands, and the share of kernel sums before, which limits what could be gained."""
    rows = saved("end_to_end", "end_to_end")
    text = ", ".join(
        f"{row['command']} {row['times as fast']} (sums were {row['share before']:.0%})"
        for row in rows
    )
    return Outcome(text, all(row["times as fast"] >= FASTER for row in rows))


def card(scratch: Path) -> Outcome:
    """The best rate of every dimension over a third of the card's TF32 rate (split numbers)."""
    rows = saved("kernel_gpu")
    if not rows:
        return unmeasured("python -m benchmarks.kernel_gpu")
    limit, best = rows[0]["matrix TFLOP/s"]["TF32"] / 3, {}
    for row in rows:
        d = int(row.get("B x N x d", "0").split()[-1])
        if d >= 64:
            best[d] = max(best.get(d, 0.0), row["TFLOP/s"])
    text = ", ".join(f"d = {d}: {rate} TFLOP/s, {rate / limit:.0%}" for d, rate in best.items())
    return Outcome(text, min(best.values()) >= GPU_SHARE * limit)


def from_memory(scratch: Path) -> Outcome:
    """Keys that stay in the CPU's memory."""
    rows = [row for row in saved("kernel_gpu") if "1000000 x 3072 keys in" in row.get("what", "")]
    if not rows:
        return unmeasured("python -m benchmarks.kernel_gpu")
    return Outcome("; ".join(f"{row['what']}, {row['seconds']} s" for row in rows), True)


CHECKS = [
    Check("beside KeOps", f"at least {KEOPS} times as fast",
          lambda scratch: beside("KeOps", KEOPS)),
    Check("beside cdist + softmax", f"at least {NAIVE} times as fast",
          lambda scratch: beside("cdist + softmax", NAIVE)),
    Check("never slower", "than cdist + softmax by 10 % or 20 microseconds, all of the grid",
          never_slower),
    Check("errors", "<= 1e-5 of the data's size", errors),
    Check("share of the products", f">= {SHARE:.0%} of two matrix products' time, d >= 256",
          products),
    Check("memory", f"<= {MEGABYTES} MB above inputs, {LARGE[0]} x {LARGE[1]} x {LARGE[2]}",
          memory),
    Check("beside smalldiffusion", f"at least {IDEAL} times as fast as its ideal denoiser",
          lambda scratch: beside("smalldiffusion", IDEAL)),
    Check("distances at size", "sliced W2 >= 10 times POT; W2 of 10,000, MMD and KSD of 100,000",
          distances),
    Check("end to end", ">= 1.5 times as fast as before: certificate, flow, demo", end_to_end),
    Check("GPU rate", f">= {GPU_SHARE:.0%} of a card's split TF32 rate, d >= 64", card),
    Check("GPU beside KeOps", ">= 5 times at d = 64",
          lambda scratch: unmeasured("KeOps 2.3 does not compile on CUDA 13")),
    Check("GPU, a million keys", "x 3072 from host memory", from_memory),
]  # fmt: skip
