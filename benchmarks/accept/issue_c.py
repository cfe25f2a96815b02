"""Issue C: the Wasserstein certificate. Campaigns keep their own lines and go on where they were.

d = 784 and 3072 need images that are not part of the project: ``python -m
benchmarks.certificate_large --data DIR``. The rows of known tables (true W2 <= coupling <= matrix
<= integral <= Cauchy-Schwarz, to 1e-6) are in the default tests.
"""

import math
import statistics
from pathlib import Path

from benchmarks import (
    certificate,
    certificate_coverage,
    certificate_digits,
    certificate_discrete,
)
from benchmarks.accept.check import Check, Outcome

ODE = {10: 1.12, 20: 0.72, 40: 0.55}
"""Root mean squares of a prototype with 256 pairs (+- 0.12): Heun from the prior."""
SDE = {40: 0.75 * 2.57, 100: 0.75 * 2.21, 400: 1.48}
"""Exponential integrator: a quarter below the prototype's transport on the same grid (Karras), and
what it had with 400 steps on another."""
FLOOR = 2.8
"""W2 of two independent samples of the digits' law, 1,000 points each."""


def ratios(family: str = "") -> list[float]:
    """best() over the true distance, of one family or of all."""
    asked = list(certificate.FAMILIES)
    certificate.campaign("soundness", certificate.problems(asked), math.inf)
    rows = [r for r in certificate.read("soundness") if family in str(r["family"])]
    return [float(r["best"]) / float(r["truth"]) for r in rows]


def soundness(scratch: Path) -> Outcome:
    """500 problems of known distance at level .999."""
    found = ratios()
    missed = sum(ratio < 1 - certificate.NUMERICAL for ratio in found)
    return Outcome(f"{missed} of {len(found)} missed, smallest {min(found):.4f}",
                   len(found) >= 500 and missed <= 3)  # fmt: skip


def tightness(scratch: Path) -> Outcome:
    """Medians of best() over the truth."""
    one, every = statistics.median(ratios("gaussian")), statistics.median(ratios())
    return Outcome(f"(i) {one:.3f}, all {every:.3f}", one <= 1.25 and every <= 1.6)


def coverage(scratch: Path) -> Outcome:
    """Every limit over 500 replicates at level .95."""
    certificate.campaign("coverage", certificate_coverage.cases(), math.inf)
    shares = [
        (name, float(value))
        for row in certificate.read("coverage")
        for name, value in row.items()
        if "finite_sample" in name or "asymptotic" in name
    ]
    finite = [share for name, share in shares if "finite_sample" in name]
    rest = [share for name, share in shares if "asymptotic" in name]
    text = (f"finite_sample at least {min(finite):.3f} ({len(finite)} limits); asymptotic "
            f"{min(rest):.3f} to {max(rest):.3f}")  # fmt: skip
    return Outcome(text, min(finite) >= 0.95)


def discrete(scratch: Path) -> Outcome:
    """Coarse samplers and networks in d > 1."""
    certificate.campaign("discrete", certificate_discrete.cases(), math.inf)
    rows = certificate.read("discrete")
    held = sum(row["lower <= upper"] is True for row in rows)
    inside = sum(row["upper >= interval's low end"] in (True, "-") for row in rows)
    return Outcome(f"lower <= upper in {held}, upper above the interval's low end in {inside} of "
                   f"{len(rows)}", held == inside == len(rows))  # fmt: skip


def digits_rows(sampler: str) -> dict[int, dict[str, object]]:
    """The kept rows of the exact score on digits, started from the prior, by steps."""
    return {
        int(str(row["steps"])): row
        for key, row in certificate_digits.kept().items()
        if key[:3] == ("digits", "exact", sampler) and key[3] in (0.0, 1.0) and key[5] == "prior"
    }


def missing(rows: dict[int, dict[str, object]], steps: dict[int, float], column: str) -> bool:
    return any(not rows.get(k, {}).get(column) for k in steps)


def digits_flow(scratch: Path) -> Outcome:
    """Probability flow, exact score, 256 pairs."""
    rows = digits_rows("heun")
    if missing(rows, ODE, "synchronous"):
        certificate_digits.main(["--only", "digits", "--cases", "0", "1", "2", "--cloud", "0"])
        rows = digits_rows("heun")
    found = {k: float(str(rows[k]["synchronous"])) for k in ODE}
    text = ", ".join(f"{k} steps {v:.2f}" for k, v in found.items())
    return Outcome(text, all(found[k] <= ODE[k] + 0.12 for k in ODE))


def digits_reverse(scratch: Path) -> Outcome:
    """Reverse SDE, exact score: the best coupling of each row."""
    rows = digits_rows("exponential")
    if missing(rows, SDE, "synchronous"):
        certificate_digits.main(["--only", "digits", "--cases", "5", "6", "7", "--cloud", "4096",
                                 "--batches", "3"])  # fmt: skip
        rows = digits_rows("exponential")
    names = ("synchronous", "transport", "restarted")
    found = {k: min(float(str(rows[k][c])) for c in names if rows[k][c] != "") for k in SDE}
    text = ", ".join(f"{k} steps {v:.2f}" for k, v in found.items())
    return Outcome(text, all(found[k] <= SDE[k] and found[k] < FLOOR for k in SDE))


CHECKS = [
    Check("soundness", "at most 3 misses in 500", soundness),
    Check("tightness", "median best/true <= 1.25 for (i), <= 1.6 over all", tightness),
    Check("coverage", "finite_sample >= .95; asymptotic printed", coverage),
    Check("discrete", "lower <= upper, upper above the interval's low end", discrete),
    Check("digits flow", f"at most {ODE} (+- .12)", digits_flow),
    Check(
        "digits reverse",
        "a quarter below a prototype, below the plug-in floor of 2.8",
        digits_reverse,
    ),
]
