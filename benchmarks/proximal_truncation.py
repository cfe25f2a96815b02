"""What truncated sums of a proximal mixture cost, and how far they are from exact ones.

    python -m benchmarks.proximal_truncation

Centres from a Gaussian of few dimensions in d columns, thin kernels with r random directions of
the size of the tenth neighbour's distance; 64 queries from the noised law. ``tau`` is the noise
variance per column in units of that distance squared over d. Best of three calls, in
milliseconds; errors are relative, in the root mean square of the score.
"""

import time

import torch

from benchmarks.machine import save, table
from wasserscore.process import VE
from wasserscore.score import ProximalScore
from wasserscore.score.spiked import Spiked

SHAPES = ((10000, 2, 1, 2), (2000, 100, 16, 4))
LEVELS = (0.0, 0.01, 1.0, 100.0, 10000.0)
QUERIES, NEAR, CELLS = 64, 50, 20


def mixture(n: int, d: int, rank: int, inner: int) -> tuple[ProximalScore, float]:
    """The law, and the squared distance to the tenth neighbour per column."""
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)
    z = draw(n, inner) @ draw(inner, d)
    gap = torch.cdist(z[:50], z).topk(11, largest=False).values[:, -1].median()
    unit = float(gap) ** 2 / d
    factors = draw(n, d, rank) * (unit / rank) ** 0.5
    floor = torch.full((d,), unit / 10, dtype=torch.float64)
    clock = VE.constant(a=1.0, horizon=1e9)
    return ProximalScore(z, Spiked(factors, floor), clock), unit


def timed(score: ProximalScore, x: torch.Tensor, t: float) -> tuple[float, torch.Tensor]:
    """Milliseconds of the best call after one that sets up the level."""
    value, best = score(x, t), float("inf")
    for _ in range(3):
        start = time.perf_counter()
        value = score(x, t)
        best = min(best, 1000 * (time.perf_counter() - start))
    return best, value


def main() -> None:
    rows: list[dict[str, object]] = []
    for shape in SHAPES:
        score, unit = mixture(*shape)
        kinds = {f"k = {NEAR}": score.truncate(k=NEAR), f"{CELLS} cells": score.truncate(0, CELLS)}
        for level in LEVELS:
            t = level * unit
            x = score.sample_marginal(QUERIES, t, generator=torch.Generator().manual_seed(1))
            spent, right = timed(score, x, t)
            row: dict[str, object] = dict(zip(("N", "d", "r"), shape, strict=False))
            row |= {"tau": level, "exact, ms": round(spent, 1)}
            for name, few in kinds.items():
                spent, value = timed(few, x, t)
                row[f"{name}, ms"] = round(spent, 1)
                row[f"{name}, error"] = f"{float((value - right).norm() / right.norm()):.1e}"
            rows.append(row)
    save("proximal_truncation", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
