"""Kernel sums between the widths of the big table: milliseconds beside ``cdist`` + ``softmax``.

    python -m benchmarks.kernel_sigmas

Normal queries and keys in float32, sigma in units of the data's size sqrt(d). Between widths at
which few keys matter and those at which products in float32 are right lie some that need float64,
which ``cdist`` + ``softmax`` does without. Medians of five turns in one process, on one thread.
"""

import math

import torch

from benchmarks.kernel_engine import medians, naive
from benchmarks.machine import save, table
from wasserscore.kernel import Keys, softmax_mean

SIZES = ((64, 1000, 64), (64, 1000, 256), (500, 1000, 64), (300, 800, 784), (500, 1257, 64),
         (500, 5000, 16), (500, 5000, 256))  # fmt: skip
SIGMAS = (0.003, 0.01, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.3, 1.0)


def measured(b: int, n: int, d: int) -> dict[str, object]:
    """One problem at all widths."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(size, d, generator=generator) for size in (b, n))
    keys, row, rival = Keys(y), dict[str, object](B=b, N=n, d=d), []
    for size in SIGMAS:
        sigma = size * math.sqrt(d)
        found = medians({
            "ours": lambda sigma=sigma: softmax_mean(x, keys, sigma).mean,
            "theirs": lambda sigma=sigma: naive(x, y, sigma),
        })  # fmt: skip
        row[f"{size:g}"] = float(f"{found['ours']:.3g}")
        rival.append(found["theirs"])
    return row | {"cdist + softmax": float(f"{sorted(rival)[len(rival) // 2]:.3g}")}


def main() -> None:
    torch.set_num_threads(1)
    rows = [measured(*size) for size in SIZES]
    print(table(rows))
    save("kernel_sigmas", rows)


if __name__ == "__main__":
    main()
