"""What each coupling buys for the exact score: digits, moons and a Gaussian mixture.

    python -m benchmarks.certificate_digits --only digits --pairs 256 --cloud 512

The model *is* the reference, so all of a bound is start, steps and what the coupling leaves. Every
row has the estimates (root mean squares) and the upper limits at level .95.
"""

import argparse
import math
import time

import torch
from sklearn.datasets import load_digits, make_moons

from benchmarks.machine import save, table
from wasserscore.certificate import certify
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.restart import restarted_transport
from wasserscore.certificate.statistics import mean_limit, share
from wasserscore.core.random import Streams
from wasserscore.process import VP
from wasserscore.sampling import solver, time_grid
from wasserscore.score import EmpiricalScore, MixtureScore
from wasserscore.score.base import ClosedFormScore

F64 = torch.float64
PROCESS = VP.linear(a=19.9, b=0.1, horizon=1.0)
BATCHES, PARTS, LEVEL = 8, 16, 0.95
CASES = (
    ("heun", 0.0, 10, "prior"), ("heun", 0.0, 20, "prior"), ("heun", 0.0, 40, "prior"),
    ("heun", 0.0, 40, "reference"), ("exponential", 0.5, 40, "prior"),
    ("exponential", 1.0, 40, "prior"), ("exponential", 1.0, 100, "prior"),
)  # fmt: skip


def digits() -> ClosedFormScore:
    return EmpiricalScore(
        torch.tensor(load_digits().data / 8 - 1, dtype=F64), PROCESS, bandwidth=0.15
    )


def moons() -> ClosedFormScore:
    points = torch.tensor(make_moons(1000, noise=0.05, random_state=0)[0], dtype=F64)
    return EmpiricalScore(points, PROCESS, bandwidth=0.05)


def mixture() -> ClosedFormScore:
    angles = 2 * math.pi * torch.arange(8, dtype=F64) / 8
    means = 2 * torch.stack([angles.cos(), angles.sin()], 1)
    return MixtureScore(
        torch.ones(8, dtype=F64), means, torch.full((8,), 0.01, dtype=F64), PROCESS
    )


REFERENCES = {"digits": digits, "moons": moons, "gmm": mixture}


def row(name: str, law: ClosedFormScore, case: tuple[str, float, int, str], pairs: int,
        cloud: int) -> dict[str, object]:  # fmt: skip
    method, eta, steps, start = case
    began = time.perf_counter()
    found = certify(law, law, solver=method, steps=steps, eta=eta, start=start, n=pairs,
                    batches=BATCHES, parts=PARTS, level=LEVEL)  # fmt: skip
    rungs = {rung.name: rung for rung in found.rungs}
    out: dict[str, object] = {
        "law": name, "sampler": method, "eta": eta, "steps": steps, "start": start,
        "pairs": pairs, "spread": round(found.spread, 2),
    }  # fmt: skip
    names = {"synchronous": "synchronous coupling", "transport": "coupled transport"}
    for short, full in names.items():
        out[short] = round(rungs[full].estimate.value, 3)
        out[f"{short} <="] = round(rungs[full].upper.value, 3)
    out["seconds"] = round(time.perf_counter() - began, 1)
    if eta > 0 and cloud:
        began, chosen = time.perf_counter(), solver(method)
        coupling = Coupling(law, law, chosen, time_grid(PROCESS, steps), eta, start, 4, Streams(0))
        costs = restarted_transport(coupling, cloud, BATCHES)
        out |= {"cloud": cloud, "restarted": round(math.sqrt(float(costs.mean())), 3),
                "restarted <=": round(math.sqrt(mean_limit(costs, share(LEVEL, 3))), 3),
                "restart seconds": round(time.perf_counter() - began, 1)}  # fmt: skip
    else:
        out |= {"cloud": "", "restarted": "", "restarted <=": "", "restart seconds": ""}
    return out


def main() -> list[dict[str, object]]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(REFERENCES), nargs="+", default=list(REFERENCES))
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--cloud", type=int, default=512, help="points per cloud; 0 for none")
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))))
    asked = parser.parse_args()
    rows = []
    for name in asked.only:
        law, mine = REFERENCES[name](), list[dict[str, object]]()
        for k in asked.cases:
            mine.append(row(name, law, CASES[k], asked.pairs, asked.cloud))
            print(table(mine[-1:]), flush=True)
            save(f"certificate_{name}", mine)
        rows += mine
    return rows


if __name__ == "__main__":
    print(table(main()))
