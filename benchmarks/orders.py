"""The order of every solver on every process, and errors beside expected ones.

Gaussian data N(.3, diag(.05, .25, 1.5)), exact score, exact recursion, started at the exact noised
law, K = 128 to 1024. Every solver is measured on the grid on which it promises its order. Two are
outside their windows. The corrections of pc leave an error of the opposite sign to its
predictor's, and the sum crosses zero near K = 1000, where a fitted order means nothing; the second
table shows the signs. dpm_1s with noise has .91 to .93: its error of first order nearly cancels, a
thirtieth of ddim's, so that the second order still shows. Half a minute on one core.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # `python benchmarks/orders.py`

from tests.problems.orders import (
    MEAN,
    PROCESSES,
    SPECTRUM,
    STEPS,
    WINDOWS,
    fitted,
    smooth_grid,
)

from benchmarks.gaussian_truth import Row, word
from benchmarks.machine import save, table
from benchmarks.orders_in_time import equal_steps, gap, law
from wasserscore.sampling import solvers, time_grid

IN_TIME = {"integrated_euler", "euler_maruyama", "exponential", "euler"}
"""Measured on equal steps in time; the others on a grid smooth in the noise level."""
BY_RATIOS = {"deis"}
"""Measured on the Karras grid: it takes polynomials in the logarithm of the noise level."""


def kind_of(name: str) -> str:
    """The grid on which a solver promises its order."""
    return "uniform" if name in IN_TIME else "karras" if name in BY_RATIOS else "smooth"


def promised() -> list[Row]:
    """Fitted order and error at K = 1024 of every solver at eta 0 and at its default."""
    rows: list[Row] = []
    for method in solvers():
        low, high = WINDOWS[method.order]
        kind = kind_of(method.name)
        for eta in sorted({0.0, method.default_eta}):
            row: Row = {"solver": method.name, "eta": f"{eta:g}", "grid": kind}
            inside = True
            for name, process in PROCESSES.items():
                grids = [smooth_grid(process, k) if kind == "smooth"
                         else time_grid(process, k, kind) for k in STEPS]  # fmt: skip
                errors = [gap(law(process, method, g, eta), (MEAN, SPECTRUM)) for g in grids]
                order = fitted(STEPS, errors)
                row[name] = f"{order:.2f} / {errors[-1]:.1e}"
                inside &= low <= order <= high
            rows.append({**row, "window": f"{low:g}-{high:g}", "inside": word(inside)})
    return rows


def corrector() -> list[Row]:
    """Signed errors of the standard deviations under pc, VE exponential."""
    rows: list[Row] = []
    for steps in (*STEPS, 2048, 4096):
        process = PROCESSES["ve_exp"]
        found = law(process, "pc", smooth_grid(process, steps), 1.0)
        signed = (found[1].sqrt() - SPECTRUM.sqrt()).tolist()
        row: Row = {"K": steps, "W2": f"{gap(found, (MEAN, SPECTRUM)):.2e}"}
        row |= {
            f"variance {v:g}": f"{e:+.1e}" for v, e in zip(SPECTRUM.tolist(), signed, strict=True)
        }
        rows.append(row)
    return rows


TITLES = {
    "promised": ("Fitted order, K = 128..1024, and W2 at K = 1024.", promised),
    "corrector": ("pc, eta = 1, VE exponential: errors of the standard deviations.", corrector),
    "equal steps": ("Equal steps in time: W2 at K = 1024 / fitted order (expected).", equal_steps),
}


def main() -> dict[str, list[Row]]:
    tables = {name: make() for name, (_, make) in TITLES.items()}
    save("orders", [{"table": name, **row} for name, rows in tables.items() for row in rows])
    return tables


if __name__ == "__main__":
    for name, rows in main().items():
        print(f"{TITLES[name][0]}\n\n{table(rows)}\n")
