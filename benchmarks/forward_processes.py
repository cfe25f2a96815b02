"""Table 2 of the forward-process paper and the tables around it, by one command.

Exact recursions, integrals and density propagation: no simulation. Every number stands beside the
value expected from an independent derivation, in brackets. The paper leaves the shape parameters
open, so each table states the ones used here. About two minutes on one core.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # `python benchmarks/forward_processes.py`

from benchmarks.forward_bounds import bound_against_truth, steps_asked
from benchmarks.forward_constants import constants, grids
from benchmarks.forward_exponents import exponents
from benchmarks.forward_mixture import two_modes
from benchmarks.forward_ranking import ranking
from benchmarks.gaussian_truth import Row
from benchmarks.machine import save, table

TITLES: dict[str, tuple[str, Callable[[], list[Row]]]] = {
    "exponents": (
        "Table 2: p in K ~ eps^-p. Bound: M1 = 0, d = m0 = L0 = 1. Exact: N(.3, .25), horizon "
        "tuned at each K. Shapes: a = b = 1, beta = 1.",
        exponents,
    ),
    "ranking": (
        "Best W2 at equal K on N(.3, .25), shape and horizon tuned at each. Shape: b at a = 1 "
        "(linear, poly), a at b = 1 (exp); OU alpha = sigma = 1/2. Rank, shape, S_T at K = 1000.",
        ranking,
    ),
    "constants": ("Leading constants on N(0, .25); S_T = 2e4 (VE), 1e6 (VP, OU).", constants),
    "grids": ("W2 K of scheme (2.7) on its best and on its usual grid, K = 1600.", grids),
    "bound": (
        "The theorem against the truth, (E0 + E1) / W2, on N(.3, .25 I) in 100 dimensions; exact "
        "M1; S_T = 200 (VE), 1000 (VP). Where the step is longer than A4 allows there is no "
        "bound, only a number.",
        bound_against_truth,
    ),
    "steps": (
        "Steps for W2 <= eps on the same data (rms 5.8), horizon tuned: what the theorem asks for "
        "and what scheme (2.7) needs.",
        steps_asked,
    ),
    "mixture": (
        "Two modes, .5 N(-1, .15^2) + .5 N(1, .15^2), exact score: W2 of scheme (2.7), and what "
        "the Gaussian recursion says of one mode, and of the whole covariance.",
        two_modes,
    ),
}


def main() -> dict[str, list[Row]]:
    tables = {name: make() for name, (_, make) in TITLES.items()}
    save(
        "forward_processes", [{"table": name, **r} for name, rows in tables.items() for r in rows]
    )
    return tables


if __name__ == "__main__":
    for name, rows in main().items():
        print(f"{TITLES[name][0]} Expected value in brackets.\n\n{table(rows)}\n")
