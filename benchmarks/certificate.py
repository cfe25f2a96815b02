"""Is the certificate ever wrong, and how near is it? Campaigns on problems with known answers.

    python -m benchmarks.certificate soundness [--budget SECONDS] [--families gaussian line affine]
    python -m benchmarks.certificate coverage [--budget SECONDS]
    python -m benchmarks.certificate discrete [--budget SECONDS]
    python -m benchmarks.certificate variance [--budget SECONDS]
    python -m benchmarks.certificate again --problem "affine 118"
    python -m benchmarks.certificate tables

``soundness`` runs what is missing of 200 linear Gaussian problems, 150 on the line and 150 moved
mixtures, appends one JSON line per problem and prints the table; with a budget it stops in time
and goes on from there at the next call. ``coverage`` counts how often limits hold in 500
replicates, ``discrete`` runs coarse samplers and networks in d > 1, ``variance`` measures what
control variates, antithetic and stratified starts save, ``again`` bounds one problem with twenty
other seeds, ``tables`` prints what there is. Run from the root of the repository.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

import torch
from tests.problems import affine, gaussian, line
from tests.problems.base import Problem

from benchmarks import certificate_coverage, certificate_discrete, certificate_variance, resumable
from benchmarks.machine import table
from wasserscore.certificate import certify

Row = dict[str, object]
LEVEL = 0.999
NUMERICAL = 1e-6
"""Relative accuracy of a truth by moments or quantiles; smaller differences are no miss."""
FAMILIES: dict[str, tuple[int, Callable[[int], Problem]]] = {
    "gaussian": (200, gaussian.random_problem),
    "line": (150, line.random_problem),
    "affine": (150, affine.random_problem),
}
TITLES = {
    "gaussian": "(i) linear Gaussian, moments",
    "line": "(ii) d = 1, quantiles",
    "affine": "(iii) mixtures moved by an affine map, d = 1..10",
}


def measured(problem: Problem, **options: int) -> Row:
    """Truth and certificate of one problem."""
    begin = time.perf_counter()
    truth = problem.w2()
    with certificate_coverage.without_lower_estimates():
        found = certify(problem.score, problem.reference, level=LEVEL,
                        **(problem.settings() | options))  # fmt: skip
    best = found.best()
    return {
        "name": problem.name,
        "eta": problem.noise_level,
        "start": problem.start,
        "truth": truth,
        "best": best.upper.value,
        "rung": best.name,
        "kind": best.upper.kind,
        "spread": found.spread,
        "seconds": round(time.perf_counter() - begin, 2),
    }


def again(key: str, seeds: int = 20) -> None:
    """One problem with seeds of its own: is a miss bad luck or a mistake?"""
    family, i = key.split()
    problem = FAMILIES[family][1](int(i))
    ratios = []
    for seed in range(1, seeds + 1):
        row = measured(problem, seed=seed)
        ratios.append(float(row["best"]) / float(row["truth"]))
    print(f"{problem.name}: best/true over {seeds} seeds from {min(ratios):.4f} to "
          f"{max(ratios):.4f}, {sum(r < 1 for r in ratios)} below 1")  # fmt: skip


def read(name: str) -> list[Row]:
    """Rows measured so far."""
    return resumable.read(f"certificate_{name}")


def problems(families: list[str]) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The problems of these families, taking turns."""
    for i in range(max(FAMILIES[family][0] for family in families)):
        for family in families:
            count, make = FAMILIES[family]
            if i < count:
                run = lambda f=family, i=i, make=make: {"family": f} | measured(make(i))
                yield f"{family} {i}", run


def campaign(name: str, cases: Iterable[tuple[str, Callable[[], Row]]], budget: float) -> bool:
    """Run the cases that are missing, for at most about ``budget`` seconds; whether none is."""
    return resumable.run(f"certificate_{name}", cases, budget)


def summary(rows: list[Row], title: str) -> Row:
    """One line of the table: how often below the truth, how far above it."""
    ratios = [float(r["best"]) / float(r["truth"]) for r in rows]
    worst = max(range(len(rows)), key=ratios.__getitem__)
    return {
        "family": title,
        "n": len(rows),
        "misses": sum(ratio < 1 - NUMERICAL for ratio in ratios),
        "smallest best/true": f"{min(ratios):.4f}",
        "median": f"{statistics.median(ratios):.3f}",
        "90 %": f"{sorted(ratios)[int(0.9 * len(ratios))]:.2f}",
        "worst": f"{max(ratios):.2f}",
        "worst problem": str(rows[worst]["name"]),
    }


def report() -> None:
    """Tables by family, by kind of sampler, and every miss."""
    rows = read("soundness")
    by_family = {f: [r for r in rows if r["family"] == f] for f in FAMILIES}
    found = [summary(by_family[f], TITLES[f]) for f in FAMILIES if by_family[f]]
    samplers = {
        "probability flow": lambda r: r["eta"] == 0,
        "0 < eta < 1": lambda r: 0 < r["eta"] < 1,
        "reverse SDE": lambda r: r["eta"] == 1,
    }
    general = lambda r: "product" not in str(r["name"])
    for name, chosen in (("general position, Gelbrich's bound of the sampler", general),
                         ("products, exact", lambda r: not general(r))):  # fmt: skip
        if rows_of := [r for r in by_family["affine"] if chosen(r)]:
            found.append(summary(rows_of, f"(iii) {name}"))
    print(table([*found, summary(rows, "all")]))
    split = [
        summary(chosen, f"{TITLES[f]}: {name}")
        for f in FAMILIES for name, rule in samplers.items()
        if (chosen := [r for r in by_family[f] if rule(r)])
    ]  # fmt: skip
    print()
    print(table(split))
    for row in rows:
        if float(row["best"]) < float(row["truth"]) * (1 - NUMERICAL):
            print("miss:", row)


def report_rows(name: str) -> None:
    """One table per set of columns."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    number = lambda v: f"{v:.4g}" if isinstance(v, float) else v
    for row in read(name):
        shown = {k: number(v) for k, v in row.items() if k != "key"}
        groups.setdefault(tuple(shown), []).append(shown)
    for rows in groups.values():
        print(table(rows), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "what", choices=["soundness", "coverage", "discrete", "variance", "again", "tables"]
    )
    parser.add_argument("--problem", default="affine 118", help='for "again": family and number')
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "again":
        again(asked.problem)
        return
    cases = {
        "soundness": lambda: problems(asked.families),
        "coverage": certificate_coverage.cases,
        "discrete": certificate_discrete.cases,
        "variance": certificate_variance.cases,
    }
    names = list(cases) if asked.what == "tables" else [asked.what]
    if asked.what != "tables" and not campaign(asked.what, cases[asked.what](), asked.budget):
        print("stopped by the budget; call again to go on\n")
    for name in names:
        report() if name == "soundness" else report_rows(name)


if __name__ == "__main__":
    main()
