"""The kernel sum against cdist + softmax: milliseconds in one process, median of 5, by sigma."""

import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.machine import save, table
from wasserscore.kernel import Keys, softmax_mean

QUERIES, KEYS = 2000, 10000


def naive(x: torch.Tensor, y: torch.Tensor, sigma: float) -> torch.Tensor:
    return torch.softmax(-torch.cdist(x, y).square_() / (2 * sigma**2), 1) @ y


def pair(one: Callable[[], object], two: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of both, run in turn so that the machine's mood is shared."""
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(6):
        for call, times in zip((one, two), seconds, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return tuple(1e3 * statistics.median(times[1:]) for times in seconds)  # type: ignore[return-value]


def main() -> list[dict[str, object]]:
    generator, rows = torch.Generator().manual_seed(0), []
    for d in (2, 64):
        x = torch.randn(QUERIES, d, generator=generator)
        y = torch.randn(KEYS, d, generator=generator)
        keys = Keys(y)
        for sigma in (0.01, 0.3, 1.0, 10.0):
            exact = softmax_mean(x.double(), keys, sigma).mean
            wide = sigma

            def ours(x=x, keys=keys, wide=wide):
                return softmax_mean(x, keys, wide).mean

            def theirs(x=x, y=y, wide=wide):
                return naive(x, y, wide)

            mine, peer = pair(ours, theirs)
            scale = float(y.norm(dim=1).max())
            rows.append({
                "B x N x d": f"{QUERIES} x {KEYS} x {d}",
                "sigma": sigma,
                "ours ms": round(mine),
                "cdist + softmax ms": round(peer),
                "ratio": round(peer / mine, 2),
                "our error": f"{float((ours() - exact).norm(dim=1).max()) / scale:.0e}",
                "their error": f"{float((theirs() - exact).norm(dim=1).max()) / scale:.0e}",
            })  # fmt: skip
    save("kernel_softmax", rows)
    return rows


if __name__ == "__main__":
    print(table(main()))
