"""Numbers as people read them: value ± error, percent, arrows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """One column of the metrics table.

    Args:
        key: Name in ``results["models"][i]["metrics"]``.
        label: Heading.
        better: "lower" or "higher"; the arrow beside the heading.
        meaning: One line for the tooltip and the legend under the table.
        percent: Whether the value is a share.
    """

    key: str
    label: str
    better: str
    meaning: str
    percent: bool = False

    @property
    def arrow(self) -> str:
        """The direction in which this number improves."""
        return "↓" if self.better == "lower" else "↑"

    def best(self, values: list[float | None]) -> float | None:
        """The best of the values that are there."""
        there = [value for value in values if value is not None]
        return (min if self.better == "lower" else max)(there) if there else None


COLUMNS = (
    Column("w2", "W2", "lower", "exact Wasserstein-2 distance to the held-out rows"),
    Column("sliced_w2", "sliced W2", "lower", "W2 of random one-dimensional projections"),
    Column("mmd", "MMD²", "lower", "squared maximum mean discrepancy, Gaussian kernel"),
    Column("frechet", "Fréchet", "lower", "squared W2 between the fitted Gaussians"),
    Column(
        "log_likelihood", "log-likelihood", "higher", "mean held-out log density, nats per row"
    ),
    Column("coverage", "coverage", "higher", "held-out rows with a sample nearby", percent=True),
    Column("copy_rate", "copies", "lower", "samples that are training rows", percent=True),
)


@dataclass(frozen=True)
class AuditRow:
    """One line of an audit's table.

    Args:
        label: What is counted.
        meaning: The same in a sentence.
        own: The estimate for generated rows.
        fresh: For held-out rows, or None.
        percent: Whether it is a share.
    """

    label: str
    meaning: str
    own: Mapping[str, Any]
    fresh: Mapping[str, Any] | None
    percent: bool


AUDIT = (
    ("exact_rate", "exact copies", "equal to a training row", True),
    ("copy_rate", "copies", "nearer to a training row than 99 % of training rows to others", True),
    ("nn_ratio", "repeats", "three times nearer to one training row than to any other", True),
    ("authenticity", "authentic", "farther from a training row than that row's neighbour", True),
    (
        "nearest_distance",
        "distance to train",
        "median distance to the nearest training row",
        False,
    ),
    ("closer", "closer", "pairs in which the generated row is the closer one; ideal 50 %", True),
    ("z_u", "Z_U", "the same in standard units; below -3 speaks of copying", False),
    ("c_t", "C_T", "the same cell by cell; below -3 speaks of copying", False),
    (
        "exposure",
        "closer to rare rows",
        "of the 5 % of training rows farthest from any other, those to which a generated row is "
        "nearer than a held-out one; ideal 50 %",
        True,
    ),
    ("precision", "precision", "generated rows among held-out rows", True),
    ("recall", "recall", "held-out rows among generated rows", True),
    ("density", "density", "held-out rows around a generated row; ideal 1", False),
    ("coverage", "coverage", "held-out rows with a generated row nearby", True),
    ("likelihood_train", "log-likelihood", "of the model at training rows, nats", False),
    ("likelihood_gap", "likelihood gap", "that minus the one of held-out rows", False),
    ("likelihood_gap_others", "gap of others", "without each row's own component", False),
    ("local_dimension", "local dimension", "room to move that the model sees; 0: none", False),
)
FRESH = {"likelihood_train": "likelihood_holdout"}
"""Where the number of held-out rows has a name of its own."""


def audit_rows(audit: Mapping[str, Any]) -> list[AuditRow]:
    """The numbers of an audit that are there, in the order of the reader's questions."""
    found = {**audit, **(audit.get("prdc") or {})}
    return [
        AuditRow(label, meaning, found[key], found.get(FRESH.get(key, f"{key}_holdout")), percent)
        for key, label, meaning, percent in AUDIT
        if found.get(key) is not None
    ]


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, in plain notation where that is short."""
    if value is None:
        return MISSING
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    return f"{float(f'{value:.{digits}g}'):,g}"


def estimate(e: Mapping[str, Any] | None, *, percent: bool = False) -> str:
    """``value ± stderr``, the value rounded to the digits that its error leaves.

    An error has one digit, or two where the first is a one: 0.1 may be anything from 0.05 to 0.15.

    >>> estimate({"value": 2.6283, "stderr": 0.0312})
    '2.63 ± 0.03'
    >>> estimate({"value": 0.6616, "stderr": 0.1571})
    '0.66 ± 0.16'
    >>> estimate({"value": 0.123, "stderr": None}, percent=True)
    '12.3 %'
    """
    if e is None or e.get("value") is None:
        return MISSING
    value, error = e["value"], e.get("stderr")
    if percent:
        return f"{100 * value:.1f} %" if 0 < value < 0.9995 else f"{100 * value:.0f} %"
    if not error:
        return number(value)
    places = _decimals(error)
    if places > 5:
        return f"{value:.1e} ± {error:.0e}"
    rounded = round(value, places) + 0.0  # a negative zero loses its sign
    return f"{rounded:,.{places}f} ± {error:.{places}f}"


def _decimals(error: float) -> int:
    """Decimal places that show the digits of ``error`` that count, at least one."""
    first, _, exponent = f"{error:.1e}".partition("e")
    return max(1, first.startswith("1") - int(exponent or 0))


def tone(verdict: str) -> str:
    """The colour class of an audit's verdict: bad, warn, good, or neutral."""
    for word, name in (("memoriz", "bad"), ("suspicious", "warn"), ("no sign", "good")):
        if word in verdict:
            return name
    return "neutral"
