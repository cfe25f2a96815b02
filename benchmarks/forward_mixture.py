"""Beyond log-concave data: two narrow modes, exact score, the density without sampling noise."""

import math

import numpy as np
from tests.problems.base import Problem
from tests.problems.line import chain_truth, mixture

from benchmarks.gaussian_truth import Row, at, errors, word
from wasserscore.process import VP, Process
from wasserscore.sampling import time_grid

DEVIATION = 0.15
LAW = ([0.5, 0.5], [-1.0, 1.0], [DEVIATION, DEVIATION])
STEPS = (25, 50, 100, 200)
CASES: dict[str, tuple[Process, float, tuple[float, ...], tuple[float, ...], float]] = {
    "vp_linear(1, .1), B = 10": (
        VP.linear(a=1.0, b=0.1), math.expm1(10), (0.0819, 0.0357, 0.0162, 0.0083),
        (0.0731, 0.0328, 0.0155, 0.0076), 1.11,
    ),
    "vp_exp(.2, 1), S_T = 2e4": (
        VP.exponential(a=0.2, b=1.0), 2e4, (0.0718, 0.0335, 0.0160, 0.0078),
        (0.0675, 0.0322, 0.0154, 0.0075), 1.065,
    ),
    "vp_const(1), S_T = 2e4": (
        VP.constant(beta=1.0), 2e4, (0.4360, 0.3160, 0.1899, 0.0985),
        (0.4801, 0.2986, 0.1742, 0.0937), math.nan,
    ),
}  # fmt: skip
"""Process, horizon, expected W2, expected prediction from one mode, expected order."""


def exact(process: Process, steps: int) -> float:
    """W2 of scheme (2.7) to the mixture, by propagating its density."""
    score = mixture(*LAW, process)
    problem = Problem("two modes", score, score, chain_truth(LAW), "integrated_euler", steps,
                      "uniform", 1.0)  # fmt: skip
    return problem.w2()


def two_modes() -> list[Row]:
    rows: list[Row] = []
    for name, (process, ratio, wanted, wanted_one, wanted_order) in CASES.items():
        here = at(process, ratio)
        grids = [time_grid(here, steps, "uniform") for steps in STEPS]
        found = [exact(here, steps) for steps in STEPS]
        one = [abs(errors(here, grid, 0.0, DEVIATION**2)[1]) for grid in grids]
        whole = [abs(errors(here, grid, 0.0, 1 + DEVIATION**2)[1]) for grid in grids]
        order = -float(np.polyfit(np.log(STEPS), np.log(found), 1)[0])
        gaps = np.abs(np.array([*found, *one]) / np.array([*wanted, *wanted_one]) - 1)
        row: Row = {"process": name, "law": "the mixture"}
        row |= {
            f"K={k}": f"{a:.4f} ({b:.4f})" for k, a, b in zip(STEPS, found, wanted, strict=True)
        }
        row["order"] = f"{order:.2f}" + ("" if math.isnan(wanted_order) else f" ({wanted_order})")
        rows.append({**row, "agrees": word(float(gaps.max()) < 0.03)})
        for law, values, expected in (
            ("one mode alone", one, wanted_one), ("its covariance, 1.0225", whole, None),
        ):  # fmt: skip
            row = {"process": "", "law": law}
            for k, value in zip(STEPS, values, strict=True):
                beside = "" if expected is None else f" ({expected[STEPS.index(k)]:.4f})"
                row[f"K={k}"] = f"{value:.4f}{beside}"
            rows.append({**row, "order": "", "agrees": ""})
    return rows
