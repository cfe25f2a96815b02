"""Why the published FIDs of the variance-exploding processes should not be used as targets.

The authors' program gives every VE type the diffusion of the exponential one. Both versions are
run through its sampler (Euler-Maruyama, 1000 steps, times from 1 to 1e-5, last step without
noise) by exact recursion on a Gaussian with a power-law spectrum, d = 3072, as pixels have. If
the published ranking follows the wrong coefficient and not the right one, the gap is the
coefficient's, not the process's. A second on one core.
"""

import math

import torch
from scipy.stats import spearmanr

from benchmarks.gaussian_truth import Row
from benchmarks.machine import save, table
from wasserscore.process import VE

LOW, HIGH, STEPS, DIM = 0.01, 50.0, 1000, 3072
PUBLISHED = {
    ("exponential", None): 22.11, ("constant", None): 461.42, ("sqrt", None): 457.04,
    ("polynomial", 2.0): 369.51, ("polynomial", 3.0): 233.20, ("polynomial", 5.0): 137.55,
    ("polynomial", 7.0): 159.66, ("polynomial", 10.0): 99.89,
}  # fmt: skip
"""FID of Table 3 by shape and order."""


def spectrum() -> torch.Tensor:
    """Eigenvalues falling as i^-1.6, mean variance .06 (pixels in [0, 1])."""
    values = torch.arange(1, DIM + 1, dtype=torch.float64) ** -1.6
    return values * (0.06 * DIM / values.sum())


def w2(process: VE, authors: bool) -> float:
    """W2 of the samples to the data for an exact score."""
    values = spectrum()
    variance = torch.full_like(values, HIGH**2)
    times = torch.linspace(1, 1e-5, STEPS, dtype=torch.float64)
    for k, t in enumerate(times):
        level = process.variance(t) + LOW**2  # the program counts sigma(0) as noise
        g2 = 2 * math.log(HIGH / LOW) * level if authors else process.g2(t)
        moved = g2 / STEPS
        noise = moved if k < STEPS - 1 else 0.0
        variance = (1 - moved / (values + level)) ** 2 * variance + noise
    return float((variance.sqrt() - values.sqrt()).norm())


def main() -> list[Row]:
    columns: dict[str, list[float]] = {"right": [], "authors": [], "fid": list(PUBLISHED.values())}
    for shape, order in PUBLISHED:
        process = VE.from_sigmas(sigma_min=LOW, sigma_max=HIGH, shape=shape, order=order)
        columns["right"].append(w2(process, authors=False))
        columns["authors"].append(w2(process, authors=True))
    rows: list[Row] = [
        {
            "process": shape if order is None else f"{shape}, order {order:g}",
            "W2, g^2 = d sigma^2 / dt": f"{right:.3g}",
            "W2, the program's g": f"{authors:.3g}",
            "published FID": fid,
        }
        for (shape, order), right, authors, fid in zip(PUBLISHED, *columns.values(), strict=True)
    ]
    rank = {name: spearmanr(columns[name], columns["fid"]).statistic for name in columns}
    rows.append(
        {
            "process": "rank correlation with the FID",
            "W2, g^2 = d sigma^2 / dt": f"{rank['right']:.2f}",
            "W2, the program's g": f"{rank['authors']:.2f}",
            "published FID": "",
        }
    )
    save("published_ve", rows)
    return rows


if __name__ == "__main__":
    print(table(main()))
