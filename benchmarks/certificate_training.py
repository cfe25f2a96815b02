"""What training for a small certificate does: weights and limits, certificate and W2.

    python -m benchmarks.certificate_training [--budget SECONDS]

A plain perceptron (so that its Lipschitz constant can be proved) on two laws with a closed-form
score: a correlated Gaussian, where the theorem can say something, and two moons. Trained with
three weights and up to five limits, then certified for the probability flow. W2 itself lies
between "lower" (means and covariances, or slices) and "transport" (the mean square of optimal
assignments of coupled clouds), up to their noise. One JSON line per training in
``results/certificate_training.jsonl``; a stopped run goes on.
"""

import argparse
import math
from collections.abc import Callable, Iterator

import torch

from benchmarks.certificate import campaign, read
from benchmarks.machine import table
from wasserscore.certificate import certify
from wasserscore.certificate.closed import certified, layer_product
from wasserscore.network import Perceptron
from wasserscore.process import EDM
from wasserscore.score import GaussianScore, MixtureScore
from wasserscore.score.base import ClosedFormScore
from wasserscore.training import Bound, SpectralCap, WeightClip, train_score
from wasserscore.training.regularise import Regulariser

Row = dict[str, object]
F64 = torch.float64
PROCESS = EDM(sigma_max=80.0)
WIDTH, DEPTH, UPDATES, POINTS = 64, 3, 500, 4000
SOLVER = {"solver": "heun", "steps": 20, "eta": 0.0, "stop": 0.02}
PAIRS, LEVEL = 256, 0.95
WEIGHTINGS = {"edm": "edm", "likelihood": "likelihood", "certificate": Bound(eta=0.0)}
LIMITS: dict[str, Regulariser | None] = {
    "none": None,
    "spectral 1": SpectralCap(1.0),
    "spectral 1.3": SpectralCap(1.3),
    "spectral 2": SpectralCap(2.0),
    "clip .1": WeightClip(0.1),
}
"""Four layers each, so the caps prove |F'| <= 1, 2.9 and 16."""
EVERYWHERE = ("none", "spectral 1.3")
"""Limits that are tried with every weight; the others with EDM's."""


def gaussian() -> ClosedFormScore:
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=F64)
    return GaussianScore(torch.zeros(2, dtype=F64), covariance, PROCESS)


def moons() -> ClosedFormScore:
    angle = torch.linspace(0, math.pi, 40, dtype=F64)
    outer = torch.stack([angle.cos(), angle.sin()], 1)
    inner = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    means = torch.cat([outer, inner])
    count = len(means)
    return MixtureScore(torch.full((count,), 1 / count, dtype=F64), means - means.mean(0),
                        torch.full((count,), 0.1**2, dtype=F64), PROCESS)  # fmt: skip


LAWS = {"gaussian": gaussian, "moons": moons}


def trained(law: str, weighting: str, limit: str) -> Row:
    """One training, certified with a proved constant."""
    reference = LAWS[law]()
    generator = torch.Generator().manual_seed(1)
    data = reference.sample_marginal(POINTS, generator=generator).float()
    score = train_score(Perceptron(2, WIDTH, DEPTH, seed=2), data, PROCESS,
                        weighting=WEIGHTINGS[weighting], regularise=LIMITS[limit],
                        steps=UPDATES)  # fmt: skip
    found = certify(score, reference, **SOLVER, n=PAIRS, level=LEVEL, constant=certified(score))
    rungs = {rung.name: rung for rung in found.rungs}
    theorem = rungs["theorem, integral"]
    return {
        "law": law, "weighting": weighting, "limit": limit,
        "layers' product": layer_product(score.network.lipschitz_layers()),
        "theorem, proved": theorem.upper.value,
        "in continuous time": theorem.details.integral.value,
        "certificate": float(found.upper), "by": found.best().name,
        "transport": rungs["coupled transport"].estimate.value, "lower": float(found.lower),
        "spread": found.spread,
    }  # fmt: skip


def cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """All trainings by name."""
    short = [(law, w, limit) for law in LAWS for limit in EVERYWHERE for w in WEIGHTINGS]
    rest = [("gaussian", "edm", limit) for limit in LIMITS if limit not in EVERYWHERE]
    rest.append(("moons", "edm", "clip .1"))
    for case in (*short, *rest):
        yield " ".join(case), lambda case=case: trained(*case)


def lines_of(rows: list[Row]) -> list[Row]:
    """The table."""
    number = lambda v: f"{v:.3g}" if isinstance(v, float) else v
    return [{k: number(v) for k, v in row.items() if k != "key"} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=math.inf)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not campaign("training", cases(), asked.budget):
        print("stopped by the budget; call again to go on\n")
    print(table(lines_of(read("training"))))


if __name__ == "__main__":
    main()
