"""Issue B: forward processes, samplers and the step planner."""

import math
import subprocess
from itertools import pairwise
from pathlib import Path

import torch
from tests.planner import test_mixture as mixtures
from tests.planner import test_plan as gaussians

from benchmarks.accept.check import Check, Outcome, each
from benchmarks.accept.issue_a import SCRIPT
from wasserscore.distance import w2
from wasserscore.experiment import revisit
from wasserscore.experiment.models import fit_empirical
from wasserscore.planner import Surrogate, plan
from wasserscore.planner.candidate import Candidate
from wasserscore.planner.density import optimal_density
from wasserscore.planner.exact_flow import ExactFlow
from wasserscore.planner.mixture import stacked
from wasserscore.planner.problem import Problem
from wasserscore.planner.split import split
from wasserscore.process import VP
from wasserscore.sampling import sample, solver, time_grid


def gaussian_targets(scratch: Path) -> Outcome:
    """100 random Gaussians, d = 1..20: the truth by real steps, the oracle over all horizons."""
    solvers = ["heun", "ddim", "ancestral", "integrated_euler", "exponential", "euler_maruyama"]

    def one(seed: int) -> dict[str, float]:
        share, ratio = gaussians.check_targets([seed], gaussians.FAMILIES, solver=solvers)
        return {"reached": int(share == 1), "oracle": ratio}

    return judged(each(scratch, range(100, 200), one), least=95)


def mixture_targets(scratch: Path) -> Outcome:
    """50 random mixtures, d = 1..20, against the exact flow from independent starts."""

    def one(seed: int) -> dict[str, float]:
        law, target = mixtures.random_mixture(seed)
        made = plan(
            law, target, processes=mixtures.FAMILIES, solver=["heun", "ddim"], grids=["logsnr"]
        )
        share = mixtures.truth(law, made) / target
        ratio = made.steps / mixture_oracle(law, target, made)
        return {"reached": int(share <= 1.001), "oracle": ratio, "share": share,
                "steps": made.steps}  # fmt: skip

    return judged(each(scratch, range(50), one), least=48)


def judged(rows: list[dict[str, float]], least: int) -> Outcome:
    """At least so many plans reached their target, none with over twice the oracle's steps."""
    reached, worst = sum(row["reached"] for row in rows), max(row["oracle"] for row in rows)
    text = f"{reached} of {len(rows)} reached, at most {worst:.2f}x the oracle's steps"
    return Outcome(text, reached >= least and worst <= 2)


def mixture_oracle(law, target: float, made) -> int:
    """Fewest steps of the plan's solver and grid on independent starts, over all horizons.

    Half of the plan's steps where fewer than that do not do: it is only asked whether they do.
    """
    flow = ExactFlow(law, n=2048, seed=777).resolving(target)
    low, high = 0, math.ceil(made.steps / 2)
    problem = Problem(stacked(law), target, flow=flow)
    rival = Candidate(problem, made.process, solver(made.solver), 0.0, made.grid_kind)
    far = float(made.process.noise_to_signal(made.process.horizon)) ** 0.5
    starts = {min(2.0**k * float(made.spread), far) for k in range(-1, 9)}

    def reaches(steps: int) -> bool:
        for ratio in starts:
            grid = rival._grid(steps, float(made.process.time_at(ratio**2)))
            ends = flow.runs_to(made.process, rival.solver, grid)
            if flow.distance(flow.ends, ends) <= target:
                return True
        return False

    if high == 1 or not reaches(high - 1):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def theorem(scratch: Path) -> Outcome:
    """Theorem mode on random Gaussians scaled to a largest variance of one: never a miss."""
    missed, planned, slack = 0, 0, []
    for seed in range(20):
        target, eps = gaussians.random_target(seed, largest=5)
        scale = float(torch.linalg.eigvalsh(target.covariance).max().sqrt())
        law = gaussians.Gaussian(0 * target.mean, target.covariance / scale**2)
        aim = max(eps / scale, 0.3 * float(law.covariance.trace().sqrt()))
        made = plan(law, aim, processes=gaussians.FAMILIES[1:], mode="theorem")
        surrogate = Surrogate.of(law)
        exact = split(surrogate, made.process, solver(made.solver), made.grid).w2
        planned, missed = planned + 1, missed + (exact > aim)
        slack.append(aim / exact)
    text = (
        f"{planned} plans, {missed} missed; the truth is {sorted(slack)[10]:.0f}x below (median)"
    )
    return Outcome(text, missed == 0)


def digits_model(scratch: Path) -> Outcome:
    """W2 that steps cost the network: planned from 256 starts, measured on 898 others."""
    score, reference = digits_network(scratch)
    made = plan(reference, 0.3, score=score, mode="model", solver="heun", grids=["karras"],
                curves=True)  # fmt: skip
    curve = made.options[0].curve
    least = float(score.process.noise_to_signal(made.grid.times[-2])) ** 0.5
    fine = sample(score, 898, steps=512, solver="heun", seed=1)
    rows, worst = [], 0.0
    for steps in (10, 20, 40, 80):
        grid = time_grid(score.process, steps, "karras", least_noise=least)
        coarse = sample(score, 898, grid=grid, solver="heun", seed=1)
        measured = float((coarse - fine).double().square().flatten(1).sum(1).mean().sqrt())
        predicted = at_steps(curve, steps)
        worst = max(worst, abs(predicted / measured - 1))
        rows.append(f"{steps}: {predicted:.3g} against {measured:.3g}")
    return Outcome("; ".join(rows), worst <= 0.15)


def at_steps(curve: tuple[tuple[int, int, float], ...], steps: int) -> float:
    """W2 at a number of steps: the planner's curve, straight between points in the logarithms."""
    pieces = list(pairwise(curve))
    low, high = next((p for p in pieces if p[1][0] >= steps), pieces[-1])
    slope = math.log(high[2] / low[2]) / math.log(high[0] / low[0])
    return low[2] * (steps / low[0]) ** slope


def digits_grid(scratch: Path) -> Outcome:
    """Scheme (2.7) under VP to B = 12 on the kernel reference: equal steps in B, and optimal."""
    _, reference = digits_network(scratch)
    process = VP.constant(beta=1.0, horizon=12.0)
    moments = Surrogate.of(reference)
    density = optimal_density(process, 12.0, moments.eigenvalues, moments.weights)
    smooth = reference.under(process)
    holdout = revisit.journey(scratch / "run").holdout.varying
    rows = {}
    for name in ("uniform", "optimal"):
        rows[name] = []
        for steps in (10, 20, 40, 80, 160):
            grid = (
                time_grid(process, steps, "uniform") if name == "uniform" else density.grid(steps)
            )
            points = sample(smooth, len(holdout), solver="integrated_euler", grid=grid, seed=0)
            rows[name].append(float(w2(points.reshape(len(holdout), -1).double(), holdout)))
    text = "; ".join(f"{name} {', '.join(f'{v:.2f}' for v in row)}" for name, row in rows.items())
    better = all(a <= b for a, b in zip(rows["optimal"], rows["uniform"], strict=True))
    return Outcome(f"W2 to held-out rows at 10, 20, 40, 80, 160 steps: {text}", better)


def digits_network(scratch: Path):
    """The network of issue A and a law with the moments of its training rows."""
    run = scratch / "run"
    if not (run / "models" / "network" / "model.safetensors").exists():
        command = [SCRIPT, "fit", "digits", "--models", "network", "--out", str(run)]
        subprocess.run(command, check=True, capture_output=True)
    _, model = revisit.fitted(run, "network")
    return model.score, fit_empirical(revisit.journey(run).train, bandwidth=0.15).score


CHECKS = [
    Check("gaussian plans", ">= 95 of 100 reached, <= 2x the oracle", gaussian_targets),
    Check("mixture plans", ">= 95 % of 50 reached, <= 2x the oracle", mixture_targets),
    Check("theorem plans", "never misses", theorem),
    Check("model mode on digits", "within 15 % at 10, 20, 40, 80 steps", digits_model),
    Check("optimal grid on digits", "no worse at any number of steps", digits_grid),
]
