"""Kernel sums of the same queries at ten widths: in one pass, and one after the other.

    python -m benchmarks.kernel_schedule

Normal queries and keys in float32, widths from 1 to 5 times the data's size sqrt(d): all keys
matter. Medians of five turns in one process, on one thread; ``log sums`` averages nothing.
"""

import math

import torch

from benchmarks.kernel_engine import medians
from benchmarks.machine import save, table
from wasserscore.kernel import Keys, softmax_mean, softmax_means

SIZES = ((256, 10_000, 64), (256, 10_000, 256), (256, 10_000, 784), (64, 10_000, 3072))
WIDTHS = 10


def measured(b: int, n: int, d: int, what: str) -> dict[str, object]:
    """One problem."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(size, d, generator=generator) for size in (b, n))
    keys, sigmas = Keys(y), math.sqrt(d) * torch.linspace(1, 5, WIDTHS)
    values = None if what == "means" else y[:, :0]
    found = medians({
        "one pass": lambda: softmax_means(x, keys, sigmas, values=values).log_sum,
        "one by one": lambda: torch.stack([
            softmax_mean(x, keys, float(sigma), values=values).log_sum for sigma in sigmas
        ]),
    })  # fmt: skip
    row: dict[str, object] = {"B": b, "N": n, "d": d, "what": what}
    row |= {f"{name}, ms": float(f"{found[name]:.3g}") for name in found}
    return row | {"times as fast": round(found["one by one"] / found["one pass"], 2)}


def main() -> None:
    torch.set_num_threads(1)
    rows = [measured(*size, what) for size in SIZES for what in ("means", "log sums")]
    print(table(rows))
    save("kernel_schedule", rows)


if __name__ == "__main__":
    main()
