"""At which noise level should the reference move? Its law is the same at every one.

    python -m benchmarks.coupling_eta [--laws gmm moons digits] [--pairs 512]

A sampler at noise level eta is given; the reference may come down at any level of its own, driven
by the same noise. Exact score, ``exponential`` with 40 steps, from the prior: root mean squares of
the pairs, and of exact transport within 8 batches of them. A path between flow and reverse process
costs thirty evaluations a part, so large data sets take few of them.
"""

import argparse
import math
import time
from dataclasses import replace

import torch

from benchmarks.certificate_digits import PROCESS, REFERENCES
from benchmarks.machine import save, table
from wasserscore.certificate.coupling import Coupling
from wasserscore.certificate.transport import coupled_transport
from wasserscore.core.random import Streams
from wasserscore.sampling import solver, time_grid
from wasserscore.score.base import ClosedFormScore

LEVELS = {"moons": (0.0, 0.5, 1.0), "digits": (0.0, 1.0)}
ETAS, STEPS, PARTS, BATCHES = (0.5, 1.0), 40, 16, 8


@torch.no_grad()
def row(law: ClosedFormScore, eta: float, own: float, pairs: int) -> dict[str, object]:
    """Pairs of a sampler at ``eta`` and a reference at its ``own`` level."""
    began, grid = time.perf_counter(), time_grid(PROCESS, STEPS)
    coupling = Coupling(law, law, solver("exponential"), grid, eta, "prior", PARTS, Streams(0))
    starts, noise = coupling.starts(pairs), coupling.noise(pairs)
    path = replace(coupling, eta=own).path
    x = path.run(starts.x, grid, coupling.path_noise(pairs), starts.rough).x.flatten(1)
    y = coupling.sample(law, coupling.begin(noise), noise).flatten(1)
    return {
        "sampler's eta": eta, "reference's eta": own,
        "synchronous": round(math.sqrt(float((x - y).square().sum(1).mean())), 3),
        "transport": round(math.sqrt(float(coupled_transport(x, y, BATCHES).mean())), 3),
        "pairs": pairs, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--laws", nargs="+", choices=list(REFERENCES), default=list(REFERENCES))
    parser.add_argument("--pairs", type=int, default=512)
    asked, rows = parser.parse_args(), []
    for name in asked.laws:
        law = REFERENCES[name]()
        for eta in ETAS:
            for own in LEVELS.get(name, (0.0, 0.25, 0.5, 0.75, 1.0)):
                rows.append({"law": name} | row(law, eta, own, asked.pairs))
                print(table(rows[-1:]), flush=True)
    save("coupling_eta", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
