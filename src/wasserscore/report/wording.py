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


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, in plain notation where that is short."""
    if value is None:
        return MISSING
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    return f"{float(f'{value:.{digits}g}'):,g}"


def estimate(e: Mapping[str, Any] | None, *, percent: bool = False) -> str:
    """``value ± stderr``, the value rounded to the digits that its error leaves.

    >>> estimate({"value": 2.6283, "stderr": 0.0312})
    '2.63 ± 0.03'
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
    places = decimals(error)
    if places > 5:
        return f"{value:.1e} ± {error:.0e}"
    rounded = round(value, places) + 0.0  # a negative zero loses its sign
    return f"{rounded:,.{places}f} ± {error:.{places}f}"


def decimals(error: float) -> int:
    """Decimal places that show one significant digit of ``error`` (at most two more than none)."""
    places = 0
    while places < 12 and round(error, places) == 0:
        places += 1
    return max(places, 1)


def tone(verdict: str) -> str:
    """The colour class of an audit's verdict: bad, warn, good, or neutral."""
    for word, name in (("memoriz", "bad"), ("suspicious", "warn"), ("no sign", "good")):
        if word in verdict:
            return name
    return "neutral"
