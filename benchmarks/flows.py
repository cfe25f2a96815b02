"""Particle flows side by side: planar modes, time and memory of large clouds, digits audited.

    python -m benchmarks.flows modes [--budget SECONDS]     equal steps, ten seeds
    python -m benchmarks.flows seconds [--budget SECONDS]   equal time, three seeds
    python -m benchmarks.flows large [--budget SECONDS]     time per step and peak memory
    python -m benchmarks.flows digits [--budget SECONDS]    from noise to the digits, by rule
    python -m benchmarks.flows tables

Every case appends one JSON line to ``results/flows_NAME.jsonl``; a call runs what is missing and,
with a budget, stops in time and goes on at the next call. Seconds are processor time of one
thread. ``tables`` prints what there is; read ``flows.md``. Run from the root of the repository.
"""

import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks import resumable
from benchmarks.machine import peak_bytes, table
from wasserscore import audit, distance
from wasserscore.core.random import Streams
from wasserscore.data import load, split, targets
from wasserscore.flow import (
    MMD,
    SVGD,
    Annealing,
    InverseMultiquadric,
    ParticleFlow,
    ScoreDifferenceFlow,
    SinkhornDivergence,
    SlicedTransport,
    langevin,
    mode_quality,
)
from wasserscore.flow.annealing import spacing
from wasserscore.process import EDM
from wasserscore.score import MixtureScore

Row = dict[str, object]
STEPS, PARTICLES = 100, 1000
LAWS = {
    "grid 25": (targets.twenty_five_gaussians(spacing=2.0, std=0.1), 0.1),
    "ring 8": (targets.eight_gaussians(radius=4.0, std=0.2), 0.2),
}
WIDE, FINE = 3.0, 0.15
"""Bandwidths of every annealed method: first and last."""


def annealed(steps: int) -> Annealing:
    return Annealing("geometric", steps, WIDE, FINE)


# Methods: name -> (what it sees, a flow of so many steps) ----------------------------------------

FLOWS: dict[str, tuple[str, Callable[[int], ParticleFlow | ScoreDifferenceFlow]]] = {
    "SD keep": ("points", lambda n: ScoreDifferenceFlow(annealed(n), self_interaction="keep")),
    "SD keep, a = .5, 256 of 4000": (
        "many", lambda n: ScoreDifferenceFlow(annealed(n), self_interaction="keep", step=0.5,
                                              batch=256)),
    "SD, all defaults": ("points", lambda n: ScoreDifferenceFlow(Annealing(steps=n))),
    "SD noised": ("points", lambda n: ScoreDifferenceFlow(annealed(n), self_interaction="noised")),
    "SD leave one out": (
        "points", lambda n: ScoreDifferenceFlow(annealed(n), self_interaction="leave_one_out")),
    "SD independent halves": (
        "points", lambda n: ScoreDifferenceFlow(annealed(n), self_interaction="independent")),
    "SD, one width .5": (
        "points", lambda n: ScoreDifferenceFlow([0.5] * n, self_interaction="keep", step=0.5)),
    "MMD, one width 1, step 10": (
        "points", lambda n: ParticleFlow([1.0] * n, drift=MMD(), step=10.0)),
    "MMD annealed, step 5": ("points", lambda n: ParticleFlow(annealed(n), drift=MMD(), step=5.0)),
    "MMD, inverse multiquadric, step 2": (
        "points", lambda n: ParticleFlow([1.0] * n, drift=MMD(InverseMultiquadric()), step=2.0)),
    "SVGD annealed, exact score, step 10": (
        "score", lambda n: ParticleFlow(annealed(n), drift=SVGD(), step=10.0)),
    "Langevin to .02, exact score": (
        "score", lambda n: ParticleFlow(Annealing("geometric", n, WIDE, 0.02), drift=langevin())),
    "sliced transport": (
        "points", lambda n: ParticleFlow([1.0] * n, drift=SlicedTransport(), step=0.5)),
    "Sinkhorn annealed": (
        "points", lambda n: ParticleFlow(annealed(n), drift=SinkhornDivergence(10))),
}  # fmt: skip
PERFECT = "a fresh sample"
TOO_SLOW = {"Sinkhorn annealed"}
"""Left out at equal steps: thirty kernel sums per step where the others need two."""
OTHERS = ("SD keep", "SVGD annealed, exact score, step 10", "Langevin to .02, exact score",
          "sliced transport", "Sinkhorn annealed")  # fmt: skip
"""At equal time: those whose steps do not cost what a step of SD costs."""


class Problem:
    """A law, its points, and the same start for every method of a seed."""

    def __init__(self, law: str, seed: int) -> None:
        self.mixture, self.std = LAWS[law]
        draw = Streams(seed).generator
        sample = lambda n, what: targets.sample_mixture(self.mixture, n, generator=draw(what))
        self.start = torch.randn(PARTICLES, 2, generator=draw("start"), dtype=torch.float64)
        self.fresh = sample(PARTICLES, "fresh")
        self.targets = {"points": sample(PARTICLES, "points"), "many": sample(4000, "points"),
                        "score": MixtureScore(*self.mixture, EDM())}  # fmt: skip

    def measured(self, x: torch.Tensor) -> Row:
        """Quality of particles, and their distance to a fresh sample."""
        quality = mode_quality(x, self.mixture[1], self.std)
        return {
            "hit": quality.hit, "high_quality": quality.high_quality, "kl": quality.kl,
            "spread": quality.spread / self.std, "w2": float(distance.w2(x, self.fresh)),
        }  # fmt: skip

    def perfect(self) -> Row:
        """The same numbers of a sample of the law itself."""
        points = self.targets["points"]
        assert isinstance(points, torch.Tensor)
        return self.measured(points)

    def run(self, name: str, steps: int, seed: int) -> Row:
        """One flow, timed and measured."""
        sees, make = FLOWS[name]
        begin = time.process_time()
        found = make(steps).run(self.start, self.targets[sees], seed=seed).particles
        seconds = time.process_time() - begin
        return {"steps": steps, "seconds": round(seconds, 2)} | self.measured(found)


def modes_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """A perfect sampler and the score difference first, then everybody, seed by seed."""
    plans = [(name, seed) for seed in range(10) for name in (PERFECT, *list(FLOWS)[:2])]
    plans += [(name, seed) for seed in range(10) for name in FLOWS if name not in TOO_SLOW]
    for name, seed in dict.fromkeys(plans):
        for law in LAWS:

            def case(name: str = name, seed: int = seed, law: str = law) -> Row:
                problem = Problem(law, seed)
                row: Row = {"law": law, "method": name, "seed": seed}
                if name == PERFECT:
                    return row | {"steps": 0, "seconds": 0.0} | problem.perfect()
                return row | problem.run(name, STEPS, seed)

            yield f"{law} | {name} | {seed}", case


def seconds_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """As many steps as fit into the time of the score difference, timed side by side."""
    for seed in range(3):
        for law in LAWS:
            for name in OTHERS:

                def case(name: str = name, seed: int = seed, law: str = law) -> Row:
                    problem = Problem(law, seed)
                    cost = {n: problem.run(n, 8, seed)["seconds"] for n in ("SD keep", name)}
                    steps = max(2, round(STEPS * float(cost["SD keep"]) / float(cost[name])))
                    row = problem.run(name, min(steps, 20 * STEPS), seed)
                    return {"law": law, "method": name, "seed": seed} | row

                yield f"{law} | {name} | {seed}", case


# Large clouds -----------------------------------------------------------------------------------

SIZES = {
    "20,000 x 20,000 in 64-d": (20_000, 64, 8.0),
    "100,000 x 100,000 in 2-d": (100_000, 2, 0.5),
}


def one_large_step(name: str) -> Row:
    """A step of float32 clouds in this process; the peak is that of the whole process.

    Beside it, where it is installed, KeOps: the two weighted means that such a step consists of,
    of every tenth particle, times ten.
    """
    n, d, sigma = SIZES[name]
    draw = Streams(0).generator
    x, y = (torch.randn(n, d, generator=draw(what)) for what in ("start", "points"))
    flow = ScoreDifferenceFlow([sigma, sigma], self_interaction="keep")
    state = flow.start(x, 2 * y + 1)
    begin = time.process_time()
    flow.resume(state, 2 * y + 1, steps=1)
    seconds = time.process_time() - begin
    peak = peak_bytes() / 2**30
    row: Row = {"size": name, "seconds per step": round(seconds, 1),
                "peak memory, GiB": round(peak, 2)}  # fmt: skip
    if importlib.util.find_spec("pykeops"):
        from benchmarks.kernel_engine import keops

        some = x[::10].contiguous()
        keops(some[:10], x, sigma)  # compiles
        begin = time.process_time()
        for cloud in (x, 2 * y + 1):
            keops(some, cloud, sigma)
        row["KeOps, seconds per step"] = round(10 * (time.process_time() - begin), 1)
    return row


def large_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    for name in SIZES:

        def case(name: str = name) -> Row:
            command = [sys.executable, "-m", "benchmarks.flows", "one-large", "--size", name]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            row: Row = json.loads(run.stdout.splitlines()[-1])  # KeOps greets
            return row

        yield name, case


# Digits -----------------------------------------------------------------------------------------


def digits_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Noise to the training digits under every rule, down to the spacing of the data or finer."""
    digits = load("digits")
    train_rows, other_rows = split(digits, seed=0)
    train, holdout = digits.varying[train_rows], digits.varying[other_rows]
    for finest in (1.0, 0.7, 0.5, 0.25):
        for rule in ("keep", "noised", "leave_one_out", "independent"):

            def case(rule: str = rule, finest: float = finest) -> Row:
                start = Streams(1).normal("start", 0, len(train), tuple(train.shape[1:]), train)
                schedule = Annealing("geometric", 100, None, finest * spacing(train))
                flow = ScoreDifferenceFlow(schedule, self_interaction=rule)
                begin = time.process_time()
                record = flow.run(start, train, seed=0)
                seconds = time.process_time() - begin
                report = audit(train=train, generated=record.particles, holdout=holdout)
                last = record.history[-1]
                return {
                    "last bandwidth": f"{last.sigma:.2f} ({finest:g} x spacing)", "rule": rule,
                    "W2 to held out": float(distance.w2(record.particles, holdout)),
                    "coverage": report.prdc.coverage.value if report.prdc else math.nan,
                    "copies": report.copy_rate.value, "verdict": report.verdict,
                    "own weight": last.self_weight, "target points": last.ess_target,
                    "capped": last.capped, "seconds": round(seconds, 1),
                }  # fmt: skip

            yield f"{finest} {rule}", case

    def floor() -> Row:
        report = audit(train=train, generated=holdout, holdout=holdout)
        return {"last bandwidth": "", "rule": "training rows themselves",
                "W2 to held out": float(distance.w2(train, holdout)),
                "coverage": report.prdc.coverage.value if report.prdc else math.nan,
                "copies": 1.0, "verdict": "the floor", "own weight": math.nan,
                "target points": math.nan, "capped": math.nan, "seconds": 0.0}  # fmt: skip

    yield "floor", floor


# The campaign and its tables --------------------------------------------------------------------

CASES = {"modes": modes_cases, "seconds": seconds_cases, "large": large_cases,
         "digits": digits_cases}  # fmt: skip


def pm(values: list[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds; one seed has none, nor have values that are none."""
    mean = f"{statistics.mean(values):.{digits}f}"
    alone = len(values) == 1 or any(map(math.isnan, values))
    return mean if alone else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def by_method(rows: list[Row]) -> None:
    """One table per law: means and standard deviations over seeds."""
    for law, (mixture, _) in LAWS.items():
        out = []
        for method in dict.fromkeys(str(row["method"]) for row in rows):
            of = [r for r in rows if r["law"] == law and r["method"] == method]
            if not of:
                continue
            column = lambda name, scale=1.0, of=of: [scale * float(str(r[name])) for r in of]
            out.append({
                law: method,
                "seeds": len(of),
                "steps": round(statistics.mean(column("steps"))),
                f"fewest modes of {len(mixture[1])}": int(min(column("hit"))),
                "high quality, %": pm(column("high_quality", 100), 1),
                "KL of modes": pm(column("kl")),
                "in-mode std / true": pm(column("spread")),
                "W2 to fresh": pm(column("w2"), 2),
                "seconds": pm(column("seconds"), 1),
            })  # fmt: skip
        if out:
            print(table(out), end="\n\n")


def report() -> None:
    for name in ("modes", "seconds"):
        if rows := resumable.read(f"flows_{name}"):
            print(f"## {name}\n")
            by_method(rows)
    for name in ("large", "digits"):
        if rows := resumable.read(f"flows_{name}"):
            shown = lambda v: f"{v:.3g}" if isinstance(v, float) else v
            print(f"## {name}\n")
            print(table([{k: shown(v) for k, v in r.items() if k != "key"} for r in rows]), "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*CASES, "one-large", "tables"])
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--size", choices=list(SIZES))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "one-large":
        print(json.dumps(one_large_step(asked.size)))
        return
    if asked.what == "tables":
        report()
    elif not resumable.run(f"flows_{asked.what}", CASES[asked.what](), asked.budget):
        print("stopped by the budget; call again to go on\n")


if __name__ == "__main__":
    main()
