"""What each coupling buys: digits, moons and a Gaussian mixture; SDE, eta .5 and ODE.

    python -m benchmarks.certificate_digits --only digits --models exact proximal --cloud 16384
    python -m benchmarks.certificate_digits --network runs/digits
    python -m benchmarks.certificate_digits --show

The reference is the data set smoothed by a stated bandwidth, a proximal kernel fitted to it
("digits, proximal"), or the mixture itself. With the exact
score all of a bound is start, steps and what the coupling leaves. Every row has root mean squares
and, as "<=", upper limits at level .95, each at the level of one rung of three. Rows are kept in
``results/couplings.json`` and replaced one by one, so a long table can be made in pieces.
"""

import argparse
import json
import math
import time

import torch
from sklearn.datasets import load_digits, make_moons
from torch import Tensor

import wasserscore as ws
from benchmarks.machine import RESULTS, save, table
from wasserscore.certificate import certify
from wasserscore.certificate.coupling import Coupling, sampling_dtype
from wasserscore.certificate.restart import restarted_transport
from wasserscore.certificate.statistics import mean_limit, share
from wasserscore.core.random import Streams
from wasserscore.core.typing import ScoreFn
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import EmpiricalScore, MixtureScore
from wasserscore.score.base import ClosedFormScore

Case = tuple[str, float, int, str]
"""Solver, eta, steps and start."""
F64 = torch.float64
PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
PARTS, LEVEL = 16, 0.95
CASES = (
    ("heun", 0.0, 10, "prior"), ("heun", 0.0, 20, "prior"), ("heun", 0.0, 40, "prior"),
    ("heun", 0.0, 40, "reference"), ("exponential", 0.5, 40, "prior"),
    ("exponential", 1.0, 40, "prior"), ("exponential", 1.0, 100, "prior"),
    ("exponential", 1.0, 400, "prior"),
)  # fmt: skip


def images() -> Tensor:
    return torch.tensor(load_digits().data / 8 - 1, dtype=F64)


def digits() -> ClosedFormScore:
    return EmpiricalScore(images(), PROCESS, bandwidth=0.15)


def digits_proximal() -> ClosedFormScore:
    return ws.fit_proximal(images(), PROCESS)


def moons() -> ClosedFormScore:
    points = torch.tensor(make_moons(1000, noise=0.05, random_state=0)[0], dtype=F64)
    return EmpiricalScore(points, PROCESS, bandwidth=0.05)


def mixture() -> ClosedFormScore:
    angles = 2 * math.pi * torch.arange(8, dtype=F64) / 8
    means = 2 * torch.stack([angles.cos(), angles.sin()], 1)
    return MixtureScore(
        torch.ones(8, dtype=F64), means, torch.full((8,), 0.01, dtype=F64), PROCESS
    )


REFERENCES = {
    "digits": digits, "digits, proximal": digits_proximal, "moons": moons, "gmm": mixture,
}  # fmt: skip


def models(law: ClosedFormScore, names: list[str], network: str) -> dict[str, ScoreFn]:
    """The models under test, by name."""
    found: dict[str, ScoreFn] = {}
    if "exact" in names:
        found["exact"] = law
    if "proximal" in names and isinstance(law, EmpiricalScore):
        found["proximal"] = ws.fit_proximal(law.points, PROCESS)
    if network:
        found["network"] = ws.load(network)
    return found


def reference_for(model: ScoreFn, law: ClosedFormScore) -> ClosedFormScore:
    """The law under the model's process, without the columns that never vary if it has none."""
    process, shape = getattr(model, "process", PROCESS), getattr(model, "shape", law.shape)
    if isinstance(law, EmpiricalScore) and tuple(shape) != tuple(law.shape):
        points = law.points[:, law.points.std(0) > 0]
        return EmpiricalScore(points, process, bandwidth=law.bandwidth)
    return law if process == law.process else law.under(process)


def pairs_row(law: ClosedFormScore, model: ScoreFn, case: Case, pairs: int) -> dict[str, object]:
    """Synchronous pairs from the horizon down, and transport within batches of them."""
    method, eta, steps, start = case
    began = time.perf_counter()
    found = certify(model, law, solver=method, steps=steps, eta=eta, start=start, n=pairs,
                    parts=PARTS, level=LEVEL)  # fmt: skip
    rungs = {rung.name: rung for rung in found.rungs}
    out: dict[str, object] = {"pairs": pairs, "spread": round(found.spread, 2)}
    names = {"synchronous": "synchronous coupling", "transport": "coupled transport"}
    for short, full in names.items():
        out[short] = round(rungs[full].estimate.value, 3)
        out[f"{short} <="] = round(rungs[full].upper.value, 3)
    split = (f"{name} {float(value):.2f}" for name, value in found.terms.items())
    return out | {"split": ", ".join(split), "seconds": round(time.perf_counter() - began)}


def cloud_row(law: ClosedFormScore, model: ScoreFn, case: Case, cloud: int,
              batches: int) -> dict[str, object]:  # fmt: skip
    """Clouds paired late, by the modes they have come to."""
    method, eta, steps, start = case
    began, chosen = time.perf_counter(), solver(method)
    coupling = Coupling(model, law, chosen, time_grid(law.process, steps), eta, start, 4,
                        Streams(0), sampling_dtype(model))  # fmt: skip
    costs = restarted_transport(coupling, cloud, batches)
    return {"cloud": f"{batches} x {cloud}", "restarted": round(math.sqrt(float(costs.mean())), 3),
            "restarted <=": round(math.sqrt(mean_limit(costs, share(LEVEL, 3))), 3),
            "cloud seconds": round(time.perf_counter() - began)}  # fmt: skip


COLUMNS = (
    "law", "model", "sampler", "eta", "steps", "start", "spread", "pairs", "synchronous",
    "synchronous <=", "transport", "transport <=", "split", "seconds", "cloud", "restarted",
    "restarted <=", "cloud seconds",
)  # fmt: skip


def kept() -> dict[tuple[object, ...], dict[str, object]]:
    """The rows that were saved, by what they are about."""
    path = RESULTS / "couplings.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return {tuple(r[c] for c in COLUMNS[:6]): r for r in rows}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(REFERENCES), nargs="+", default=list(REFERENCES))
    parser.add_argument("--models", choices=["exact", "proximal"], nargs="*", default=["exact"])
    parser.add_argument("--network", default="", help="folder of a saved network, digits only")
    parser.add_argument("--pairs", type=int, default=256, help="0 keeps what was saved")
    parser.add_argument("--cloud", type=int, default=16384, help="points per cloud; 0 for none")
    parser.add_argument("--batches", type=int, default=4, help="independent pairs of clouds")
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))))
    parser.add_argument("--show", action="store_true", help="print the saved table and stop")
    asked, rows = parser.parse_args(arguments), kept()
    for name in [] if asked.show else asked.only:
        law = REFERENCES[name]()
        network = asked.network if name == "digits" else ""
        for label, model in models(law, asked.models, network).items():
            for case in (CASES[k] for k in asked.cases):
                key, here = (name, label, *case), reference_for(model, law)
                row = rows.get(key, {}) | dict(zip(COLUMNS, key, strict=False))
                if asked.pairs:
                    row |= pairs_row(here, model, case, asked.pairs)
                if asked.cloud and case[1] > 0:
                    row |= cloud_row(here, model, case, asked.cloud, asked.batches)
                rows[key] = {c: row.get(c, "") for c in COLUMNS}
                print(table([rows[key]]), flush=True)
                save("couplings", list(rows.values()))
    if asked.show:
        print(table(list(rows.values())))


if __name__ == "__main__":
    main()
