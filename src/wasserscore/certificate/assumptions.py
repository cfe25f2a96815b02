"""What a coupled run rests on, checked where it can be."""

import torch

from wasserscore.certificate.base import Assumption
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupled, Coupling
from wasserscore.certificate.reference import data_units
from wasserscore.data import in_data_units
from wasserscore.score import EmpiricalScore

MOMENT_SIGMAS = 8.0
"""How many of its expected errors the mean of the reference side may be off."""


def coupling_assumptions(
    ends: Coupled,
    coupling: Coupling,
    *,
    clip: tuple[float, float] | None = None,
) -> tuple[Assumption, ...]:
    """The conditions all rungs rest on, with what this run says about each.

    Args:
        ends: The coupled ends, as they came.
        coupling: What was coupled.
        clip: The box both laws were clipped to, if any.
    """
    off, finite = mean_error(ends, coupling), is_finite(ends)
    found = [
        Assumption(
            "the reference side has the reference's law",
            "checked" if off <= MOMENT_SIGMAS else "violated",
            f"by construction; its mean is off by {off:.2g} standard errors",
        ),
        Assumption("the sampler's output is finite", "checked" if finite else "violated"),
    ]
    if clip is not None:
        detail = "the certificate is about the clipped laws: clip samples before use"
        found.append(
            Assumption(f"both laws are clipped to [{clip[0]:g}, {clip[1]:g}]", "checked", detail)
        )
    if isinstance(coupling.reference, EmpiricalScore):
        found.append(
            Assumption(
                "the reference is the finite sample, not its population",
                "checked",
                "the bound says nothing of rows that are not in the data set",
            )
        )
    if ends.path_error is not None:
        error_now = float(ends.path_error.square().mean().sqrt())
        found.append(
            Assumption(
                "the reference's probability flow is solved",
                "assumed",
                f"three solutions leave at most {error_now:.2g}, which is added to every rung",
            )
        )
    if ends.start_shift > 0:
        found.append(
            Assumption(
                "the reference's start is solved",
                "checked",
                f"its error can add {ends.start_shift:.1g}, which every rung contains",
            )
        )
    if coupling.grid.stop > 0:
        found.append(
            Assumption("early stopping is paid for", "checked", "term 'stop', exact moments")
        )
    return tuple(found)


def constant_assumption(constant: OneSided, refuted: float = 0.0) -> Assumption:
    """How the theorem's one-sided constant is known, and whether this run contradicts it.

    Args:
        constant: The constant that was given for the *model's* score.
        refuted: By how much a difference quotient of the score exceeded it.
    """
    status = "checked" if constant.kind == "certified" else "assumed"
    detail = constant.kind + (f": {constant.detail}" if constant.detail else "")
    if refuted > 0:
        status, detail = "violated", f"{detail}; a difference quotient is {refuted:.3g} above it"
    elif not constant.bounding:
        detail += "; the theorem's rungs are shown, not used"
    return Assumption("the model score's one-sided constant holds everywhere", status, detail)


def mean_error(ends: Coupled, coupling: Coupling) -> float:
    """How far the reference side's mean is from the law's, in expected root-mean-square errors.

    The error comes from the law's known covariance, so that components too rare for the sample
    do not look like a mistake.
    """
    reference, stop = coupling.reference, coupling.grid.stop
    mean, variances = (m.double().cpu() for m in reference.column_moments())
    alpha, sigma = (float(v(stop)) for v in (reference.process.alpha, reference.process.sigma))
    expected = in_data_units(reference.scaling, (alpha * mean).reshape(1, *reference.shape))
    variance = alpha**2 * variances + sigma**2
    error = (data_units(reference, mean) ** 2 * variance).sum() / len(ends.reference)
    gap = (ends.reference.mean(0) - expected[0]).norm()
    return float(gap / error.sqrt()) if error > 0 else float(gap > 0)


def is_finite(ends: Coupled) -> bool:
    """Whether every run ended in finite points."""
    runs = (ends.reference, ends.same_score, ends.same_start, ends.model)
    return all(bool(torch.isfinite(x).all()) for x in runs)
