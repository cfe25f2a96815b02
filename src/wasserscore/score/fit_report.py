"""How a model was chosen: every candidate with its cross-validated likelihood, and why."""

from dataclasses import dataclass, field, replace
from typing import Any

from wasserscore.core.results import Record


@dataclass(frozen=True)
class FitReport(Record):
    """What a fit tried and took.

    Args:
        method: The family that was chosen.
        settings: Its hyperparameters.
        log_likelihood: Mean held-out log-likelihood of the choice, nats per point, by
            cross-validation inside the points given to the fit.
        stderr: Standard error of that mean over points.
        candidates: Best cross-validated log-likelihood per family, nats per point.
        evaluated: How many settings were tried.
        why: One sentence.
        notes: What was done to the data on the way.
    """

    method: str
    settings: dict[str, Any]
    log_likelihood: float
    stderr: float
    candidates: dict[str, float]
    evaluated: int
    why: str
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value:.3g}" for name, value in self.settings.items())
        lines = [
            f"{self.why} ({settings}; {self.evaluated} settings tried)",
            *(f"  {name}: {value:.2f} nats" for name, value in self.candidates.items()),
            *(f"  note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def on_axes(self, gain: float, note: str) -> "FitReport":
        """The report of a fit on principal axes, its likelihoods in all coordinates.

        Args:
            gain: What a point's log-likelihood gains in the mean from the other directions, nats.
            note: What to say of the axes.
        """
        why = f"{self.why}; {gain:+.2f} from the principal axes and what lies across them"
        return replace(
            self, log_likelihood=self.log_likelihood + gain, why=why, notes=(note, *self.notes),
            candidates={name: value + gain for name, value in self.candidates.items()},
        )  # fmt: skip

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> "FitReport":
        """The report that ``to_dict`` wrote."""
        return cls(**{**d, "notes": tuple(d.get("notes", ()))})
