"""The certificate's paper again: log J against log W with the bound's line, constants, horizon.

    python -m benchmarks.certificate_paper [--epochs 150] [--budget SECONDS]

Three data sets in the plane, ten steps, networks trained from a bad start, none, spectrally capped
or clipped; then four clusters with 10 to 200 steps, from the prior. One JSON line per training in
``results/certificate_paper.jsonl``: a stopped run goes on where it was. Prints the tables of
``docs/theory/reproduction.md`` and draws its figures. The paper trains 1000 epochs; 150 are the
default here, about ten minutes of one quiet core.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.certificate import campaign, read
from benchmarks.machine import ROOT, table
from benchmarks.paper_chain import EXACT, Chain, pair, rows
from benchmarks.paper_network import StepNetwork, coupled, law, noised, score_at, train
from wasserscore.certificate.search import highest
from wasserscore.certificate.statistics import mean_limit
from wasserscore.distance import sliced_w2, w2
from wasserscore.report.canvas import ACCENT, BAD, GOOD, INK, MUTED, PALETTE, figure_bytes, new
from wasserscore.score import MixtureScore
from wasserscore.training import SpectralCap, WeightClip

Row = dict[str, object]
NAME = "paper"
SETS = ("gaussian", "moons", "clusters")
LIMITS = {"none": None, "spectral": SpectralCap(1.0), "clip": WeightClip(0.1)}
HORIZONS = (10, 50, 100, 200)
POINTS, CLOUD, LEVEL = 5000, 1000, 0.95
WATCHED = (-1, 0, 1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 150, 250, 400, 700, 1000)
"""Epochs after which everything is measured; with limits on the weights only a few."""
SOME = (-1, 3, 20, 60)


def errors(network: StepNetwork, reference: MixtureScore, chain: Chain,
           generator: torch.Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean squared score error and mean squared denoising error, per step."""
    exact, denoising = [], []
    for k, t in enumerate(chain.clock.tolist()):
        x, z = noised(reference, chain, k, 2 * CLOUD, generator)
        s = score_at(network, chain, k)(x).detach()
        exact.append((s - reference(x, t)).square().sum(1).mean())
        denoising.append((s + z / chain.variance[k].sqrt()).square().sum(1).mean())
    return torch.stack(exact), torch.stack(denoising)


def quadrant(network: StepNetwork, chain: Chain) -> Tensor:
    """The notebook's constants: difference quotients between 10 x 10 points of [0, .9]^2."""
    side = torch.arange(10, dtype=torch.float64) / 10
    x = torch.cartesian_prod(side, side)
    step = x[:, None] - x[None]
    size = step.square().sum(-1)
    found = []
    for k in range(len(chain.betas)):
        s = score_at(network, chain, k)(x).detach()
        slope = ((s[:, None] - s[None]) * step).sum(-1) / size
        found.append(slope[size > 0].max())
    return torch.stack(found)


def searched(network: StepNetwork, chain: Chain, points: Tensor, steps: int) -> Tensor:
    """The largest local constant that a search of the plane finds, a lower estimate too."""
    side = torch.linspace(-1.5, 1.5, 25, dtype=torch.float64)
    x = torch.cat([torch.cartesian_prod(side, side), points])
    return torch.tensor(
        [highest(score_at(network, chain, k), x, 0.0, steps=steps).value
         for k in range(len(chain.betas))], dtype=torch.float64,
    )  # fmt: skip


def measured(network: StepNetwork, reference: MixtureScore, chain: Chain, epoch: int) -> Row:
    """Objectives, distances, constants and bounds of one network."""
    generator = torch.Generator().manual_seed(1000 + epoch)
    b, denoising = errors(network, reference, chain, generator)
    start, _ = noised(reference, chain, len(chain.betas) - 1, CLOUD, generator)
    x, y = coupled(network, reference, chain, start, start, generator)
    seen, theirs = searched(network, chain, y[:200], 4), quadrant(network, chain)
    weighted = lambda error: float((chain.betas * error).sum() / 2)
    squares = (x - y).square().sum(1)
    fresh = reference.sample_marginal(128, generator=generator)
    intercept, integral = chain.intercept(seen), chain.integral(seen, b)
    return {
        "epoch": epoch,
        "J_DSM": weighted(denoising), "J_SM": weighted(b),
        "W2": float(w2(x, y)), "coupling": float(squares.mean().sqrt()),
        "coupling <=": math.sqrt(mean_limit(squares, LEVEL)),
        "sliced, 128 points": float(sliced_w2(fresh, y[:128], projections=50, seed=max(epoch, 0))),
        "intercept": intercept, "intercept, quadrant": chain.intercept(theirs),
        "integral bound": integral,
        "bound": math.exp(intercept) * math.sqrt(weighted(b)),
        "bound, J_DSM": math.exp(intercept) * math.sqrt(weighted(denoising)),
    }  # fmt: skip


def trained(name: str, limit: str, epochs: int) -> Row:
    """One training, watched."""
    chain = Chain.sigmoid(10)
    reference = law(name, chain)
    data = reference.sample_marginal(POINTS, generator=torch.Generator().manual_seed(7))
    watched = WATCHED if limit == "none" else SOME
    curve = [
        measured(network, reference, chain, epoch)
        for epoch, network in train(chain, data, epochs, limits=LIMITS[limit])
        if epoch == epochs or epoch in watched
    ]
    return {"set": name, "limit": limit, "epochs": epochs, "curve": curve}


def from_prior(steps: int, epochs: int) -> Row:
    """Clusters with another number of steps, sampled from the standard normal."""
    chain = Chain.sigmoid(steps)
    reference = law("clusters", chain)
    generator = torch.Generator().manual_seed(7)
    data = reference.sample_marginal(POINTS, generator=generator)
    *_, (_, network) = train(chain, data, epochs, ascent=0)
    start, _ = noised(reference, chain, steps - 1, CLOUD, generator)
    prior = torch.randn(CLOUD, 2, generator=generator, dtype=torch.float64)
    x, y = coupled(network, reference, chain, start, prior, generator)
    exact, _ = pair(chain, 0.5, 0.01)
    constants = {
        "exact score": exact, "search": searched(network, chain, y[:200], 0),
        "quadrant": quadrant(network, chain),
    }  # fmt: skip
    apart = start_distance(chain)
    growth = {key: float(chain.log_growth(value)[-1]) for key, value in constants.items()}
    return {
        "steps": steps, "epochs": epochs, "W2(p_T, prior)": apart, "W2": float(w2(x, y)),
        "log offset": {key: value + math.log(apart) for key, value in growth.items()},
        "L": {key: value.tolist() for key, value in constants.items()},
    }  # fmt: skip


def start_distance(chain: Chain) -> float:
    """W2 between the noised clusters and N(0, I): twice the squared distance on the line."""
    mean = float(chain.kept[-1]) ** 0.5 / 2
    width = float(chain.kept[-1] * 0.01 + chain.variance[-1])
    z = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    cdf = sum(torch.special.ndtr((z - m) / width**0.5) for m in (-mean, mean)) / 2
    inside = (cdf > 1e-15) & (cdf < 1 - 1e-15)
    normal, density = torch.special.ndtri(cdf[inside]), cdf.diff(prepend=cdf[:1])[inside]
    return math.sqrt(2 * float(((normal - z[inside]).square() * density).sum()))


def cases(epochs: int) -> Iterator[tuple[str, Callable[[], Row]]]:
    """All trainings by name."""
    for limit in LIMITS:
        for name in SETS:
            yield (f"{name} {limit} {epochs}",
                   lambda name=name, limit=limit: trained(name, limit, epochs))  # fmt: skip
    for steps in HORIZONS:
        yield f"clusters, {steps} steps {epochs}", lambda steps=steps: from_prior(steps, epochs)


def lines_of(curves: list[Row]) -> list[Row]:
    """One line per training: where it ends, and whether any point lies above its bound."""
    found = list[Row]()
    for row in curves:
        last, curve = row["curve"][-1], row["curve"]
        ours = [p for p in curve if p["epoch"] > 0]
        slopes = {
            key: slope_of([math.log(p[key]) for p in ours], [math.log(p["W2"]) for p in ours])
            for key in ("J_DSM", "J_SM")
        }
        found.append({
            "data": row["set"], "limit": row["limit"],
            **{key: f"{last[key]:.3g}" for key in
               ("J_DSM", "J_SM", "W2", "coupling <=", "integral bound", "bound", "bound, J_DSM")},
            "intercept": f"{last['intercept']:.2f}",
            "in their quadrant": f"{last['intercept, quadrant']:.2f}",
            "slope by J_DSM, J_SM": f"{slopes['J_DSM']:.1f}, {slopes['J_SM']:.2f}",
            "W2 above its bound": f"{sum(p['W2'] > p['bound'] for p in curve)} of {len(curve)}",
            "above the last one's line": sum(
                math.log(p["W2"]) > math.log(p["J_DSM"]) / 2 + last["intercept"] for p in curve
            ),
        })  # fmt: skip
    return found


def slope_of(x: list[float], y: list[float]) -> float:
    """Least squares."""
    return statistics.linear_regression(x, y).slope


def sliced_gap(curves: list[Row]) -> Row:
    """By how much the notebook's ordinate is below log W2."""
    gaps = [math.log(p["W2"] / p["sliced, 128 points"]) for row in curves for p in row["curve"]
            if p["W2"] > 0.3]  # fmt: skip
    return {"points with W2 > .3": len(gaps),
            "median log(W2 / sliced)": f"{statistics.median(gaps):.2f}",
            "smallest": f"{min(gaps):.2f}", "largest": f"{max(gaps):.2f}"}  # fmt: skip


def horizons(found: list[Row]) -> list[Row]:
    """The offset I(T) W2(p_T, prior) with three constants."""
    size = lambda log: f"{math.exp(log):.3g}" if log < 700 else f"e^{log:.0f}"
    return [
        {"steps": row["steps"], "W2(p_T, prior)": f"{row['W2(p_T, prior)']:.3f}",
         **{f"offset, {key}": size(log) for key, log in row["log offset"].items()},
         "W2": f"{row['W2']:.3f}"}
        for row in found
    ]  # fmt: skip


def scatter(curves: list[Row]) -> None:
    """Log J against log W, one panel per data set, with lines."""
    figure, (axes,) = new(9.6, 3.4, columns=3)
    floors = {"gaussian": EXACT[0], "clusters": EXACT[1]}
    for axis, name in zip(axes, SETS, strict=True):
        curve = next(r["curve"] for r in curves if (r["set"], r["limit"]) == (name, "none"))
        x = torch.tensor([math.log(p["J_DSM"]) for p in curve])
        axis.plot(x, [math.log(p["W2"]) for p in curve], "o", ms=4, color=ACCENT,
                  label="W2 by J_DSM")  # fmt: skip
        axis.plot([math.log(p["J_SM"]) for p in curve], [math.log(p["W2"]) for p in curve], "s",
                  ms=3, color=GOOD, label="W2 by J_SM")  # fmt: skip
        axis.plot([math.log(p["J_SM"]) for p in curve], [math.log(p["bound"]) for p in curve], "_",
                  ms=7, color=INK, label="its own bound")  # fmt: skip
        axis.plot([math.log(p["J_DSM"] / 2) for p in curve],
                  [math.log(p["sliced, 128 points"]) for p in curve], "o", ms=4, mfc="none",
                  color=MUTED, label="as published: sliced, J / 2")  # fmt: skip
        ends = torch.tensor([min(math.log(p["J_SM"]) for p in curve), float(x.max())])
        last = curve[-1]
        axis.plot(ends, ends / 2 + last["intercept"], color=INK, lw=1.2,
                  label="line of the last network")  # fmt: skip
        axis.plot(ends, ends / 2 + last["intercept, quadrant"], "--", color=MUTED, lw=1,
                  label="as published: one quadrant")  # fmt: skip
        if name in floors:
            _, centre, variance = floors[name]
            chain = Chain.sigmoid(10)
            floor = 2 * chain.floor(pair(chain, centre, variance)[1])
            axis.axvline(math.log(floor), color=BAD, lw=0.8, ls=":",
                         label="J_DSM of the exact score")  # fmt: skip
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("log J", fontsize=8)
    axes[0].set_ylabel("log W", fontsize=8)
    axes[0].legend(fontsize=6, frameon=False, loc="upper left")
    write("certificate_paper.png", figure)


def constants(curves: list[Row], found: list[Row]) -> None:
    """What limits do to intercept and W2, the constants at T = 100, the offset by horizon."""
    figure, ((left, middle, right),) = new(9.6, 3.2, columns=3)
    for name, colour in zip(SETS, PALETTE, strict=False):
        for limit, mark in zip(LIMITS, "osD", strict=True):
            last = next(r["curve"][-1] for r in curves if (r["set"], r["limit"]) == (name, limit))
            left.plot(last["intercept"], last["W2"], mark, color=colour, ms=6,
                      label=f"{name}, {limit}")  # fmt: skip
    left.set(xlabel="intercept", ylabel="W2 after training", yscale="log")
    left.legend(fontsize=5.5, frameon=False)
    hundred = next(r for r in found if r["steps"] == 100)
    styles = {"exact score": ("-", INK), "search": ("-", ACCENT), "quadrant": ("--", MUTED)}
    for key, (style, colour) in styles.items():
        middle.plot(range(1, 101), hundred["L"][key], style, color=colour, label=key)
        right.plot([r["steps"] for r in found], [r["log offset"][key] for r in found], style,
                   marker="o", ms=3, color=colour, label=key)  # fmt: skip
    middle.axhline(-1, color=BAD, lw=0.8, ls=":")
    middle.set(xlabel="step of 100", ylabel="one-sided constant", ylim=(-5, 60))
    right.plot([r["steps"] for r in found], [math.log(r["W2"]) for r in found], "s", ms=3,
               color=GOOD, label="W2 itself")  # fmt: skip
    right.set(xlabel="steps T", ylabel="log of I(T) W2(p_T, prior)")
    for axis in (middle, right):
        axis.legend(fontsize=6, frameon=False)
    for axis in (left, middle, right):
        axis.xaxis.label.set_size(8)
        axis.yaxis.label.set_size(8)
    write("certificate_paper_constants.png", figure)


def write(name: str, figure: object) -> None:
    (ROOT / "docs" / "figures" / name).write_bytes(figure_bytes(figure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--budget", type=float, default=math.inf)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(table(rows()), end="\n\n")
    if not campaign(NAME, cases(asked.epochs), asked.budget):
        print("stopped by the budget; call again to go on")
        return
    found = read(NAME)
    curves = [row for row in found if row.get("epochs") == asked.epochs and "curve" in row]
    priors = [row for row in found if "steps" in row]
    print(table(lines_of(curves)), end="\n\n")
    print(table([sliced_gap(curves)]), end="\n\n")
    print(table(horizons(priors)))
    scatter(curves)
    constants(curves, priors)


if __name__ == "__main__":
    main()
