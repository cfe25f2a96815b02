"""The proximal kernel against kernel densities and the paper's network, on few data.

    python -m benchmarks.proximal planar [--budget SECONDS]
    python -m benchmarks.proximal digits [--budget SECONDS]
    python -m benchmarks.proximal tables

``planar``: 200 points of two moons (noise .05 and .02) and of a spiral of two arms (.01), 4,000
held-out points, ten seeds; every model chooses its settings inside its own points. ``digits``:
scikit-learn's, dequantised by one grey level and cut into halves at random, ten times. One JSON
line per model and seed in ``results/proximal_*.jsonl``; a stopped run goes on. Run from the root
of the repository.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks import resumable
from benchmarks.machine import table
from wasserscore.audit import audit
from wasserscore.core.random import Streams
from wasserscore.data import targets
from wasserscore.process import VE
from wasserscore.proximal import fit_kernel, fit_proximal
from wasserscore.score.base import ClosedFormScore

Row = dict[str, object]
CLOCK = VE.constant(a=1.0, horizon=100.0)
SEEDS, POINTS, HELD, MANY = 10, 200, 4000, 20_000
SETS = {
    "moons .05": (targets.two_moons, 0.05),
    "moons .02": (targets.two_moons, 0.02),
    "spiral .01": (targets.spiral, 0.01),
}
KERNELS = {
    "KDE, one bandwidth": "isotropic",
    "KDE, one per column": "columns",
    "KDE, full covariance": "full",
}
AUTO = "proximal, auto"
PAPER_FEW = "network, fixed halves"
PAPER_MANY = "network, 20,000 fit points"
NETWORKS = (PAPER_FEW, "network, new halves", "network, new halves, likelihood", PAPER_MANY)


def fitted(model: str, points: Tensor, more: Callable[[], Tensor], seed: int) -> ClosedFormScore:
    """One model of the points; ``more`` draws fit points for the paper's regime."""
    if model in KERNELS:
        return fit_kernel(points, CLOCK, kind=KERNELS[model], seed=seed)
    if model == AUTO:
        return fit_proximal(points, CLOCK, seed=seed)
    if model == PAPER_FEW:
        half = len(points) // 2
        return fit_proximal(points[:half], CLOCK, method="network", fit_points=points[half:],
                            seed=seed)  # fmt: skip
    if model == PAPER_MANY:
        return fit_proximal(points, CLOCK, method="network", fit_points=more(), seed=seed)
    method = "network_likelihood" if model.endswith("likelihood") else "network"
    return fit_proximal(points, CLOCK, method=method, seed=seed)


def planar(name: str, model: str, seed: int) -> Row:
    """Held-out log-likelihood of one model on one draw."""
    draw, noise = SETS[name]
    streams = Streams(seed).child(name)
    points = draw(POINTS, noise=noise, generator=streams.generator("points"))
    held = draw(HELD, noise=noise, generator=streams.generator("held out"))
    more = lambda: draw(MANY, noise=noise, generator=streams.generator("more"))
    begin = time.perf_counter()
    score = fitted(model, points, more, seed)
    seconds = time.perf_counter() - begin
    report = getattr(score, "fit_report", None)
    return {
        "set": name, "model": model, "seed": seed,
        "log_likelihood": float(score.log_prob(held).mean()), "seconds": round(seconds, 2),
        "settings": None if report is None else {"method": report.method} | report.settings,
    }  # fmt: skip


def planar_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Cheap models first, then networks: two seeds of each, then two more, then the rest."""
    cheap = [(m, s) for s in range(SEEDS) for m in (*KERNELS, AUTO)]
    parts = (range(2), range(2, 4), range(4, SEEDS))
    dear = [(m, s) for part in parts for m in NETWORKS for s in part]
    for model, seed in (*cheap, *dear):
        for name in SETS:
            yield f"{name}/{model}/{seed}", lambda n=name, m=model, s=seed: planar(n, m, s)


def digits_rows(seed: int) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1] in random order, without the constant columns, and what they show.

    Noise of one grey level is on all.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    raw = torch.from_numpy(bunch.data) / 8 - 1
    raw = raw[:, raw.std(0) > 0]
    generator = Streams(seed).generator("digits")
    order = torch.randperm(len(raw), generator=generator)
    noise = torch.rand(raw.shape, generator=generator, dtype=torch.float64) - 0.5
    return (raw + noise / 8)[order], torch.from_numpy(bunch.target)[order]


def digits_halves(seed: int) -> tuple[Tensor, Tensor]:
    """The first half of the rows and the second."""
    points, _ = digits_rows(seed)
    half = len(points) // 2
    return points[:half], points[half:]


def digits(seed: int) -> Row:
    """Every model on one split, and the audit of as many samples as there are training rows."""
    train, held = digits_halves(seed)
    row: Row = {"seed": seed}
    for name, kind in KERNELS.items():
        kernel = fit_kernel(train, CLOCK, kind=kind, seed=seed)
        row[name] = float(kernel.log_prob(held).mean())
    begin = time.perf_counter()
    score = fit_proximal(train, CLOCK, seed=seed)
    drawn = score.sample_marginal(1000, 0.0, generator=Streams(seed).generator("samples"))
    row["seconds"] = round(time.perf_counter() - begin, 2)
    row[AUTO] = float(score.log_prob(held).mean())
    row["method"] = score.fit_report.method
    found = audit(train=train, generated=drawn[: len(held)], holdout=held, seed=seed)
    row |= {
        "copies": found.copy_rate.value, "copies of held-out rows": found.copy_rate_holdout.value,
        "exact copies": found.exact_rate.value, "nn_ratio": found.nn_ratio.value,
        "closer": found.closer.value, "verdict": found.verdict,
    }  # fmt: skip
    return row


def digits_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    for seed in range(SEEDS):
        yield str(seed), lambda s=seed: digits(s)


def mean_with_error(values: list[float]) -> str:
    """Mean and its standard error."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "not run"
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.3f} ± {error:.3f}"


def planar_tables() -> None:
    """Log-likelihoods, and their differences to one-bandwidth kernel densities, seed by seed."""
    rows = resumable.read("proximal_planar")
    value = {(r["set"], r["model"], r["seed"]): float(r["log_likelihood"]) for r in rows}
    models = [m for m in (*KERNELS, AUTO, *NETWORKS) if any(key[1] == m for key in value)]
    means, gaps = [], []
    for model in models:
        mine = [r for r in rows if r["model"] == model]
        seconds = statistics.median(float(r["seconds"]) for r in mine)
        mean: Row = {"model": model}
        gap: Row = {"model": model}
        for name in SETS:
            seeds = [s for s in range(SEEDS) if (name, model, s) in value]
            mean[name] = mean_with_error([value[name, model, s] for s in seeds])
            gap[name] = mean_with_error([
                value[name, model, s] - max(value[name, k, s] for k in KERNELS) for s in seeds
            ])  # fmt: skip
        count = min(sum(r["set"] == name for r in mine) for name in SETS)
        means.append(mean | {"seeds": count, "seconds, median": f"{seconds:.1f}"})
        gaps.append(gap)
    print("Nats per held-out point:\n")
    print(table(means))
    print("\nMinus the best kernel density of the same seed:\n")
    print(table([g for g in gaps if g["model"] not in KERNELS]))


def digits_tables() -> None:
    """Log-likelihoods, the gain over the best kernel density, and the audits."""
    rows = resumable.read("proximal_digits")
    gains = [float(r[AUTO]) - max(float(r[k]) for k in KERNELS) for r in rows]
    shown = [
        {"model": name, "nats per held-out digit": mean_with_error([float(r[name]) for r in rows])}
        for name in (*KERNELS, AUTO)
    ]
    print(table(shown))
    print(f"\nGain over the best kernel density of the same split: {mean_with_error(gains)},"
          f" least {min(gains):.2f}, {len(gains)} splits.\n")  # fmt: skip
    keys = ("seed", "method", "copies", "copies of held-out rows", "exact copies", "nn_ratio",
            "closer", "verdict", "seconds")  # fmt: skip
    short = lambda v: f"{v:.4f}" if isinstance(v, float) else v
    print(table([{k: short(r[k]) if k != "seconds" else r[k] for k in keys} for r in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["planar", "digits", "tables"])
    parser.add_argument("--budget", type=float, default=float("inf"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases = {"planar": planar_cases, "digits": digits_cases}
    names = list(cases) if asked.what == "tables" else [asked.what]
    if asked.what != "tables":
        name = f"proximal_{asked.what}"
        if not resumable.run(name, cases[asked.what](), asked.budget):
            print("stopped by the budget; call again to go on\n")
    for name in names:
        planar_tables() if name == "planar" else digits_tables()


if __name__ == "__main__":
    main()
