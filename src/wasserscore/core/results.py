"""Results: frozen records that know their units and turn into plain JSON."""

import math
from dataclasses import dataclass, fields, is_dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from torch import Tensor


def plain(value: Any) -> Any:
    """``value`` as JSON types only: records and tensors unfold, NaN and infinity become None."""
    if isinstance(value, float):  # first: a layout of many columns has millions
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Record):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


@dataclass(frozen=True)
class Record:
    """Base of every result."""

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON types (NaN and infinity become None), records in it likewise."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True)
class Estimate(Record):
    """A number with its error bar.

    Args:
        value: The estimate.
        stderr: Its standard error, None for a number that is exact.
        n: How many points, pairs or resplits it rests on.
        status: "ok", or what went wrong in computing it.
        units: Units of ``value``.
    """

    value: float
    stderr: float | None = None
    n: int | None = None
    status: str = "ok"
    units: str = "data units"

    def __float__(self) -> float:
        return self.value

    def upper(self, level: float = 0.95) -> float:
        """One-sided normal upper limit (equal to the value where there is no error bar)."""
        return self.value + NormalDist().inv_cdf(level) * (self.stderr or 0.0)

    def __repr__(self) -> str:
        text = f"{self.value:.4g}"
        if self.stderr is not None:
            text += f" ± {self.stderr:.2g}"
        if self.n is not None:
            text += f" (n={self.n})"
        return (
            text
            + (f" {self.units}" if self.units else "")
            + ("" if self.status == "ok" else f" [{self.status}]")
        )


def share_error(share: float, n: int | float) -> float:
    """Standard error of a share of independent trials: none or all of them is no certainty.

    That of a share with half a hit and half a miss more.

    Args:
        share: In [0, 1].
        n: How many trials.
    """
    smooth = (share * n + 0.5) / (n + 1)
    return math.sqrt(smooth * (1 - smooth) / n)
