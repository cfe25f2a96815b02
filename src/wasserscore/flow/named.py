"""Drifts by name."""

from dataclasses import is_dataclass

from wasserscore.core.errors import require
from wasserscore.flow.difference import DriftField, LearntField, ScoreDifference
from wasserscore.flow.drifting import Drifting
from wasserscore.flow.sinkhorn import SinkhornDivergence
from wasserscore.training.identity import sha256

DRIFTS: dict[str, DriftField] = {
    "score_difference": ScoreDifference(),
    "drifting": Drifting(),
    "sinkhorn": SinkhornDivergence(),
}


def drift_named(drift: "str | DriftField") -> tuple[DriftField, str]:
    """A drift by its name or itself, and what a checkpoint calls it.

    Raises:
        InputError: For a name that is not known.
    """
    if not isinstance(drift, str):
        if isinstance(drift, LearntField):
            return drift, f"{drift!r} at {sha256(*drift.state().values())}"
        require(callable(drift), "drift must be a name or a drift", got=repr(drift))
        return drift, repr(drift) if is_dataclass(drift) else type(drift).__name__
    require(drift in DRIFTS, "unknown drift", got=repr(drift),
            do=f"use one of {', '.join(DRIFTS)}, or an object of wasserscore.flow")  # fmt: skip
    return DRIFTS[drift], repr(DRIFTS[drift])
