"""The figure of docs/choose.md: exact W2 against steps, for processes and for solvers.

Left: scheme (2.7) on N(.3, .25), uniform steps, shapes tuned at K = 1000, horizon at each K.
Right: every solver on N(0, diag(.05, .25, 1.5)), EDM process from sigma = 80, Karras grid; the
error includes the start from the prior. A few seconds; writes docs/figures/choose.png.
"""

import torch
from matplotlib import colormaps

from benchmarks.gaussian_truth import Row, best_horizon
from benchmarks.machine import ROOT, save, table
from wasserscore.planner import gaussian_recursion
from wasserscore.process import EDM, OU, VE, VP
from wasserscore.report.canvas import new
from wasserscore.sampling import solver, time_grid

PROCESSES = {
    "VE constant": VE.constant(a=1.0),
    "VE sqrt (EDM)": VE.sqrt(a=1.0),
    "VP constant": VP.constant(beta=1.0),
    "VE exponential": VE.exponential(a=0.256, b=1.0),
    "VP linear": VP.linear(a=1.0, b=0.059),
    "VP polynomial 5": VP.polynomial(a=1.0, b=0.747, rho=5.0),
    "VP exponential": VP.exponential(a=0.0598, b=1.0),
    "OU, matched variance": OU(alpha=0.5, sigma=0.5),
}
"""Worst first; shapes from the ranking of benchmarks/forward_processes.py."""
SOLVERS = (
    "euler_maruyama", "ancestral", "integrated_euler", "ddim", "exponential", "dpm_1s",
    "dpmpp_2m_sde", "dpmpp_2s", "heun", "dpmpp_2m", "deis",
)  # fmt: skip
STEPS = (16, 32, 64, 128, 256, 512, 1024)
EVALUATIONS = (8, 16, 32, 64, 128, 256)
SPECTRUM = torch.tensor([0.05, 0.25, 1.5], dtype=torch.float64)


def solver_error(name: str, evaluations: int) -> float:
    """W2 after a number of score evaluations."""
    process = EDM(sigma_max=80.0)
    grid = time_grid(process, evaluations // solver(name).evaluations_per_step, "karras")
    mean, variance = gaussian_recursion(process, name, grid, 0 * SPECTRUM, SPECTRUM)
    return float((mean**2 + (variance.sqrt() - SPECTRUM.sqrt()) ** 2).sum().sqrt())


def main() -> list[Row]:
    rows: list[Row] = []
    figure, ((left, right),) = new(8.6, 3.8, columns=2)
    left_colours = _colours(len(PROCESSES))
    for (name, process), colour in zip(PROCESSES.items(), left_colours, strict=True):
        left.loglog(STEPS, [best_horizon(process, k) for k in STEPS], color=colour, label=name)
    for name, colour in zip(SOLVERS, _colours(len(SOLVERS)), strict=True):
        errors = [solver_error(name, n) for n in EVALUATIONS]
        style = "--" if solver(name).default_eta > 0 else "-"
        right.loglog(EVALUATIONS, errors, style, color=colour, label=name)
        shown = (f"{error:.2g}" for error in errors)
        rows.append({"solver": name, **dict(zip(map(str, EVALUATIONS), shown, strict=True))})
    left.set(title="processes, scheme (2.7)", xlabel="steps K", ylabel="exact W2, data units")
    right.set(title="solvers, EDM and Karras grid", xlabel="score evaluations")
    for axis, columns, place in ((left, 1, "lower left"), (right, 3, "upper right")):
        axis.title.set_fontsize(9)
        axis.legend(fontsize=6.5, frameon=False, ncols=columns, loc=place)
    target = ROOT / "docs" / "figures" / "choose.png"
    figure.savefig(target, dpi=90)
    save("choose_figure", rows)
    return rows


def _colours(count: int) -> list[tuple[float, float, float, float]]:
    return [colormaps["turbo"](0.05 + 0.9 * i / (count - 1)) for i in range(count)]


if __name__ == "__main__":
    print(table(main()))
