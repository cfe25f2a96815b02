"""What an audit returns: a frozen record whose ``repr`` is the answer."""

import math
from dataclasses import dataclass

from wasserscore.audit.verdict import CLEAN, UNJUDGED
from wasserscore.core.results import Estimate, Record
from wasserscore.distance import PRDC


@dataclass(frozen=True)
class Suspect(Record):
    """A generated row to look at.

    Args:
        index: Its row in generated.
        nearest: Its nearest row in train, as given; where rare training rows are asked, the one
            that it is the nearest to.
        distance: Between the two, in units of the features.
        closeness: That distance over the one of the training row to its own nearest neighbour;
            below one for a row that is not authentic, zero for an exact copy.
    """

    index: int
    nearest: int
    distance: float
    closeness: float


@dataclass(frozen=True)
class AuditReport(Record):
    """Copies, closeness, fidelity and coverage of a generated set, with a verdict.

    Shares lie in [0, 1] and come with bootstrap standard errors; ``x_holdout`` is the same number
    for held-out rows, the reference for fresh data, and ``x_excess`` the difference. All that
    needs a hold-out is None without one.

    It counts copies. It is no proof that training rows cannot be inferred from the samples in
    another way; that takes differential privacy.

    Args:
        verdict: "memorized", "suspicious", "no sign of copying", or one that begins with "not
            judged": no hold-out, one of training rows, too few rows, values in other units.
        reason: Why, in words.
        false_positive_rate: How often at most fresh data would be flagged.
        n_train: Training rows as given.
        n_generated: Generated rows.
        n_holdout: Held-out rows.
        train_duplicates: Training rows equal to an earlier one; distances see each row once.
        features: "rows as given", or the name of the map into the space of distances.
        copy_distance: 1 % quantile of the distances between neighbouring training rows.
        exact_rate: Rows equal to a training row, number for number.
        copy_rate: Rows nearer to a training row than ``copy_distance``, exact copies included.
        nn_ratio: Rows three times nearer to one training row than to any other.
        authenticity: Rows farther from the nearest training row than its own neighbour is.
        nearest_distance: Median distance to the nearest training row.
        closer: P(L_gen < L_test), L the distance to the nearest training row: 1/2 is ideal,
            above it generated rows are the closer ones.
        z_u: The same in standard units, negative when closer than fresh data.
        c_t: Z_U averaged over cells of the data; None when no cell holds enough rows.
        p_exact: Fisher's p-value that exact copies are no more than fresh data give.
        p_copies: Permutation p-value that no rows are closer than the bulk explains.
        p_value: Permutation p-value that the set as a whole is no closer than the hold-out.
        prdc: Precision, recall, density, coverage against the hold-out, at equal sizes.
        exposure: Of the 5 % of training rows farthest from any other, those to which a generated
            row is nearer than a held-out one: 1/2 is ideal. None with fewer than 81 distinct rows
            in train, or rows on disk.
        likelihood_train: Mean log density of the model at distinct training rows, in nats; this
            and all below are None without a model that can tell.
        likelihood_gap: That minus the same at held-out rows: how much better the model knows the
            rows it was trained on.
        likelihood_gap_others: The gap of a kernel mixture without each row's own component.
        local_dimension: Median local dimension of the model's law at generated rows, at noise of
            half the spacing of train: near zero where the law is a lone point.
        local_dimension_contrast: That minus the same at held-out rows.
        suspects: Rows to look at, most suspicious first.
        exposed: These rare rows, each with its nearest generated row, the nearest first.
    """

    verdict: str
    reason: str
    false_positive_rate: float
    n_train: int
    n_generated: int
    n_holdout: int
    train_duplicates: int
    features: str
    copy_distance: float
    exact_rate: Estimate
    exact_rate_holdout: Estimate | None
    exact_rate_excess: Estimate | None
    copy_rate: Estimate
    copy_rate_holdout: Estimate | None
    copy_rate_excess: Estimate | None
    nn_ratio: Estimate
    nn_ratio_holdout: Estimate | None
    nn_ratio_excess: Estimate | None
    authenticity: Estimate
    authenticity_holdout: Estimate | None
    authenticity_excess: Estimate | None
    nearest_distance: Estimate
    nearest_distance_holdout: Estimate | None
    closer: Estimate | None
    z_u: Estimate | None
    c_t: Estimate | None
    p_exact: float | None
    p_copies: float | None
    p_value: float | None
    prdc: PRDC | None
    exposure: Estimate | None
    likelihood_train: Estimate | None
    likelihood_holdout: Estimate | None
    likelihood_gap: Estimate | None
    likelihood_gap_others: Estimate | None
    local_dimension: Estimate | None
    local_dimension_holdout: Estimate | None
    local_dimension_contrast: Estimate | None
    suspects: tuple[Suspect, ...]
    exposed: tuple[Suspect, ...]

    @property
    def judged(self) -> bool:
        """Whether there is a verdict: only beside a hold-out, of other rows, in the same units.

        Nor of so few rows that no copies would stand out.
        """
        return self.verdict not in UNJUDGED

    @property
    def flagged(self) -> bool:
        """Whether the verdict is "memorized" or "suspicious"."""
        return self.judged and self.verdict != CLEAN

    @property
    def sentence(self) -> str:
        """The verdict in words, with its numbers and its false-positive rate."""
        copies = (
            f"{self.copy_rate.value:.1%} of {self.n_generated} rows are near-copies of training"
            " rows"
        )
        if self.copy_rate_holdout is None or not self.judged:
            return f"{self.verdict.capitalize()}; {copies} ({self.reason})."
        return (
            f"{self.verdict.capitalize()}: {copies} (fresh data"
            f" {self.copy_rate_holdout.value:.1%}); {self.reason}. Fresh data would be flagged"
            f" in at most {self.false_positive_rate:.0%} of audits."
        )

    def __repr__(self) -> str:
        return "\n".join([self.sentence, *table(self), PRIVACY])


NEARER = "   -3 or less: copies, or smooth rows"
PRIVACY = "Copies are counted here; this is not differential privacy."
SHARES = {
    "exact_rate": "exact copies",
    "copy_rate": "copies (nearer than {0.copy_distance:.3g})",
    "nn_ratio": "3x nearer to one row than to others",
    "authenticity": "authentic",
}


def table(report: AuditReport) -> list[str]:
    """The numbers of a report, one line each, with what fresh data give beside them."""
    lines = [
        _line(words.format(report), getattr(report, name), getattr(report, f"{name}_holdout"),
              unit=100.0, suffix=" %")
        for name, words in SHARES.items()
    ]  # fmt: skip
    near, fresh = report.nearest_distance, report.nearest_distance_holdout
    lines.append(_line("median distance to train", near, fresh))
    if report.closer is not None and report.z_u is not None:
        lines.append(_line("closer than fresh data", report.closer, unit=100.0, suffix=" %")
                     + f"   ideal 50 %, p = {report.p_value:.2g}")  # fmt: skip
        lines.append(_line("  in standard units, Z_U", report.z_u) + NEARER)
    if report.c_t is not None:
        lines.append(_line("  the same by cells, C_T", report.c_t) + NEARER)
    if report.exposure is not None:
        lines.append(_line("  to rare training rows", report.exposure, unit=100.0, suffix=" %")
                     + "   ideal 50 %")  # fmt: skip
    if report.prdc is not None:
        for name in ("precision", "recall", "density", "coverage"):
            lines.append(_line(name, getattr(report.prdc, name)))
    if report.likelihood_train is not None:
        lines.append(_line("log-likelihood of train (nats)", report.likelihood_train,
                           report.likelihood_holdout))  # fmt: skip
    for name, words in (("likelihood_gap", "  gap to fresh data"),
                        ("likelihood_gap_others", "  gap without own components")):  # fmt: skip
        if getattr(report, name) is not None:
            lines.append(_line(words, getattr(report, name)))
    if report.local_dimension is not None:
        lines.append(_line("local dimension of the model", report.local_dimension,
                           report.local_dimension_holdout))  # fmt: skip
    return lines


def _line(
    words: str,
    own: Estimate,
    fresh: Estimate | None = None,
    *,
    unit: float = 1.0,
    suffix: str = "",
) -> str:
    """Words, value ± error, and the same number of fresh data."""

    def number(e: Estimate) -> str:
        value, error = e.value * unit, (e.stderr or 0.0) * unit
        places = max(0, min(6, 1 - math.floor(math.log10(error)))) if error > 0 else 2
        return f"{value:.{places}f} ± {error:.{places}f}{suffix}"

    beside = "" if fresh is None else f"   fresh data {number(fresh)}"
    return f"  {words:<36}{number(own):>20}{beside}"
