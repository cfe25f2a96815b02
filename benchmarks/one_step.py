"""Generators that sample in one evaluation: planar sets, and digits beside a score network.

    python -m benchmarks.one_step planar [--budget SECONDS]    four sets, three drifts, by seed
    python -m benchmarks.one_step widths [--budget SECONDS]    moons: annealed or one bandwidth
    python -m benchmarks.one_step digits [--budget SECONDS]    W2, copies, coverage, by drift
    python -m benchmarks.one_step speed                        samples per second
    python -m benchmarks.one_step tables

Every case appends one JSON line to ``results/one_step_NAME.jsonl``; a call runs what is missing
and, with a budget, stops in time and goes on at the next call. ``tables`` prints what there is;
read ``one_step.md``. Run from the root of the repository.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmarks import resumable
from benchmarks.machine import table
from wasserscore import audit, distance, sample, train_score
from wasserscore.core.random import Streams
from wasserscore.data import Scaling, load, targets
from wasserscore.experiment.holdout import halves
from wasserscore.flow import (
    Annealing,
    Drifting,
    ScoreDifference,
    SinkhornDivergence,
    distil_generator,
    train_generator,
)
from wasserscore.network import MLP, LatentMLP
from wasserscore.process import EDM
from wasserscore.score import NetworkScore, Pushforward

Row = dict[str, object]
STEPS, POINTS = 2000, 1000
SETS: dict[str, Callable[..., Tensor]] = {
    "moons": targets.two_moons,
    "spiral": targets.spiral,
    "eight Gaussians": lambda n, generator: targets.sample_mixture(
        targets.eight_gaussians(std=0.08), n, generator=generator
    ),
    "checkerboard": targets.checkerboard,
}
DRIFTS: dict[str, Any] = {
    "score difference": ScoreDifference(),
    "drifting": Drifting(),
    "Sinkhorn": SinkhornDivergence(20, 1e-2),
}
SIZE = {"width": 64, "depth": 3}
BANDWIDTHS = Annealing("geometric", sigma_min=0.07)
WIDTHS: dict[str, Any] = {
    "geometric to 0.07": BANDWIDTHS,
    "geometric to 0.2": Annealing("geometric", sigma_min=0.2),
    "random above 0.07": Annealing("random", sigma_min=0.07),
    "0.07": 0.07,
    "0.2": 0.2,
}
PLANAR = {"steps": STEPS, "batch_size": 256, "learning_rate": 3e-3}


class Planar:
    """A planar set: points to learn from, and two fresh samples to measure with."""

    def __init__(self, name: str, seed: int) -> None:
        draw = Streams(seed).generator
        make = lambda what, n: SETS[name](n, generator=draw(what)).float()
        self.train, self.seed = make("train", 20_000), seed
        self.fresh, self.other = make("fresh", POINTS), make("other", POINTS)

    def floor(self) -> float:
        """W2 squared of two samples of the law."""
        return float(distance.w2(self.other, self.fresh)) ** 2

    def run(self, drift: Any, bandwidths: Any) -> Row:
        """One generator: W2 squared to the fresh sample, on the way and at the end."""
        way: dict[str, float] = {}

        def note(step: int, logs: dict[str, float]) -> None:
            if "w2" in logs:
                way[f"at {step}"] = logs["w2"] ** 2

        begin = time.process_time()
        law = train_generator(
            LatentMLP(16, 2, **SIZE, seed=self.seed), self.train, drift=drift,
            bandwidths=bandwidths, holdout=self.fresh, measure_every=STEPS // 4, callbacks=[note],
            seed=self.seed, **PLANAR,
        )  # fmt: skip
        seconds = time.process_time() - begin
        found = float(distance.w2(law.sample(POINTS, seed=self.seed), self.fresh)) ** 2
        return {**way, "w2_squared": found, "floor": self.floor(), "cpu_seconds": round(seconds)}


def planar_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Moons first, then the other sets, seed by seed."""
    for seed in range(5):
        for law in SETS:
            for name, drift in DRIFTS.items():

                def case(seed: int = seed, law: str = law, name: str = name, drift: Any = drift):
                    row = {"law": law, "drift": name, "seed": seed}
                    return row | Planar(law, seed).run(drift, BANDWIDTHS)

                yield f"{law} | {name} | {seed}", case


def widths_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Moons: bandwidths that fall, that are random, or that stay."""
    for name in ("score difference", "Sinkhorn"):
        for label, bandwidths in WIDTHS.items():

            def case(name: str = name, label: str = label, bandwidths: Any = bandwidths):
                row = {"drift": name, "bandwidths": label, "seed": 0}
                return row | Planar("moons", 0).run(DRIFTS[name], bandwidths)

            yield f"{name} | {label}", case


# Digits ------------------------------------------------------------------------------------------

DIGITS: dict[str, dict[str, Any]] = {
    "drifting": {"drift": Drifting()},
    "score difference, noised": {"drift": ScoreDifference(self_interaction="noised")},
    "score difference, keep": {"drift": ScoreDifference()},
    "score difference, halves": {"drift": ScoreDifference(self_interaction="independent")},
    "Sinkhorn": {"drift": SinkhornDivergence(20, 1e-2)},
    "drifting, temperature .15": {"drift": Drifting((0.15,))},
    "drifting, temperature .3": {"drift": Drifting((0.3,))},
    "Sinkhorn, width 1": {"drift": SinkhornDivergence(20, 1e-2), "bandwidths": 1.0, "steps": 800},
    "Sinkhorn, width 2": {"drift": SinkhornDivergence(20, 1e-2), "bandwidths": 2.0, "steps": 800},
    "Sinkhorn, width 1.5": {
        "drift": SinkhornDivergence(20, 1e-2),
        "bandwidths": 1.5,
        "steps": 800,
    },
    "Sinkhorn, width 2, batch 512": {
        "drift": SinkhornDivergence(20, 1e-2),
        "bandwidths": 2.0,
        "steps": 800,
        "batch_size": 512,
    },
}
REPEATED = ("Sinkhorn, width 1.5", "Sinkhorn, width 2", "Sinkhorn, width 2, batch 512")
OTHER_SPLITS = (1, 2)
"""These settings were chosen on split 0; the others are new to them."""
DIGITS_SIZE = {"width": 256, "depth": 3}
DIGITS_TRAINING = {"steps": 1000, "batch_size": 256, "learning_rate": 1e-3}


class Digits:
    """Equally many training and held-out digits, and the units that models work in."""

    def __init__(self, split: int = 0) -> None:
        data = load("digits")
        train, holdout = halves(data, seed=split)
        self.train, self.holdout = data.varying[train], data.varying[holdout]
        self.scaling = Scaling.fit(self.train, data.kind)
        self.points = self.scaling.apply(self.train).float()

    def measured(self, x: Tensor) -> Row:
        """W2 to the held-out digits, coverage and copies, in data units and within their range."""
        x = x.double().clamp(float(self.train.min()), float(self.train.max()))
        report = audit(train=self.train, generated=x, holdout=self.holdout)
        return {
            "w2": float(distance.w2(x, self.holdout)),
            "coverage": report.prdc.coverage.value if report.prdc else float("nan"),
            "copies": report.copy_rate.value,
            "copies among held out": report.copy_rate_holdout.value
            if report.copy_rate_holdout
            else float("nan"),
            "verdict": report.verdict,
        }

    def one_step(self, settings: dict[str, Any]) -> Row:
        """One generator, trained, sampled and audited."""
        begin = time.process_time()
        network = LatentMLP(32, self.points.shape[1], **DIGITS_SIZE)
        law = train_generator(
            network, self.points, scaling=self.scaling, **DIGITS_TRAINING | settings
        )
        seconds = round(time.process_time() - begin)
        return {"cpu_seconds": seconds} | self.measured(law.sample(len(self.holdout), seed=1))

    @cached_property
    def score(self) -> NetworkScore:
        """The score network of ``wasserscore run digits``."""
        return train_score(MLP(self.points.shape[1], 256, 4), self.points, EDM(sigma_max=80.0),
                           scaling=self.scaling)  # fmt: skip

    def network(self) -> Row:
        """The score network in 18 steps of Heun."""
        begin = time.process_time()
        score = self.score
        seconds = round(time.process_time() - begin)
        x = sample(score, len(self.holdout), solver="heun", steps=18, seed=1)
        return {"cpu_seconds": seconds} | self.measured(x)

    def distilled(self, method: str) -> Row:
        """A generator from the score network; the seconds are those of the distillation."""
        score, begin = self.score, time.process_time()
        network = LatentMLP(32, self.points.shape[1], **DIGITS_SIZE)
        law = distil_generator(network, score, method=method, **DIGITS_TRAINING)
        seconds = round(time.process_time() - begin)
        return {"cpu_seconds": seconds} | self.measured(law.sample(len(self.holdout), seed=1))


def digits_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """The floor, the score network, and every drift."""
    digits = Digits()
    yield "floor", lambda: {"model": "training rows"} | digits.measured(digits.train)
    yield "network", lambda: {"model": "score network, 18 steps"} | digits.network()
    for name, settings in DIGITS.items():

        def case(name: str = name, settings: dict[str, Any] = settings) -> Row:
            return {"model": name} | digits.one_step(settings)

        yield name, case
    for split in OTHER_SPLITS:
        other = Digits(split)
        named = lambda what, split=split: {"model": f"{what}, split {split}"}

        def network(other: Digits = other, named: Any = named) -> Row:
            return named("score network, 18 steps") | other.network()

        yield f"network | {split}", network
        for name in REPEATED:

            def again(name: str = name, other: Digits = other, named: Any = named) -> Row:
                return named(name) | other.one_step(DIGITS[name])

            yield f"{name} | {split}", again
    for method in ("dmd", "sid"):
        model = f"distilled, {method}"
        yield model, lambda m=method, n=model: {"model": n} | digits.distilled(m)


def speed_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Samples per second of one evaluation and of 35, networks of the same width and depth."""

    def case() -> Row:
        n, d = 2000, 61
        one = Pushforward(LatentMLP(32, d, 256, 4), 32, (d,))
        many = NetworkScore(MLP(d, 256, 4).requires_grad_(False), EDM(sigma_max=80.0))
        draws: dict[str, Callable[[int], Tensor]] = {
            "one step": lambda seed: one.sample(n, seed=seed),
            "18 steps of Heun": lambda seed: sample(many, n, solver="heun", steps=18, seed=seed),
        }
        rates: dict[str, list[float]] = {name: [] for name in draws}
        for seed in range(5):
            for name, draw in draws.items():
                begin = time.process_time()
                draw(seed)
                rates[name].append(n / (time.process_time() - begin))
        middle = {name: round(statistics.median(values)) for name, values in rates.items()}
        return {f"{name}, samples per CPU second": rate for name, rate in middle.items()}

    yield "speed", case


# The campaign and its tables ---------------------------------------------------------------------

CASES = {"planar": planar_cases, "widths": widths_cases, "digits": digits_cases,
         "speed": speed_cases}  # fmt: skip


def planar_table(rows: list[dict[str, Any]]) -> None:
    """Means over seeds, and the worst."""
    out: list[Row] = []
    for law in SETS:
        for drift in DRIFTS:
            of = [r for r in rows if r["law"] == law and r["drift"] == drift]
            if of:
                mean = lambda key, of=of: f"{statistics.mean(r[key] for r in of):.4f}"
                way = {f"at {k}": mean(f"at {k}") for k in (500, 1000, 1500, 2000)}
                worst = max(r["w2_squared"] for r in of)
                out.append({"set": law, "drift": drift, "seeds": len(of), **way,
                            f"{POINTS} points": mean("w2_squared"), "worst": f"{worst:.4f}",
                            "floor": mean("floor"), "CPU s": of[0]["cpu_seconds"]})  # fmt: skip
    print(table(out), end="\n\n")


def report() -> None:
    for name in CASES:
        if not (rows := resumable.read(f"one_step_{name}")):
            continue
        print(f"## {name}\n")
        if name == "planar":
            planar_table(rows)
        else:
            shown = lambda v: f"{v:.4g}" if isinstance(v, float) else v
            keys = dict.fromkeys(key for row in rows for key in row if key != "key")
            print(table([{k: shown(row.get(k, "")) for k in keys} for row in rows]), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*CASES, "tables"])
    parser.add_argument("--budget", type=float, default=float("inf"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "tables":
        report()
    elif not resumable.run(f"one_step_{asked.what}", CASES[asked.what](), asked.budget):
        print("stopped by the budget; call again to go on\n")


if __name__ == "__main__":
    main()
