r"""Theorem 1 for a score and a reference at hand, by Monte Carlo along the reference's marginals.

The theorem bounds the law of the *continuous-time* sampler. What its grid adds is measured by
running the sampler on a grid four times finer with the same noise: if the error at least halves
between the two, the distance from the coarse run to the limit is at most twice their difference.
"""

import math
from dataclasses import dataclass, replace

import torch

from wasserscore.certificate.base import Limit
from wasserscore.certificate.constants import OneSided
from wasserscore.certificate.coupling import Coupling, in_data_units
from wasserscore.certificate.offset import start_bounds
from wasserscore.certificate.statistics import mean_limit, root_mean_square, share
from wasserscore.certificate.theorem import Growth, from_log, log_add, nodes
from wasserscore.core.errors import require
from wasserscore.core.results import Estimate, Record
from wasserscore.core.typing import Noise, Vector

FINER = 4
"""The finer grid of :func:`steps_gap` has this many times the steps."""


@dataclass(frozen=True)
class ContinuousBound(Record):
    r"""Theorem 1 in numbers, data units.

    Args:
        integral: The integral form; its kind is "estimated" where the constant is.
        cauchy_schwarz: The Cauchy-Schwarz form with the best weight the growth suggests, g^2 I.
        offset: The start's share of both.
        score_matching: Upper limit of :math:`J_{SM}(g^2)`, squared scaled units.
        constant: How the one-sided constant is known.
        times: Nodes.
        one_sided: The constant at the nodes.
        log_growth: log I at the nodes.
        error: Upper limits of b at the nodes.
        integrand: :math:`k I \sqrt b` at the nodes, data units per time.
    """

    integral: Limit
    cauchy_schwarz: Limit
    offset: float
    score_matching: float
    constant: str
    times: Vector
    one_sided: Vector
    log_growth: Vector
    error: Vector
    integrand: Vector


@torch.no_grad()
def continuous_bound(
    coupling: Coupling, constant: OneSided, *, n: int, level: float, count: int = 65
) -> ContinuousBound:
    """The theorem's bound on the continuous-time sampler.

    Args:
        coupling: Score, reference, noise level, stop, start and streams.
        constant: One-sided constant of the *model's* score, scaled units.
        n: Points per node.
        level: Level at which all errors b(t) hold together (Bonferroni over the nodes).
        count: Nodes, an odd number.
    """
    reference, stop = coupling.reference, coupling.grid.stop
    process = reference.process
    require(stop > 0 or reference.least_variance > 0,
            "the theorem needs a law with a density", got="a reference without bandwidth",
            do="give it a bandwidth or stop early")  # fmt: skip
    times = nodes(process, count, stop=stop)
    error = _errors(coupling, times, n, share(level, count))
    growth = Growth.along(process, constant, eta=coupling.eta, times=times, stop=stop)
    coarse = growth.halved()
    start = 0.0
    if coupling.start == "prior":
        sigma = float(process.sigma(coupling.grid.start))
        start = min(start_bounds(reference, coupling.grid.start, sigma).values())
    scale = 1.0 if reference.scaling is None else reference.scaling.operator_norm
    weight = growth.g2.log() + growth.log_growth
    offset = growth.log_offset(start)
    forms = {
        "integral": (growth.log_integral(error.sqrt()), coarse.log_integral(error[::2].sqrt())),
        "cauchy_schwarz": (
            growth.log_cauchy_schwarz(error, weight),
            coarse.log_cauchy_schwarz(error[::2], weight[::2]),
        ),
    }
    kind = "asymptotic" if constant.bounding else "estimated"
    limits = {
        name: Limit(scale * (from_log(log_add(fine, offset)) + _gap(fine, rough)),
                    n=n, level=level, kind=kind)
        for name, (fine, rough) in forms.items()
    }  # fmt: skip
    log_integrand = growth.forcing.log() + growth.log_growth + error.log() / 2
    return ContinuousBound(
        **limits,
        offset=scale * from_log(offset),
        score_matching=from_log(growth.log_score_matching(error, growth.g2.log())),
        constant=constant.kind,
        times=times,
        one_sided=constant.value(times),
        log_growth=growth.log_growth,
        error=error,
        integrand=scale * log_integrand.exp(),
    )


def steps_gap(coupling: Coupling, n: int, level: float) -> tuple[Estimate, float]:
    """Distance between the sampler and its continuous limit: estimate and upper limit.

    Assumes: from this grid to one four times finer the error at least halves.

    Args:
        coupling: The sampler; one noise per step, or none.
        n: Number of paths.
        level: Level of the limit.
    """
    require(coupling.solver.noises == 1, "the theorem is for samplers with one noise per step",
            got=coupling.solver.name)  # fmt: skip
    fine = replace(
        coupling, grid=coupling.grid.refine(FINER), streams=coupling.streams.child("fine")
    )
    starts = coupling.starts(n)
    y = starts.x if coupling.start == "reference" else starts.y
    noise = fine.noise(n)
    coarse_end = coupling.sample(coupling.score, y, _summed(noise))
    fine_end = fine.sample(coupling.score, y, noise)
    scaling = getattr(coupling.score, "scaling", coupling.reference.scaling)
    gap = in_data_units(scaling, coarse_end) - in_data_units(scaling, fine_end)
    squares = 4 * gap.flatten(1).square().sum(1)
    return root_mean_square(squares), math.sqrt(mean_limit(squares, level))


def _summed(noise: Noise) -> Noise:
    """The noise of a step from those of its ``FINER`` equal parts."""
    return lambda k: (
        sum((noise(FINER * k + j) for j in range(1, FINER)), noise(FINER * k)) / math.sqrt(FINER)
    )


def _errors(coupling: Coupling, times: Vector, n: int, level: float) -> Vector:
    """Upper limits of E |true score - score|^2 at the nodes."""
    score, reference = coupling.score, coupling.reference
    generator = coupling.streams.generator("theorem")
    limits = []
    for t in times.tolist():
        x = reference.sample_marginal(n, t, generator=generator).double()
        gap = (score(x, t) - reference(x, t)).flatten(1)
        limits.append(max(mean_limit(gap.square().sum(1), level), 1e-300))
    return torch.tensor(limits, dtype=torch.float64)


def _gap(fine: float, rough: float) -> float:
    """How far two quadratures of one integral are apart."""
    return abs(from_log(fine) - from_log(rough)) if fine < 709 else 0.0
