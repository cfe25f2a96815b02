"""Leading constants of scheme (2.7), and what the best grid saves; N(0, l) data, exact."""

import math

import torch

from benchmarks.gaussian_truth import VALUE, Row, at, beside, errors, vector, w2, word
from wasserscore.dynamics import TimeGrid
from wasserscore.planner.density import optimal_density, step_weight
from wasserscore.process import OU, VE, VP, Process
from wasserscore.sampling import time_grid

CONSTANTS: dict[str, tuple[Process, float, float]] = {
    "ve_sqrt(1)": (VE.sqrt(a=1.0), 0.3927, 1.023),
    "ve_poly c=2 (1, .1)": (VE.polynomial(a=1.0, b=0.1, c=2.0), 0.5112, 1.003),
    "ve_exp(1, 1)": (VE.exponential(a=1.0, b=1.0), 0.7500, 1.002),
    "ou(1, 2)": (OU(alpha=1.0, sigma=2.0), 1.9629, 1.008),
    "vp_const(1)": (VP.constant(beta=1.0), 0.4711, 1.004),
    "vp_linear(1, .1)": (VP.linear(a=1.0, b=0.1), 0.2667, 1.001),
    "vp_poly rho=5 (1, .3)": (VP.polynomial(a=1.0, b=0.3, rho=5.0), 0.5423, 1.001),
    "vp_exp(.3, 1)": (VP.exponential(a=0.3, b=1.0), 0.2460, 1.000),
    "ve_const(1)": (VE.constant(a=1.0), 0.5, 0.62),
}
"""Process, c0, order. The last is not asymptotic: its step of 2.5 is ten times the variance."""


def constants() -> list[Row]:
    """c0 of N(0, .25): W2 -> c0 eta / (2 * .5) per coordinate; S_T = 2e4 (VE), 1e6 (others)."""
    rows: list[Row] = []
    for name, (process, c0, order) in CONSTANTS.items():
        here = at(process, 2e4 if name.startswith("ve") else 1e6)
        times = here.horizon * torch.linspace(0, 1, 200_001, dtype=torch.float64)[1:] ** 2
        weight = step_weight(here, times, vector(VALUE))[:, 0]
        value = float(torch.trapezoid(weight, times))
        coarse, fine = (w2(here, steps, 0.0) for steps in (1000, 8000))
        slope = math.log(coarse / fine) / math.log(8)
        ratio = fine / (value * here.horizon / 8000)
        settled = name != "ve_const(1)"
        close = abs(value - c0) < 1e-3 and abs(slope - order) < 5e-3
        close = close and (not settled or abs(ratio - 1) < 0.01)
        rows.append(
            {
                "process": name,
                "c0": f"{value:.4f} ({c0:.4f})",
                "order, K 1000..8000": beside(slope, order),
                "W2 / (c0 eta) at K=8000": f"{ratio:.3f} " + "(within 1 %)" * settled,
                "agrees": word(close),
            }
        )  # fmt: skip
    return rows


def signal_grid(steps: int) -> TimeGrid:
    """VP, beta = 1: equal steps in the signal factor, from .5/K."""
    signal = torch.linspace(0.5 / steps, 1, steps + 1, dtype=torch.float64)
    return TimeGrid((-2 * signal.log()).clamp_min(0))


def inverse_root_grid(steps: int, value: float) -> TimeGrid:
    """VE, g = 1: equal steps in (l + V)^(-1/2), up to V = l (2K)^2."""
    ends = (value * (1 + 4.0 * steps**2)) ** -0.5, value**-0.5
    clock = torch.linspace(*ends, steps + 1, dtype=torch.float64)
    return TimeGrid((clock**-2 - value).clamp_min(0))


def grids() -> list[Row]:
    """W2 * K per coordinate at K = 1600; the last row is the gain in steps at equal W2."""
    steps, reach = 1600, 12.0
    vp = VP.constant(beta=1.0, horizon=reach)
    ratio = 0.4
    shaped = VP.exponential(a=ratio, b=1.0, horizon=math.log1p(reach / ratio))

    def product(process: Process, grid: TimeGrid, value: float) -> float:
        return steps * abs(errors(process, grid, 0.0, value)[1])

    one = vector(1.0)
    uniform = product(vp, time_grid(vp, steps, "uniform"), 1.0)
    best = product(VP.constant(beta=1.0), signal_grid(steps), 1.0)
    density = optimal_density(vp, reach, one, one).grid(steps)
    cases = [
        ("VP, N(0,1)", "uniform in B to 12", uniform, 1.502, "B_T/8"),
        ("VP, N(0,1)", "uniform in signal factor", best, 0.500, "1/2"),
        ("VP, N(0,1)", "optimal_density from B = 12", product(vp, density, 1.0), 0.500, "1/2"),
        ("vp_exp a/b=.4, N(0,1)", "uniform in t, B_T = 12",
         product(shaped, time_grid(shaped, steps, "uniform"), 1.0),
         (1 + ratio) * math.log1p(reach / ratio) / 8, "(1+a/b) ln(1+b B_T/a)/8"),
        ("VE, N(0,.25)", "uniform in (l+V)^-1/2",
         product(VE.constant(a=1.0), inverse_root_grid(steps, VALUE), VALUE), 1.0, "2 sqrt(l)"),
        ("VP, N(0,1)", "steps saved: uniform B / signal factor", uniform / best, 3.0, "B_T/4"),
    ]  # fmt: skip
    return [
        {
            "data": data, "grid": grid, "W2 K": beside(value, expected), "theory": theory,
            "agrees": word(abs(value / expected - 1) <= 0.01),
        }
        for data, grid, value, expected, theory in cases
    ]  # fmt: skip
